//! Lowers the replicas of a StatefulSet by one, once the server of its last pod is no member any more: for the version that was
//! seen, and read back where the answer was lost.

use crate::change::carry_out::Ended;
use crate::change::fail_point::fail_point;
use crate::clients::kubernetes::{Kubernetes, KubernetesError, ObjectName, Version};
use crate::commands::ensemble::apply::record::{refused, unknown};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::refuse::next_step;
use crate::commands::ensemble::plan::stop::ScaleDown;

/// Lowers the replicas.
pub(super) async fn lower(kubernetes: Option<&dyn Kubernetes>, it: &ScaleDown) -> Result<Ended, Ended> {
    let Some(kubernetes) = kubernetes else { return Err(Ended::failed("Kubernetes can't be asked from here")) };
    let name = ObjectName::new(kubernetes.identity().namespace.clone(), it.set.clone());
    let read = Version { uid: it.uid.clone(), resource_version: it.resource_version.clone() };
    fail_point("ensemble.scaling");
    let answer = kubernetes.set_replicas(&name, &read, it.to).await;
    fail_point("ensemble.scaled");
    match answer {
        Ok(()) => Ok(Ended::done()),
        Err(error @ (KubernetesError::Conflict { .. } | KubernetesError::NotFound { .. })) => {
            Err(refused(&Refusal::new(Code::Conflict, error.to_string(), next_step(Code::Conflict))))
        }
        Err(error @ (KubernetesError::Forbidden { .. } | KubernetesError::Unauthorized { .. })) => {
            Err(Ended::refused(error.to_string()))
        }
        Err(error) if error.is_passing() => read_back(kubernetes, &name, it, &error).await,
        Err(error) => Err(Ended::failed(error.to_string())),
    }
}

/// How the call ended, where no answer says so.
async fn read_back(
    kubernetes: &dyn Kubernetes,
    name: &ObjectName,
    it: &ScaleDown,
    error: &KubernetesError,
) -> Result<Ended, Ended> {
    match kubernetes.stateful_set(name).await {
        Ok(Some(set)) if set.uid == it.uid && set.replicas == it.to => Ok(Ended::done()),
        Ok(Some(set)) if set.uid == it.uid && set.resource_version == it.resource_version => {
            Err(Ended::failed(error.to_string()))
        }
        _ => Err(unknown(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::event::Outcome;
    use crate::clients::kubernetes::{Identity, Memory, Resource, StatefulSet, Verb};
    use crate::cluster::ensemble::member::ServerId;

    /// A server in memory with a StatefulSet of four replicas, and a step that leaves three.
    fn bed() -> (Memory, ScaleDown) {
        let server = Memory::new(Identity {
            namespace: "kafka".to_owned(),
            pod: None,
            service_account: None,
            source: "memory".to_owned(),
            server: "memory".to_owned(),
        });
        let name = ObjectName::new("kafka", "zk");
        let uid = "u".to_owned();
        server.add_stateful_set(StatefulSet { name, uid: uid.clone(), replicas: 4, ..StatefulSet::default() });
        let (pod, set, resource_version) = ("zk-3".to_owned(), "zk".to_owned(), "1".to_owned());
        let namespace = "kafka".to_owned();
        (server, ScaleDown { id: ServerId(4), pod, namespace, set, uid, resource_version, from: 4, to: 3 })
    }

    async fn ends(server: &Memory, it: &ScaleDown) -> (Outcome, String) {
        let ended = lower(Some(server), it).await.unwrap_or_else(|ended| ended);
        (ended.outcome, ended.reason.unwrap_or_default())
    }

    #[tokio::test]
    async fn replicas_are_lowered_for_the_version_that_was_seen_and_for_no_other() {
        let (server, it) = bed();
        assert_eq!(ends(&server, &it).await.0, Outcome::Done);
        let (outcome, why) = ends(&server, &it).await;
        assert!(outcome == Outcome::Refused && why.starts_with("E_CONFLICT: "), "{outcome} {why}");
        let (server, it) = bed();
        let other = ScaleDown { uid: "other".to_owned(), ..it.clone() };
        assert_eq!(ends(&server, &other).await.0, Outcome::Refused);
        let absent = ScaleDown { set: "other".to_owned(), ..it };
        assert_eq!(ends(&server, &absent).await.0, Outcome::Refused);
    }

    #[tokio::test]
    async fn a_missing_right_is_named_an_error_is_read_back_and_what_nobody_knows_is_unknown() {
        let (server, it) = bed();
        server.set_broken(Verb::Update, Resource::Scales, true);
        assert_eq!(ends(&server, &it).await.0, Outcome::Failed, "the version is the one that was seen still");
        server.set_broken(Verb::Get, Resource::StatefulSets, true);
        assert_eq!(ends(&server, &it).await.0, Outcome::Unknown);
        server.set_down(true);
        assert_eq!(ends(&server, &it).await.0, Outcome::Unknown);
        let (server, it) = bed();
        server.forbid(Verb::Update, Resource::Scales);
        let (outcome, why) = ends(&server, &it).await;
        assert!(outcome == Outcome::Refused && why.contains("statefulsets/scale"), "{outcome} {why}");
        assert_eq!(lower(None, &it).await.unwrap_err().outcome, Outcome::Failed);
    }
}
