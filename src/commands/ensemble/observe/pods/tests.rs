//! Reads of the API server in memory, in trouble too.

use super::*;
use crate::clients::kubernetes::{Facts, Identity, Memory, NodeState, REVISION_LABEL, Verb, VolumeState};
use crate::cluster::ensemble::desired::DesiredMember;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::{Answer, Mode, ServerView, Zxid};

/// Three servers in pods `zk-0` to `zk-2`, each with a local volume on a node of its own.
struct Bed {
    server: Memory,
    desired: Desired,
    seen: Seen,
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn name(name: &str) -> ObjectName {
    ObjectName::new("kafka", name)
}

impl Bed {
    fn new() -> Self {
        let server = Memory::new(Identity {
            namespace: "kafka".to_owned(),
            pod: None,
            service_account: Some("kafka/ensemble".to_owned()),
            source: "memory".to_owned(),
            server: "memory".to_owned(),
        });
        server.add_stateful_set(StatefulSet {
            name: name("zk"),
            uid: "set".to_owned(),
            replicas: 3,
            update_revision: "one".to_owned(),
            is_observed: true,
            ..StatefulSet::default()
        });
        let mut bed = Self { server, desired: Desired::default(), seen: Seen::default() };
        (0..3).for_each(|ordinal| bed.add(ordinal));
        bed
    }

    fn add(&mut self, ordinal: u32) {
        let (pod, node) = (format!("zk-{ordinal}"), format!("n{ordinal}"));
        self.server.add_pod(PodState {
            name: name(&pod),
            uid: format!("pod-{ordinal}"),
            controller_uid: Some("set".to_owned()),
            stateful_set: Some("zk".to_owned()),
            node: Some(node.clone()),
            labels: labels(&[(REVISION_LABEL, "one")]),
            claims: vec![format!("data-{pod}")],
            is_ready: true,
            ..PodState::default()
        });
        let zone = ["a", "b", "b"][usize::try_from(ordinal).unwrap()];
        let of_node = labels(&[(ZONE, zone), (HOSTNAME, &node)]);
        self.server.add_node(NodeState { name: node.clone(), labels: of_node.clone() });
        let facts = Facts { uid: node.clone(), labels: of_node, ..Facts::default() };
        self.server.add_facts(Resource::Nodes, ObjectName::new("", node.clone()), facts);
        let volume = format!("pv-{ordinal}");
        let facts = Facts { uid: format!("claim-{ordinal}"), volume: Some(volume.clone()), ..Facts::default() };
        self.server.add_facts(Resource::Claims, name(&format!("data-{pod}")), facts);
        self.server.add_volume(&volume, VolumeState { uid: volume.clone(), hosts: vec![node] });
        let id = ServerId(i64::from(ordinal) + 1);
        let line = ServerLine::parse(&format!("{pod}.zk:2888:3888;2181")).unwrap();
        let member = DesiredMember { pod: Some(pod), ..DesiredMember::new(line, MemberState::Voter) };
        self.desired.members.insert(id, member);
        self.answers(id.0, true);
    }

    fn answers(&mut self, number: i64, answers: bool) {
        let answer = if answers {
            Answer::Serving { mode: Mode::Follower, zxid: Zxid(1) }
        } else {
            Answer::Down { why: "connection refused".to_owned() }
        };
        self.seen.servers.insert(ServerId(number), ServerView::of(answer));
    }

    async fn read(&self) -> PodsRead {
        let deadline = Instant::now() + Duration::from_secs(5);
        Pods::default().read(&self.server, &self.desired, &self.seen, deadline).await
    }

    /// The record after a look, as `apply` keeps it.
    async fn learn(&mut self) {
        let read = self.read().await;
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        self.desired = concluded(&self.desired, &read, &mut self.seen, now).unwrap();
    }

    fn remove_node(&self, node: &str) {
        self.server.remove_node(node);
        self.server.remove_facts(Resource::Nodes, &ObjectName::new("", node));
    }

    /// What is missing of the disk of server 1, which does not answer.
    async fn disk(&self) -> DiskState {
        self.read().await.disks.get("zk-0").cloned().unwrap_or(DiskState::Unknown)
    }
}

#[tokio::test]
async fn pods_sets_zones_and_disks_are_read_in_a_few_requests_and_known_disks_are_not_read_again() {
    let mut bed = Bed::new();
    let read = bed.read().await;
    assert_eq!((read.unknown.as_deref(), &read.notes[..]), (None, &[][..]));
    assert_eq!(read.pods["zk-1"].node.as_deref(), Some("n1"));
    assert_eq!(read.sets["zk"].as_ref().unwrap().last_ordinal(), Some(2));
    assert_eq!(read.zones["n2"], "b");
    assert_eq!(bed.server.requests(), 3 + 1 + 3 + 3);
    bed.learn().await;
    let disk = bed.desired.members[&ServerId(1)].disk.clone().unwrap();
    assert_eq!((disk.pod_uid.as_str(), disk.claims[0].uid.as_deref()), ("pod-0", Some("claim-0")));
    let before = bed.server.requests();
    assert!(bed.read().await.disks.is_empty());
    assert_eq!(bed.server.requests() - before, 3 + 1 + 3);
}

#[tokio::test]
async fn a_right_that_is_missing_an_error_and_a_server_that_does_not_answer_leave_the_pods_unknown() {
    let of = async |spoil: fn(&Memory)| {
        let bed = Bed::new();
        spoil(&bed.server);
        let read = bed.read().await;
        assert!(read.pods.is_empty() && read.sets.is_empty() && read.disks.is_empty());
        read.unknown.unwrap()
    };
    let why = of(|server| server.forbid(Verb::Get, Resource::Pods)).await;
    assert!(why.contains("kafka/ensemble may not get pods in namespace kafka"), "{why}");
    let why = of(|server| server.forbid(Verb::Get, Resource::StatefulSets)).await;
    assert!(why.contains("resources: [\"statefulsets\"]"), "{why}");
    let why = of(|server| server.set_broken(Verb::Get, Resource::StatefulSets, true)).await;
    assert!(why.contains("answered 500"), "{why}");
    let why = of(|server| server.set_down(true)).await;
    assert!(why.contains("could not be reached"), "{why}");
}

#[tokio::test]
async fn nodes_and_volumes_that_may_not_be_read_are_a_note_and_never_evidence() {
    let mut bed = Bed::new();
    bed.answers(1, false);
    bed.remove_node("n0");
    bed.server.forbid(Verb::Get, Resource::Nodes);
    bed.server.forbid(Verb::Get, Resource::Volumes);
    let read = bed.read().await;
    assert_eq!((read.unknown, read.disks.len()), (None, 0));
    assert!(read.notes[0].contains("the zones of the servers are not known") && read.notes[0].contains("ClusterRole"));
    assert!(read.notes[1].contains("none counts as gone for good by itself"), "{:?}", read.notes);
}

#[tokio::test]
async fn a_container_that_ends_again_and_again_is_seen_and_its_words_reach_no_terminal_as_they_are() {
    let mut bed = Bed::new();
    bed.answers(2, false);
    let pod = bed.server.peek_pod(&name("zk-1")).unwrap();
    let crash_loop = Some("container zookeeper: CrashLoopBackOff, 5 restarts, exit code 1: \u{1b}[2Jgone".to_owned());
    bed.server.add_pod(PodState { is_ready: false, crash_loop, ..pod });
    bed.learn().await;
    let crash_loops = &bed.seen.workload.as_ref().unwrap().crash_loops;
    let words = r"pod zk-1: container zookeeper: CrashLoopBackOff, 5 restarts, exit code 1: \u{1b}[2Jgone";
    assert_eq!(crash_loops.iter().collect::<Vec<_>>(), [(&ServerId(2), &words.to_owned())]);
}

#[tokio::test]
async fn a_pod_or_a_set_that_is_gone_is_known_to_be_gone() {
    let bed = Bed::new();
    bed.server.remove_pod(&name("zk-0"));
    let read = bed.read().await;
    assert!(read.unknown.is_none() && !read.pods.contains_key("zk-0") && read.pods.len() == 2);
}

#[tokio::test]
async fn the_disk_of_a_silent_server_is_missing_where_its_node_claim_or_volume_is_gone() {
    let mut bed = Bed::new();
    bed.learn().await;
    bed.answers(1, false);
    assert!(matches!(bed.disk().await, DiskState::There(_)));
    bed.server.remove_node("n0");
    assert!(matches!(bed.disk().await, DiskState::There(_)), "the node is there, and lost its label alone");
    bed.remove_node("n0");
    let DiskState::Missing(Lost::Node, what) = bed.disk().await else { panic!() };
    assert_eq!(what, "volume pv-0 is bound to node n0, which does not exist");
    bed.server.set_broken(Verb::List, Resource::Nodes, true);
    assert_eq!(bed.disk().await, DiskState::Unknown);
    bed.server.set_broken(Verb::List, Resource::Nodes, false);

    bed.server.remove_volume("pv-0");
    assert_eq!(
        bed.disk().await,
        DiskState::Missing(Lost::Volume, "volume pv-0 of claim data-zk-0 was deleted".to_owned())
    );
    let anew = Facts { uid: "another".to_owned(), ..Facts::default() };
    bed.server.add_facts(Resource::Claims, name("data-zk-0"), anew);
    assert_eq!(
        bed.disk().await,
        DiskState::Missing(Lost::Volume, "claim data-zk-0 was deleted, and made anew".to_owned())
    );
    bed.server.remove_facts(Resource::Claims, &name("data-zk-0"));
    assert_eq!(bed.disk().await, DiskState::Missing(Lost::Volume, "claim data-zk-0 was deleted".to_owned()));
    bed.server.remove_pod(&name("zk-0"));
    assert!(matches!(bed.disk().await, DiskState::Missing(..)), "the record knows the claim without the pod");
    bed.desired.members.get_mut(&ServerId(1)).unwrap().disk = None;
    assert_eq!(bed.disk().await, DiskState::Unknown, "nobody knows what disk it had");
}

#[tokio::test]
async fn a_volume_that_is_bound_to_no_node_is_not_lost_with_one() {
    let mut bed = Bed::new();
    bed.learn().await;
    bed.answers(1, false);
    bed.server.add_volume("pv-0", VolumeState::default());
    bed.remove_node("n0");
    assert!(matches!(bed.disk().await, DiskState::There(_)));
}

#[tokio::test(start_paused = true)]
async fn a_look_ends_within_its_limit() {
    let silent = std::future::pending::<Result<(), KubernetesError>>();
    let deadline = Instant::now() + Duration::from_secs(1);
    assert_eq!(within(deadline, silent).await.unwrap_err(), "the Kubernetes API did not answer in time");
}
