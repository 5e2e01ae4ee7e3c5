//! Where locks and documents are kept: in a namespace of Kubernetes, or in a folder.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clients::kubernetes::{Kubernetes, ObjectName};
use crate::state::identity::Identity;

/// The label that all objects of the toolbox have.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kafka-toolbox");

/// The label that says what an object of the toolbox is.
pub const COMPONENT: &str = "app.kubernetes.io/component";

/// The label that says what an object of the toolbox is for.
pub const PURPOSE: &str = "kafka-toolbox/purpose";

/// The label with which all objects of a cluster are found.
pub const CLUSTER_ID: &str = "kafka-toolbox/cluster-id";

/// The annotation that says in words what an object of the toolbox belongs to.
pub const IDENTITY: &str = "kafka-toolbox/identity";

/// Where a run keeps things.
#[derive(Clone)]
pub enum Place {
    /// In Kubernetes.
    Kubernetes(Arc<dyn Kubernetes>),
    /// In a folder.
    Folder(PathBuf),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(kubernetes) => f.debug_tuple("Kubernetes").field(kubernetes.identity()).finish(),
            Self::Folder(folder) => f.debug_tuple("Folder").field(folder).finish(),
        }
    }
}

impl Place {
    /// The place in words that mean the same on every machine, for those who find a lock of a run that keeps its records
    /// here.
    pub fn words(&self, host: &str) -> String {
        match self {
            Self::Kubernetes(kubernetes) => {
                let identity = kubernetes.identity();
                format!("namespace {} of {}", identity.namespace, identity.server)
            }
            Self::Folder(folder) => format!("folder {} of host {host}", folder.display()),
        }
    }
}

/// The object of an identity.
pub fn object_of(kubernetes: &dyn Kubernetes, identity: &Identity) -> ObjectName {
    ObjectName::new(kubernetes.identity().namespace.clone(), identity.object_name())
}
