//! What each command needs to be allowed in Kubernetes: one table for `toolbox rbac`, for the check at a command's start,
//! and for the Roles of `manifests/`, which a test compares with it.
//!
//! Kubernetes can't limit a `create` to a name, nor a `list` to a label, so these rules have no names.

mod check;

use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use crate::clients::kubernetes::Right;
use crate::state::identity::{ClusterRef, Identity, Purpose};

/// What runs in Kubernetes with a ServiceAccount of its own; named as its folder in `manifests/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// `ensemble watch`, and `ensemble apply`.
    Ensemble,
    /// `rollout drain-guard`.
    DrainGuard,
    /// `identity assign`, in the init container of a broker's pod.
    Identity,
    /// `ensemble prestart zookeeper`, in the init container of a server's pod.
    Zookeeper,
    /// `ensemble prestart controller`, in the init container of a KRaft controller's pod.
    Controllers,
    /// `topics apply`.
    Topics,
    /// `reassign execute`.
    Reassign,
    /// `rollout run`, over StatefulSets.
    Rollout,
    /// `throttle run`.
    Throttle,
    /// Every command, for people.
    Toolbox,
}

impl Workload {
    /// All of them, ordered by name.
    pub const ALL: [Self; 10] = [
        Self::Controllers,
        Self::DrainGuard,
        Self::Ensemble,
        Self::Identity,
        Self::Reassign,
        Self::Rollout,
        Self::Throttle,
        Self::Toolbox,
        Self::Topics,
        Self::Zookeeper,
    ];

    /// Its name: of the folder in `manifests/`, the ServiceAccount, the Role.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ensemble => "ensemble",
            Self::DrainGuard => "drain-guard",
            Self::Identity => "identity",
            Self::Zookeeper => "zookeeper",
            Self::Controllers => "controllers",
            Self::Topics => "topics",
            Self::Reassign => "reassign",
            Self::Rollout => "rollout",
            Self::Throttle => "throttle",
            Self::Toolbox => "toolbox",
        }
    }

    /// The command that runs.
    pub fn command(self) -> &'static str {
        match self {
            Self::Ensemble => "ensemble watch",
            Self::DrainGuard => "rollout drain-guard",
            Self::Identity => "identity assign",
            Self::Zookeeper => "ensemble prestart zookeeper",
            Self::Controllers => "ensemble prestart controller",
            Self::Topics => "topics apply",
            Self::Reassign => "reassign execute",
            Self::Rollout => "rollout run",
            Self::Throttle => "throttle run",
            Self::Toolbox => "toolbox",
        }
    }

    /// The purposes of the ConfigMaps that it keeps.
    fn purposes(self) -> &'static [Purpose] {
        use Purpose::{Control, Ensemble, Handover, Moves, Overrides, Throttle, Topics};
        match self {
            Self::Ensemble | Self::Zookeeper => &[Ensemble],
            Self::DrainGuard | Self::Identity | Self::Controllers | Self::Rollout => &[],
            Self::Topics => &[Topics],
            Self::Reassign => &[Moves, Control, Throttle, Overrides, Handover],
            Self::Throttle => &[Throttle, Overrides, Handover],
            Self::Toolbox => &[Topics, Moves, Control, Throttle, Overrides, Handover, Ensemble],
        }
    }

    /// The purposes of the Leases that it takes.
    fn leases(self, lock: LockKind) -> Vec<Purpose> {
        use Purpose::{Disruption, Moves, Throttle, Topics};
        let (topics, moves, throttle) = match self {
            // It has no lock in Kafka, whose coordinator is restarted.
            Self::DrainGuard if matches!(lock, LockKind::Kafka | LockKind::Lease) => {
                return vec![Disruption];
            }
            Self::Ensemble
            | Self::Rollout
            | Self::DrainGuard
            | Self::Identity
            | Self::Zookeeper
            | Self::Controllers => (false, false, false),
            Self::Topics => (true, false, false),
            Self::Reassign => (false, true, true),
            Self::Throttle => (false, false, true),
            Self::Toolbox => (true, true, true),
        };
        // `topics apply` has no lock in Kafka: it takes a Lease, or a file.
        let (topics, others) = (topics && matches!(lock, LockKind::Kafka | LockKind::Lease), lock == LockKind::Lease);
        let wanted = [(topics, Topics), (moves && others, Moves), (throttle && others, Throttle)];
        wanted.into_iter().filter_map(|(is_wanted, purpose)| is_wanted.then_some(purpose)).collect()
    }

    /// Whether it restarts servers, or changes who votes: then it takes the locks of that, which are never in Kafka.
    fn disrupts(self, lock: LockKind) -> bool {
        matches!(self, Self::Ensemble | Self::Rollout | Self::Toolbox)
            && matches!(lock, LockKind::Kafka | LockKind::Lease)
    }

    /// What is above its pod, by which Events find the Deployment or CronJob; a StatefulSet is the last owner.
    fn owner_of_pod(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Topics | Self::Reassign | Self::Rollout => Some(("batch", "jobs")),
            Self::DrainGuard | Self::Ensemble | Self::Throttle | Self::Toolbox => Some(("apps", "replicasets")),
            Self::Identity | Self::Zookeeper | Self::Controllers => None,
        }
    }
}

/// Where runs exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LockKind {
    /// In the Kafka cluster; `topics apply` takes a Lease
    #[default]
    Kafka,
    /// A Lease
    Lease,
    /// A file
    File,
    /// No lock
    None,
}

/// What the rules depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// The cluster.
    pub cluster: ClusterRef,
    /// Who declares the topics (`--owner`).
    pub owner: String,
    /// Where runs of `reassign execute` and `throttle run` exclude each other.
    pub lock: LockKind,
    /// Whether declared topics are read from live ConfigMaps, not from files.
    pub reads_config_maps: bool,
    /// The maps whose broker ids are given out, or shown.
    pub maps: Vec<String>,
}

impl Setup {
    /// The name of the objects for a purpose.
    fn object(&self, purpose: Purpose) -> String {
        let cluster = self.cluster.name.as_ref().unwrap_or(&self.cluster.id);
        if purpose == Purpose::Ensemble {
            return Identity::of_ensemble(cluster).object_name();
        }
        let owner = (purpose == Purpose::Topics).then(|| self.owner.clone());
        Identity { purpose, cluster: self.cluster.clone(), owner }.object_name()
    }

    /// The names of the locks of restarts and changes of membership: of the cluster, and of its ensemble.
    fn disruptions(&self) -> [String; 2] {
        let cluster = self.cluster.name.as_ref().unwrap_or(&self.cluster.id);
        [self.object(Purpose::Disruption), Identity::of_ensemble_lock("", cluster).object_name()]
    }

    /// The name of the record of its KRaft controllers.
    fn controllers(&self) -> String {
        Identity::of_controllers(self.cluster.name.as_ref().unwrap_or(&self.cluster.id)).object_name()
    }

    /// The names of the registries of broker ids.
    fn registries(&self) -> impl Iterator<Item = String> {
        let cluster = self.cluster.name.as_ref().unwrap_or(&self.cluster.id);
        self.maps.iter().map(move |map| Identity::of_brokers(cluster, map).object_name())
    }
}

/// One rule of a Role, for one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What it is for, as a sentence.
    #[serde(skip)]
    pub reason: &'static str,
    /// Whether the command works without it.
    #[serde(skip)]
    pub is_optional: bool,
    /// The API group; the core group's is empty.
    pub api_groups: [&'static str; 1],
    /// The resource.
    pub resources: [&'static str; 1],
    /// The objects; any where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// What is done with them.
    pub verbs: Vec<&'static str>,
}

impl Rule {
    fn new(reason: &'static str, group: &'static str, resource: &'static str, verbs: &[&'static str]) -> Self {
        Self {
            reason,
            is_optional: false,
            api_groups: [group],
            resources: [resource],
            resource_names: Vec::new(),
            verbs: verbs.to_vec(),
        }
    }

    fn named(self, names: Vec<String>) -> Self {
        Self { resource_names: names, ..self }
    }

    fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// Each verb on each object of the rule.
    pub fn rights(&self) -> Vec<Right> {
        let names: Vec<_> = match &self.resource_names[..] {
            [] => vec![None],
            names => names.iter().cloned().map(Some).collect(),
        };
        let ([group], [resource]) = (self.api_groups, self.resources);
        let right = |name: &Option<String>, verb: &&'static str| Right { group, resource, name: name.clone(), verb };
        names.iter().flat_map(|name| self.verbs.iter().map(move |verb| right(name, verb))).collect()
    }

    /// The rule as it stands in a Role, indented by so many spaces.
    pub fn yaml(&self, indent: usize) -> String {
        let mut text = String::new();
        let [group] = self.api_groups;
        let group = if group.is_empty() { "\"\"" } else { group };
        let space = " ".repeat(indent);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{space}- apiGroups: [{group}]");
        let _ = writeln!(text, "{space}  resources: [{}]", self.resources.join(", "));
        if !self.resource_names.is_empty() {
            let _ = writeln!(text, "{space}  resourceNames: [{}]", self.resource_names.join(", "));
        }
        let _ = writeln!(text, "{space}  verbs: [{}]", self.verbs.join(", "));
        text
    }
}

/// Everything that a workload needs in its namespace.
pub fn rules(workload: Workload, setup: &Setup) -> Vec<Rule> {
    let objects = |purposes: &[Purpose]| purposes.iter().map(|purpose| setup.object(*purpose)).collect::<Vec<_>>();
    let mut rules = Vec::new();
    if matches!(workload, Workload::Topics | Workload::Toolbox) {
        let reason = "Declared topics, and who else declares them, by label. Kubernetes can't limit a list to a label.";
        let verbs: &[_] = if setup.reads_config_maps { &["get", "list"] } else { &["list"] };
        rules.push(Rule::new(reason, "", "configmaps", verbs));
    }
    rules.extend(kept(workload, setup));
    let mut leases = objects(&workload.leases(setup.lock));
    if workload.disrupts(setup.lock) {
        leases.extend(setup.disruptions());
    }
    if !leases.is_empty() {
        const GROUP: &str = "coordination.k8s.io";
        rules.push(if workload == Workload::Topics {
            Rule::new("One run at a time.", GROUP, "leases", &["create"])
        } else {
            let reason = "One run at a time, also where another run has another name for the cluster.";
            Rule::new(reason, GROUP, "leases", &["create", "list"])
        });
        let rule = Rule::new("One run at a time, by name.", GROUP, "leases", &["get", "update"]);
        rules.push(rule.named(leases));
    }
    rules.push(Rule::new("Events about what a run did.", "events.k8s.io", "events", &["create"]).optional());
    if workload == Workload::Identity {
        let reason =
            "Whether the pod that had an id runs; which StatefulSet the pod belongs to: Events are about that.";
        rules.push(Rule::new(reason, "", "pods", &["get"]));
        let reason = "Which volume the pod's claim is bound to (--claim).";
        rules.push(Rule::new(reason, "", "persistentvolumeclaims", &["get"]).optional());
    }
    if matches!(workload, Workload::Zookeeper | Workload::Controllers) {
        let reason = "Which StatefulSet the pod belongs to: Events are about that.";
        rules.push(Rule::new(reason, "", "pods", &["get"]).optional());
    }
    if workload == Workload::Zookeeper {
        let reason = "Which volume the pod's claim is bound to (--claim).";
        rules.push(Rule::new(reason, "", "persistentvolumeclaims", &["get"]).optional());
    }
    let sees_servers = matches!(workload, Workload::Ensemble | Workload::Toolbox);
    if sees_servers {
        rules.extend(of_servers(workload == Workload::Toolbox));
    }
    if let Some((group, resource)) = workload.owner_of_pod() {
        let reason = "What the pod belongs to: Events are about that.";
        if workload != Workload::DrainGuard && !sees_servers {
            rules.push(Rule::new(reason, "", "pods", &["get"]).optional());
        }
        rules.push(Rule::new(reason, group, resource, &["get"]).optional());
    }
    rules
}

/// What is read of the servers' pods before a change of who votes. Nodes and volumes belong to no namespace: manifests/ensemble/nodes
/// has the ClusterRole; the right to lower replicas names its StatefulSet: manifests/ensemble/scale.
fn of_servers(is_optional: bool) -> Vec<Rule> {
    let reason = "Whether the servers' pods are ready; what this pod belongs to: Events are about that.";
    let pods = Rule::new(reason, "", "pods", &["get"]);
    let reason = "Whether the servers' StatefulSet is being rolled out: then nobody who votes is changed.";
    let sets = Rule::new(reason, "apps", "statefulsets", &["get"]);
    let reason = "Whether the disk of a server that does not answer was deleted.";
    let claims = Rule::new(reason, "", "persistentvolumeclaims", &["get"]).optional();
    let needed = [pods, sets].map(|rule| if is_optional { rule.optional() } else { rule });
    needed.into_iter().chain([claims]).collect()
}

/// What is kept between runs, and what is read instead where nothing is.
fn kept(workload: Workload, setup: &Setup) -> Vec<Rule> {
    match workload {
        Workload::DrainGuard => {
            let registries = Rule::new("Which broker runs in which pod.", "", "configmaps", &["get"]);
            let reason = "Whether a pod runs, and whether it is being deleted.";
            return vec![registries.named(setup.registries().collect()), Rule::new(reason, "", "pods", &["get"])];
        }
        Workload::Rollout => {
            // It keeps nothing: the pods' revisions say how far it is.
            let reason = "The StatefulSets' revisions and pauses; the partition of an update is lowered.";
            let sets = Rule::new(reason, "apps", "statefulsets", &["get", "patch"]);
            let reason = "The pods of the StatefulSets: deleted one by one, by uid.";
            return vec![sets, Rule::new(reason, "", "pods", &["list", "delete"])];
        }
        _ => {}
    }
    let reason = "What is kept between runs. Kubernetes can't limit a create to a name.";
    let create = Rule::new(reason, "", "configmaps", &["create"]);
    let mut kept: Vec<_> = workload.purposes().iter().map(|purpose| setup.object(*purpose)).collect();
    let has_quorum = matches!(workload, Workload::Ensemble | Workload::Toolbox);
    kept.extend(has_quorum.then(|| setup.controllers()));
    if matches!(workload, Workload::Identity | Workload::Toolbox) {
        kept.extend(setup.registries());
    }
    if workload == Workload::Controllers {
        let cluster = setup.cluster.name.as_ref().unwrap_or(&setup.cluster.id);
        kept.push(Identity::of_controllers(cluster).object_name());
    }
    vec![create, Rule::new("What is kept between runs, by name.", "", "configmaps", &["get", "update"]).named(kept)]
}

/// The ServiceAccount, the Role and the RoleBinding of a workload as YAML; without a namespace they go where they are
/// applied to.
pub fn manifest(workload: Workload, rules: &[Rule], namespace: Option<&str>) -> String {
    let name = workload.name();
    let place = namespace.map(|namespace| format!("\n  namespace: {namespace}")).unwrap_or_default();
    let metadata = format!(
        "metadata:\n  name: {name}{place}\n  labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/part-of: \
         kafka-toolbox}}\n"
    );
    let rbac = "apiVersion: rbac.authorization.k8s.io/v1";
    let rules: Vec<_> = rules.iter().map(|rule| format!("  # {}\n{}", rule.reason, rule.yaml(2))).collect();
    let rules = rules.concat();
    let subject = match namespace {
        Some(namespace) => format!("{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}"),
        None => format!("{{kind: ServiceAccount, name: {name}}}"),
    };
    format!(
        "apiVersion: v1\nkind: ServiceAccount\n{metadata}---\n{rbac}\nkind: Role\n{metadata}rules:\n{rules}---\n\
         {rbac}\nkind: RoleBinding\n{metadata}roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: \
         {name}}}\nsubjects:\n  - {subject}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_asked_for_only_where_they_are_the_lock() {
        let leases =
            |workload: Workload, lock| workload.leases(lock).into_iter().map(Purpose::word).collect::<Vec<_>>();
        assert_eq!(leases(Workload::Topics, LockKind::Kafka), ["topics"]);
        assert_eq!(leases(Workload::Topics, LockKind::File), [""; 0]);
        assert_eq!(leases(Workload::Reassign, LockKind::Kafka), [""; 0]);
        assert_eq!(leases(Workload::Reassign, LockKind::Lease), ["moves", "throttle"]);
        assert_eq!(leases(Workload::Throttle, LockKind::Lease), ["throttle"]);
        assert_eq!(leases(Workload::Toolbox, LockKind::Lease), ["topics", "moves", "throttle"]);
        assert_eq!(leases(Workload::Toolbox, LockKind::None), [""; 0]);
        assert_eq!(leases(Workload::Rollout, LockKind::Kafka), [""; 0]);
        assert!(Workload::Rollout.disrupts(LockKind::Kafka) && !Workload::Rollout.disrupts(LockKind::File));
        assert_eq!(leases(Workload::DrainGuard, LockKind::Kafka), ["disruption"]);
        assert_eq!(leases(Workload::DrainGuard, LockKind::File), [""; 0]);
    }
}
