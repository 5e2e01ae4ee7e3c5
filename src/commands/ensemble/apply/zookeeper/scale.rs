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

/// What became of it, where no answer says so.
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
