//! Kubernetes Events as a sink: a courtesy for `kubectl describe`, kept by the server for about an hour.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::change::event::{Event, Outcome, Severity};
use crate::clients::kubernetes::{
    Access, EventType, Kubernetes, KubernetesError, Live, NewEvent, ObjectName, Regarding, Resource,
};
use crate::recorders::datadog::shorten_middle;
use crate::recorders::sink::{Message, Sink, Verdict, is_late};

/// Longest wait for the API server's answer.
const TIMEOUT: Duration = Duration::from_secs(4);

/// Characters of the title in a note; the rest of its 1,024 bytes is for the reason.
const TITLE_CHARS_MAX: usize = 300;

/// Owners that are followed: from a pod to its Job to its CronJob, and one more.
const OWNERS_MAX: usize = 3;

/// The object that events are about, where a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As `CronJob`.
    pub kind: String,
    /// Its name in the namespace.
    pub name: String,
    /// Its uid: without it `kubectl describe` does not show the events.
    pub uid: Option<String>,
}

/// Kubernetes Events about one object.
pub struct KubernetesSink {
    access: Access,
    /// What the events are about; where nothing is said, the CronJob or Deployment that made the pod, else its Job, else
    /// the pod: as far as the Role lets us look.
    named: Option<Named>,
    /// Looked up with the first event.
    regarding: OnceCell<Regarding>,
    /// Opened with the first event.
    door: OnceCell<Arc<dyn Kubernetes>>,
}

impl KubernetesSink {
    /// Events through an API server that is found when the first one is sent.
    pub fn new(access: Access, named: Option<Named>) -> Self {
        Self { access, named, regarding: OnceCell::new(), door: OnceCell::new() }
    }

    /// The same through a door that is open.
    #[must_use]
    pub fn with_door(mut self, door: Arc<dyn Kubernetes>) -> Self {
        self.door = OnceCell::new_with(Some(door));
        self
    }

    async fn door(&self) -> Result<&dyn Kubernetes, KubernetesError> {
        let open = async || {
            let live = Live::connect(&self.access, TIMEOUT).await?;
            Ok::<Arc<dyn Kubernetes>, KubernetesError>(Arc::new(live))
        };
        Ok(&**self.door.get_or_try_init(open).await?)
    }

    async fn send(&self, message: &Message<'_>) -> Result<(), KubernetesError> {
        let door = self.door().await?;
        let regarding = self.regarding.get_or_try_init(|| self.look_up(door)).await?;
        for event in message.events {
            door.create_event(&render(event, message, regarding)).await?;
        }
        Ok(())
    }

    async fn look_up(&self, door: &dyn Kubernetes) -> Result<Regarding, KubernetesError> {
        let identity = door.identity();
        let given = self.named.as_ref().map(|named| Regarding {
            api_version: api_version(&named.kind).to_owned(),
            kind: named.kind.clone(),
            name: ObjectName::new(&identity.namespace, &named.name),
            uid: named.uid.clone(),
        });
        match (given, &identity.pod) {
            (Some(given), Some(pod)) if given.uid.is_none() => {
                let mut chain = owners(door, pod.regarding(&identity.namespace)).await?.into_iter();
                let same = chain.find(|owner| (&owner.kind, &owner.name) == (&given.kind, &given.name));
                Ok(same.unwrap_or(given))
            }
            (Some(given), _) => Ok(given),
            (None, Some(pod)) => {
                let pod = pod.regarding(&identity.namespace);
                Ok(owners(door, pod.clone()).await?.pop().unwrap_or(pod))
            }
            (None, None) => Err(KubernetesError::Settings(
                "which object events are about is not known: set POD_NAME, or give --events-regarding".into(),
            )),
        }
    }
}

/// A pod, the controller that made it, the one that made that, and so on, as far as the Role lets us look. An owner's
/// reference has its uid: the last one need not be read.
async fn owners(door: &dyn Kubernetes, pod: Regarding) -> Result<Vec<Regarding>, KubernetesError> {
    let mut chain = vec![pod];
    for _ in 0..OWNERS_MAX {
        let Some(last) = chain.last_mut() else { break };
        let resource = match last.kind.as_str() {
            "Pod" => Resource::Pods,
            "Job" => Resource::Jobs,
            "ReplicaSet" => Resource::ReplicaSets,
            _ => break,
        };
        let owned = match door.owned(resource, &last.name).await {
            Ok(Some(owned)) => owned,
            Ok(None) => break,
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "events are about {} {}", last.kind, last.name);
                break;
            }
        };
        last.uid = last.uid.take().or(owned.uid);
        match owned.controller {
            Some(controller) => chain.push(controller),
            None => break,
        }
    }
    Ok(chain)
}

#[async_trait]
impl Sink for KubernetesSink {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn parallel(&self) -> usize {
        4
    }

    fn late_group(&self) -> usize {
        1
    }

    async fn deliver(&self, message: &Message<'_>) -> Verdict {
        match self.send(message).await {
            Ok(()) => Verdict::Taken,
            Err(error) => verdict(&error),
        }
    }
}

/// An event as Kubernetes has it. Its name is that of the event, so that sending it again does not double it.
fn render(event: &Event, message: &Message<'_>, regarding: &Regarding) -> NewEvent {
    let is_late = is_late(event, message.now);
    let late = if is_late { format!(" (late, happened at {:.0})", event.time) } else { String::new() };
    let reason = event.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let outcome = match event.outcome {
        Outcome::Done => String::new(),
        other => format!(" [{other}]"),
    };
    let title = shorten_middle(&event.title, TITLE_CHARS_MAX);
    let is_warning = matches!(event.severity, Severity::Warning | Severity::Error);
    NewEvent {
        name: format!("kafka-toolbox-{}", event.event_id),
        regarding: regarding.clone(),
        reason: camel_case(&event.kind),
        action: camel_case(&event.command),
        note: format!("{}: {title}{outcome}{late}{reason}", event.cluster),
        event_type: if is_warning { EventType::Warning } else { EventType::Normal },
        time: if is_late { message.now } else { event.time },
    }
}

/// `topics.config_changed` as `TopicsConfigChanged`.
fn camel_case(text: &str) -> String {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let word: String = parts.map(|part| part[..1].to_uppercase() + &part[1..]).collect();
    if word.is_empty() { "Event".to_owned() } else { word }
}

/// The API group of the kinds that a toolbox runs in.
fn api_version(kind: &str) -> &'static str {
    match kind {
        "CronJob" | "Job" => "batch/v1",
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => "apps/v1",
        _ => "v1",
    }
}

fn verdict(error: &KubernetesError) -> Verdict {
    let why = error.to_string();
    match error {
        // Somebody else's change is no reason to give up, either.
        error if error.is_passing() => Verdict::Later { after: None, why },
        KubernetesError::Conflict { .. } => Verdict::Later { after: None, why },
        KubernetesError::Invalid { .. } => Verdict::Malformed(why),
        _ => Verdict::Stop(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_reasons_in_camel_case() {
        assert_eq!(camel_case("topics.config_changed"), "TopicsConfigChanged");
        assert_eq!(camel_case("topics apply"), "TopicsApply");
        assert_eq!(camel_case("…"), "Event");
    }
}
