//! Why a call to the Kubernetes API did not do what was asked.

use std::fmt;
use std::time::Duration;

use crate::cluster::visible;

/// A kind of object that the toolbox works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// `configmaps`, in the core group.
    ConfigMaps,
    /// `leases` in `coordination.k8s.io`.
    Leases,
    /// `events` in `events.k8s.io`.
    Events,
    /// `selfsubjectrulesreviews` and `selfsubjectaccessreviews` in `authorization.k8s.io`: questions what we may do.
    Reviews,
    /// `pods`, in the core group.
    Pods,
    /// `nodes`, in the core group; they belong to no namespace.
    Nodes,
    /// `persistentvolumeclaims`, in the core group.
    Claims,
    /// `jobs` in `batch`: only their owners are read.
    Jobs,
    /// `replicasets` in `apps`: only their owners are read.
    ReplicaSets,
    /// `validatingwebhookconfigurations` in `admissionregistration.k8s.io`; they belong to no namespace.
    ValidatingWebhooks,
    /// `statefulsets` in `apps`.
    StatefulSets,
    /// `statefulsets/scale` in `apps`: how many pods one is to have.
    Scales,
    /// `persistentvolumes`, in the core group; they belong to no namespace.
    Volumes,
}

impl Resource {
    /// Its API group; the core group's is empty.
    pub fn group(self) -> &'static str {
        match self {
            Self::ConfigMaps | Self::Pods | Self::Nodes | Self::Claims | Self::Volumes => "",
            Self::Leases => "coordination.k8s.io",
            Self::Events => "events.k8s.io",
            Self::Reviews => "authorization.k8s.io",
            Self::Jobs => "batch",
            Self::ReplicaSets | Self::StatefulSets | Self::Scales => "apps",
            Self::ValidatingWebhooks => "admissionregistration.k8s.io",
        }
    }

    /// Its name in a Role.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ConfigMaps => "configmaps",
            Self::Leases => "leases",
            Self::Events => "events",
            Self::Reviews => "selfsubjectaccessreviews",
            Self::Pods => "pods",
            Self::Nodes => "nodes",
            Self::Claims => "persistentvolumeclaims",
            Self::Jobs => "jobs",
            Self::ReplicaSets => "replicasets",
            Self::ValidatingWebhooks => "validatingwebhookconfigurations",
            Self::StatefulSets => "statefulsets",
            Self::Scales => "statefulsets/scale",
            Self::Volumes => "persistentvolumes",
        }
    }

    /// What one of it is called.
    pub fn kind(self) -> &'static str {
        match self {
            Self::ConfigMaps => "ConfigMap",
            Self::Leases => "Lease",
            Self::Events => "Event",
            Self::Reviews => "SelfSubjectAccessReview",
            Self::Pods => "Pod",
            Self::Nodes => "Node",
            Self::Claims => "PersistentVolumeClaim",
            Self::Jobs => "Job",
            Self::ReplicaSets => "ReplicaSet",
            Self::ValidatingWebhooks => "ValidatingWebhookConfiguration",
            Self::StatefulSets => "StatefulSet",
            Self::Scales => "scale of StatefulSet",
            Self::Volumes => "PersistentVolume",
        }
    }
}

/// What is asked of an object, in the words of a Role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Read one by its name.
    Get,
    /// Read several.
    List,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change parts of one.
    Patch,
    /// Delete one.
    Delete,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        })
    }
}

/// Why a call to the Kubernetes API did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesError {
    /// 403: no Role allows it.
    #[error(
        "{who} may not {verb} {}{}: its Role lacks the rule \
         {{apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{verb}\"]}}; `toolbox rbac` prints all rules that a \
         command needs",
        .resource.plural(), in_namespace(namespace), .resource.group(), .resource.plural()
    )]
    Forbidden {
        /// The ServiceAccount or user, as the server knows it.
        who: String,
        /// What was asked.
        verb: Verb,
        /// Of what.
        resource: Resource,
        /// Where.
        namespace: String,
    },
    /// 401: the server does not know who we are.
    #[error("{server} does not accept the credentials of {source_of_credentials}: {}", visible::value(message))]
    Unauthorized {
        /// The API server.
        server: String,
        /// `in cluster` or `context NAME of FILE`.
        source_of_credentials: String,
        /// The server's words.
        message: String,
    },
    /// 404 for something that must be there, as the namespace of an object to create.
    #[error("{what} does not exist")]
    NotFound {
        /// What is missing, as `Lease kafka/topics` or `namespace kafka`.
        what: String,
    },
    /// 409: an object of that name is there already.
    #[error("{what} exists already")]
    AlreadyExists {
        /// What.
        what: String,
    },
    /// 409: somebody changed the object after it was read.
    #[error("{what} was changed by somebody else in the meantime")]
    Conflict {
        /// What.
        what: String,
    },
    /// 400, 413 or 422: the request is wrong, or the object is too large.
    #[error("{what} was refused as invalid: {}", visible::value(message))]
    Invalid {
        /// What.
        what: String,
        /// The server's words.
        message: String,
    },
    /// More was found than a run takes in.
    #[error("{what}: more than {limit}; use a narrower selector")]
    TooMuch {
        /// What was read.
        what: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// The server answered with another error, as 500 or 503.
    #[error("{server} answered {code}: {}", visible::value(message))]
    Server {
        /// The API server.
        server: String,
        /// The HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// No answer came. A write may have been carried out nonetheless: read before the next.
    #[error("the Kubernetes API at {server} could not be reached within {} s: {}", seconds(*within), visible::value(why))]
    Unreachable {
        /// The API server.
        server: String,
        /// What went wrong last.
        why: String,
        /// The deadline.
        within: Duration,
    },
    /// The kubeconfig or the in-cluster files can't be used.
    #[error("{0}")]
    Settings(String),
}

impl KubernetesError {
    /// Whether the same call may succeed later, with nothing changed by a person.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Server { code, .. } => *code == 429 || *code >= 500,
            _ => false,
        }
    }
}

/// Seconds to a tenth.
fn seconds(within: Duration) -> f64 {
    (within.as_secs_f64() * 10.0).ceil() / 10.0
}

/// Where a right is missing; what belongs to no namespace needs a ClusterRole.
fn in_namespace(namespace: &str) -> String {
    if namespace.is_empty() { " (a ClusterRole gives that)".to_owned() } else { format!(" in namespace {namespace}") }
}

/// Refuses a resource whose owner nobody needs to know.
pub(super) fn has_owner(resource: Resource) -> Result<(), KubernetesError> {
    match resource {
        Resource::Pods | Resource::Jobs | Resource::ReplicaSets => Ok(()),
        other => Err(KubernetesError::Settings(format!("the owners of {} are not looked up", other.plural()))),
    }
}

/// Refuses a resource whose facts nobody needs.
pub(super) fn has_facts(resource: Resource) -> Result<(), KubernetesError> {
    match resource {
        Resource::Pods | Resource::Nodes | Resource::Claims => Ok(()),
        other => Err(KubernetesError::Settings(format!("the facts of {} are not looked up", other.plural()))),
    }
}
