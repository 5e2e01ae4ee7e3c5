//! Where a run keeps its lock and what it last applied: in Kubernetes, or in files of the state folder.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clients::kubernetes::Access;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::kubernetes::Live;
use crate::context::Context;
use crate::context::flags::StateIn;
use crate::exit::Stop;

/// The label that all objects of the toolbox have.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kafka-toolbox");

/// The label that says what an object of the toolbox is.
pub(super) const COMPONENT: &str = "app.kubernetes.io/component";

/// The annotation that says in words what an object of the toolbox belongs to.
pub(super) const SCOPE: &str = "kafka-toolbox/scope";

/// Longest wait for an answer of Kubernetes, where `--timeout` does not say otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest part of an object's name that is there for people.
const WORDS_MAX: usize = 40;

/// What a lock or a kept document belongs to: a room's work on a cluster by a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The room, as `topics`.
    pub room: &'static str,
    /// The cluster's name in toolbox.yaml, else its id.
    pub cluster: String,
    /// Where the wishes come from, as `configmaps app=orders of kafka` or a path; the same for every run of one job.
    pub spec: String,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of cluster {} by {}", self.room, self.cluster, self.spec)
    }
}

impl Scope {
    /// A name for objects and files: readable, legal everywhere, another one for every other scope.
    pub fn object_name(&self) -> String {
        let hash = Sha256::digest(self.to_string()).iter().take(5).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        let words = format!("{}-{}", self.room, self.cluster).to_lowercase();
        let words: String = words.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let words = &words[..words.len().min(WORDS_MAX)];
        format!("toolbox-{}-{hash:010x}", words.trim_matches('-'))
    }
}

/// Where a run keeps things.
#[derive(Clone)]
pub(super) enum Home {
    /// In Kubernetes.
    Kubernetes(Arc<dyn Kubernetes>),
    /// In a folder.
    Folder(PathBuf),
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(kubernetes) => f.debug_tuple("Kubernetes").field(kubernetes.identity()).finish(),
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
        }
    }
}

impl Context {
    /// The door to Kubernetes, opened at the first use. Nothing is sent before the first question.
    pub async fn kubernetes(&self) -> anyhow::Result<Arc<dyn Kubernetes>> {
        let open = || async {
            let flags = &self.flags.kubernetes;
            let access = Access {
                kubeconfig: flags.kubeconfig.clone(),
                context: flags.kube_context.clone(),
                namespace: flags.namespace.clone(),
            };
            let live = Live::connect(&access, self.flags.timeout.unwrap_or(TIMEOUT)).await;
            let live = live.map_err(|error| Stop::usage(error.to_string()))?;
            Ok::<Arc<dyn Kubernetes>, anyhow::Error>(Arc::new(live))
        };
        self.kubernetes.get_or_try_init(open).await.cloned()
    }

    /// Where this run keeps its lock and what it last applied (`--state`).
    pub(super) async fn home(&self) -> anyhow::Result<Home> {
        let is_kubernetes = match self.flags.kubernetes.state {
            StateIn::Auto => Access::is_in_cluster(),
            StateIn::Kubernetes => true,
            StateIn::File => false,
        };
        if is_kubernetes {
            Ok(Home::Kubernetes(self.kubernetes().await?))
        } else {
            Ok(Home::Folder(self.state_folder()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_legal_names_that_differ() {
        let scope = |cluster: &str, spec: &str| Scope { room: "topics", cluster: cluster.into(), spec: spec.into() };
        let one = scope("Orders_EU.1", "a").object_name();
        assert!(one.starts_with("toolbox-topics-orders-eu-1-"), "{one}");
        assert_ne!(one, scope("Orders_EU.1", "b").object_name());
        assert_ne!(one, scope("orders-eu-1", "a").object_name());
        let long = scope(&"ä".repeat(300), "a").object_name();
        assert!(long.len() <= 63 && long.is_ascii() && !long.contains("--toolbox"), "{long}");
    }
}
