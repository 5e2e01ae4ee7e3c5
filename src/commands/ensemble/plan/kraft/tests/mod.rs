//! The state table and every refusal as cases, and histories against a model of the controllers' own rules.

mod closed;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::cluster::ensemble::controllers::{Controller, Voter};
use crate::cluster::quorum::{DirectoryId, Endpoint, QuorumReplica, QuorumState, ReplicaKey};
use crate::commands::ensemble::plan::guards::SETTLE;

const NOW_MS: i64 = 1_000_000;
fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

/// The leader's time at a look, or so many milliseconds before.
fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn directory(number: i32) -> DirectoryId {
    DirectoryId::of(Uuid::from_u128(u128::from(number.unsigned_abs()) + 1)).unwrap()
}

fn voter(node: i32, disk: i32) -> Voter {
    Voter { node: NodeId(node), directory: directory(disk) }
}

/// Caught up, with the disk of its own number.
fn replica(node: i32, disk: i32) -> QuorumReplica {
    let key = ReplicaKey { id: NodeId(node), directory: Some(directory(disk)) };
    QuorumReplica { key, log_end_offset: Some(5_000), last_fetch: Some(at(NOW_MS)), last_caught_up: Some(at(NOW_MS)) }
}

fn endpoint(node: i32) -> Endpoint {
    Endpoint { listener: "CONTROLLER".to_owned(), host: format!("c-{node}"), port: 9_093 }
}

struct Scene {
    desired: DesiredQuorum,
    seen: SeenQuorum,
}
impl Scene {
    /// Voters 1 to N, all as desired; N leads. Auto-join is off.
    fn of(voters: i32) -> Self {
        let controller = |node| Controller::new(MemberState::Voter, Some(directory(node)));
        let set: Voters = (1..=voters).map(|node| voter(node, node)).collect();
        let desired = DesiredQuorum {
            size: usize::try_from(voters).unwrap(),
            members: (1..=voters).map(|node| (NodeId(node), controller(node))).collect(),
            last_voters: Some(LastVoters { voters: set, since: now() - SignedDuration::from_hours(1) }),
            ..DesiredQuorum::default()
        };
        let quorum = QuorumState {
            leader: Some(NodeId(voters)),
            leader_epoch: 3,
            high_watermark: 5_000,
            voters: (1..=voters).map(|node| replica(node, node)).collect(),
            ..QuorumState::default()
        };
        let seen = SeenQuorum {
            quorum,
            auto_join: Some(false),
            migrates: Some(false),
            answers: (1..=voters).map(|node| (NodeId(node), true)).collect(),
            ..SeenQuorum::default()
        };
        Self { desired, seen }
    }

    fn state(&mut self, node: i32, state: MemberState) -> &mut Self {
        self.desired.members.get_mut(&NodeId(node)).unwrap().state = state;
        self
    }

    fn dead(&mut self, node: i32) -> &mut Self {
        let replica = self.seen.quorum.voters.iter_mut().find(|replica| replica.key.id == NodeId(node)).unwrap();
        replica.last_fetch = Some(at(NOW_MS - 60_000));
        self.seen.answers.insert(NodeId(node), false);
        self
    }

    fn joiner(&mut self, node: i32) -> &mut Self {
        let controller = Controller::new(MemberState::Joining, Some(directory(node)));
        self.desired.members.insert(NodeId(node), controller);
        self.seen.quorum.observers.push(replica(node, node));
        self.seen.registered.insert(NodeId(node), Some(endpoint(node)));
        self.seen.samples.insert(NodeId(node), 3);
        self
    }

    /// Its disk was replaced: the voter is dead, an observer has the recorded new directory.
    fn new_disk(&mut self, node: i32) -> &mut Self {
        self.dead(node);
        self.seen.answers.insert(NodeId(node), true);
        self.seen.quorum.observers.push(replica(node, 100));
        self.seen.registered.insert(NodeId(node), Some(endpoint(node)));
        self.seen.samples.insert(NodeId(node), 3);
        self.desired.members.get_mut(&NodeId(node)).unwrap().directory = Some(directory(100));
        self
    }

    fn says(&self) -> String {
        let pass =
            decide(Input { desired: Some(&self.desired), seen: &self.seen, now: now(), rest: SETTLE, is_strict: true });
        words(&pass.decision)
    }
}

fn words(decision: &Decision) -> String {
    match decision {
        Decision::Nothing => "nothing".to_owned(),
        Decision::Wait(why) => format!("wait: {why}"),
        Decision::Refuse(refusal) => refusal.to_string(),
        Decision::Confirm(op) => format!("confirm {}", op.kind.word()),
        Decision::Change(change) => format!("{} {}", change.kind.word(), change.voter.node),
    }
}

#[test]
fn a_healthy_quorum_needs_nothing_and_has_no_findings() {
    let Scene { desired, seen } = Scene::of(3);
    let pass = decide(Input { desired: Some(&desired), seen: &seen, now: now(), rest: SETTLE, is_strict: true });
    assert_eq!((words(&pass.decision).as_str(), pass.findings), ("nothing", vec![]));
}

#[test]
fn every_row_of_the_state_table_leads_to_its_change() {
    assert!(
        Scene::of(5).state(1, MemberState::Leaving).says().starts_with("E_UNSAFE_SIZE"),
        "four is no size to end with"
    );
    let mut scene = Scene::of(5);
    scene.desired.size = 3;
    assert_eq!(scene.state(1, MemberState::Leaving).state(2, MemberState::Leaving).says(), "SHRINK 1");
    let mut scene = Scene::of(4);
    scene.desired.size = 3;
    assert_eq!(scene.state(4, MemberState::Leaving).says(), "SHRINK-L 4");
    assert!(Scene::of(3).dead(1).says().starts_with("wait: controller 1"));
    assert_eq!(Scene::of(3).dead(1).state(1, MemberState::Retired).joiner(4).says(), "ADD 4");
    let mut scene = Scene::of(4);
    scene.desired.size = 3;
    assert_eq!(scene.dead(1).state(1, MemberState::Retired).says(), "DROP 1");
    let mut scene = Scene::of(3);
    scene.desired.size = 5;
    assert_eq!(scene.joiner(4).joiner(5).says(), "ADD 4");
}

#[test]
fn the_old_directory_is_removed_before_the_new_one_is_added() {
    let mut scene = Scene::of(3);
    assert_eq!(scene.new_disk(1).says(), "FORGET-DISK 1");
    scene.seen.quorum.voters.retain(|replica| replica.key.id != NodeId(1));
    let voters = scene.seen.voter_set();
    scene.desired.last_voters.as_mut().unwrap().voters = voters;
    assert_eq!(scene.state(1, MemberState::Joining).says(), "ADD 1");
}

#[test]
fn a_replaced_disk_waits_while_another_voter_is_behind() {
    assert!(Scene::of(3).new_disk(1).dead(2).says().starts_with("E_NO_QUORUM"));
    let mut scene = Scene::of(5);
    assert_eq!(scene.new_disk(1).dead(2).says(), "FORGET-DISK 1");
    assert!(scene.dead(3).says().starts_with("E_NO_QUORUM"));
}

#[test]
fn an_unknown_directory_is_a_conflict_and_a_replaced_disk_is_waited_for_until_it_follows() {
    let mut scene = Scene::of(3);
    scene.new_disk(1).seen.quorum.observers.clear();
    assert!(scene.says().starts_with("wait: controller 1"), "{}", scene.says());
    let mut scene = Scene::of(3);
    scene.desired.members.get_mut(&NodeId(1)).unwrap().directory = Some(directory(77));
    assert!(scene.says().starts_with("E_ID_CONFLICT"), "{}", scene.says());
}

#[test]
fn a_static_quorum_is_refused_with_the_way_to_upgrade_whatever_level_it_shows() {
    let mut scene = Scene::of(3);
    for replica in &mut scene.seen.quorum.voters {
        replica.key.directory = None;
    }
    let said = scene.says();
    assert!(
        said.starts_with("E_STATIC_QUORUM") && said.contains("kraft.version=1") && said.contains("bootstrap.servers"),
        "{said}"
    );
}

#[test]
fn controllers_that_join_by_themselves_are_recorded_and_not_called_a_regression() {
    let mut scene = Scene::of(3);
    scene.desired.size = 5;
    scene.joiner(4);
    scene.seen.quorum.observers.clear();
    scene.seen.quorum.voters.push(replica(4, 4));
    assert!(scene.says().starts_with("E_MEMBERSHIP_REGRESSED"), "{}", scene.says());
    scene.seen.auto_join = Some(true);
    let pass =
        decide(Input { desired: Some(&scene.desired), seen: &scene.seen, now: now(), rest: SETTLE, is_strict: true });
    assert_eq!(pass.marks, [(NodeId(4), MemberState::Voter)].into(), "{}", words(&pass.decision));
}

#[test]
fn other_refusals_have_their_names() {
    let refused = |code: &str, spoil: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::of(4);
        scene.desired.size = 3;
        scene.state(1, MemberState::Leaving);
        assert_eq!(scene.says(), "SHRINK 1");
        spoil(&mut scene);
        assert!(scene.says().starts_with(code), "{code}: {}", scene.says());
    };
    refused("E_MIGRATION", &|scene| scene.seen.migrates = Some(true));
    refused("E_NO_QUORUM", &|scene| scene.seen.quorum.leader = None);
    refused("E_NO_QUORUM", &|scene| scene.seen.quorum.high_watermark = -1);
    refused("E_KRAFT_VERSION_MIXED", &|scene| scene.seen.without_kraft_version = [NodeId(9)].into());
    refused("E_COMBINED_ROLE", &|scene| scene.seen.combined = [NodeId(1)].into());
    refused("E_NOT_ADOPTED", &|scene| scene.desired.last_voters = None);
    refused("E_ROLLOUT", &|scene| scene.seen.rollout = Some("1 of 3 pods updated".to_owned()));
    refused("E_ROLLOUT", &|scene| scene.seen.unready = [(NodeId(2), "c-2 terminating".to_owned())].into());
    refused("wait: ", &|scene| scene.seen.leader_changed = true);
    refused("E_MEMBERSHIP_REGRESSED", &|scene| {
        scene.desired.last_voters.as_mut().unwrap().voters.remove(&voter(2, 2));
    });
}

#[test]
fn a_controller_that_lags_or_was_not_measured_is_not_added() {
    let mut scene = Scene::of(3);
    scene.desired.size = 5;
    scene.joiner(4).joiner(5);
    scene.seen.samples.clear();
    assert!(scene.says().starts_with("E_NOT_CAUGHT_UP"), "{}", scene.says());
    scene.seen.samples = [(NodeId(4), 2), (NodeId(5), 0)].into();
    assert!(scene.says().starts_with("E_NOT_CAUGHT_UP"), "{}", scene.says());
    scene.seen.samples = [(NodeId(4), 3), (NodeId(5), 3)].into();
    for replica in &mut scene.seen.quorum.observers {
        replica.log_end_offset = Some(3_999);
    }
    assert!(scene.says().starts_with("E_NOT_CAUGHT_UP"), "{}", scene.says());
}

#[test]
fn ghost_registrations_are_named_before_they_block_an_upgrade() {
    let mut scene = Scene::of(3);
    scene.seen.registered = [1, 2, 3, 9].map(|node| (NodeId(node), Some(endpoint(node)))).into();
    let pass =
        decide(Input { desired: Some(&scene.desired), seen: &scene.seen, now: now(), rest: SETTLE, is_strict: true });
    assert!(
        pass.findings.iter().any(|finding| finding.text.starts_with("controller 9 is registered")),
        "{:?}",
        pass.findings
    );
}

#[test]
fn an_open_change_is_settled_by_the_voters_that_are_there() {
    let voters = |nodes: &[i32]| nodes.iter().map(|node| voter(*node, *node)).collect::<Voters>();
    let op = QuorumOp {
        id: "op".into(),
        kind: QuorumChangeKind::Add,
        target: voter(4, 4),
        before: voters(&[1, 2, 3]),
        after: voters(&[1, 2, 3, 4]),
        started_at: now() - SignedDuration::from_secs(59),
    };
    assert_eq!(settle(&op, &op.after, now()), Settlement::Applied);
    assert_eq!(settle(&op, &op.before, now()), Settlement::Waits { seconds: 59 });
    assert_eq!(settle(&op, &op.before, now() + SignedDuration::from_secs(1)), Settlement::NotApplied);
    assert_eq!(settle(&op, &voters(&[1, 2]), now()), Settlement::Conflict);
}

/// What the controllers do: one change at a time, no second directory of an id, never the last voter; nothing else is checked.
struct Model {
    voters: Voters,
    /// Each running controller and its disk.
    running: BTreeMap<i32, i32>,
    leader: Option<i32>,
    changes: usize,
}

impl Model {
    fn live(&self) -> usize {
        self.voters
            .iter()
            .filter(|it| self.running.get(&it.node.0).is_some_and(|disk| directory(*disk) == it.directory))
            .count()
    }

    fn has_quorum(&self) -> bool {
        self.live() > self.voters.len() / 2
    }

    fn elect(&mut self) {
        let fit =
            |voter: &&Voter| self.running.get(&voter.node.0).is_some_and(|disk| directory(*disk) == voter.directory);
        let fit: Vec<_> = self.voters.iter().filter(fit).map(|voter| voter.node.0).collect();
        let stays = self.leader.filter(|leader| fit.contains(leader));
        self.leader = if self.has_quorum() { stays.or(fit.last().copied()) } else { None };
    }

    fn look(&self) -> SeenQuorum {
        let of = |voter: &Voter| {
            let is_live = self.running.get(&voter.node.0).is_some_and(|disk| directory(*disk) == voter.directory);
            let last_fetch = Some(at(if is_live { NOW_MS } else { NOW_MS - 60_000 }));
            QuorumReplica { key: (*voter).into(), last_fetch, ..replica(0, 0) }
        };
        let observers = self.running.iter().map(|(node, disk)| replica(*node, *disk));
        let observers: Vec<_> = observers.filter(|it| !self.voters.contains(&Voter::of(it).unwrap())).collect();
        SeenQuorum {
            samples: observers.iter().map(|it| (it.key.id, 3)).collect(),
            registered: self.running.keys().map(|node| (NodeId(*node), Some(endpoint(*node)))).collect(),
            quorum: QuorumState {
                leader: self.leader.map(NodeId),
                high_watermark: 5_000,
                voters: self.voters.iter().map(of).collect(),
                observers,
                ..QuorumState::default()
            },
            auto_join: Some(false),
            migrates: Some(false),
            answers: self.running.keys().map(|node| (NodeId(*node), true)).collect(),
            ..SeenQuorum::default()
        }
    }

    fn carry_out(&mut self, change: &Change) {
        let after = change.after(&self.voters);
        let is_duplicate =
            change.kind == QuorumChangeKind::Add && self.voters.iter().any(|it| it.node == change.voter.node);
        if !is_duplicate && !after.is_empty() && self.has_quorum() {
            self.changes += usize::from(after != self.voters);
            self.voters = after;
            self.elect();
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Kill(i32),
    Start(i32),
    NewDisk(i32),
    Join(i32),
    Leave(i32),
    Retire(i32),
    Pass(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let node = 1..7_i32;
    prop_oneof![
        2 => node.clone().prop_map(Event::Kill),
        3 => node.clone().prop_map(Event::Start),
        1 => node.clone().prop_map(Event::NewDisk),
        2 => node.clone().prop_map(Event::Join),
        1 => node.clone().prop_map(Event::Leave),
        1 => node.prop_map(Event::Retire),
        8 => any::<bool>().prop_map(Event::Pass)
    ]
}

struct World {
    model: Model,
    desired: DesiredQuorum,
    now: Timestamp,
}

impl World {
    fn happens(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Kill(node) => {
                self.model.running.remove(&node);
            }
            Event::Start(node) => {
                let controller = self.desired.members.get(&NodeId(node));
                let disk = controller.filter(|it| it.state != MemberState::Retired).and_then(|it| it.directory);
                if let Some(disk) = disk {
                    self.model.running.insert(node, i32::try_from(disk.uuid().as_u128()).unwrap() - 1);
                }
            }
            Event::NewDisk(node) => {
                if let Some(controller) = self.desired.members.get_mut(&NodeId(node)) {
                    controller.directory = Some(directory(node + 100));
                    self.model.running.remove(&node);
                }
            }
            Event::Join(node) => {
                let controller = Controller::new(MemberState::Joining, Some(directory(node)));
                self.desired.members.entry(NodeId(node)).or_insert(controller);
            }
            Event::Leave(node) | Event::Retire(node) => {
                let state = if matches!(event, Event::Leave(_)) { MemberState::Leaving } else { MemberState::Retired };
                self.desired.members.entry(NodeId(node)).and_modify(|it| it.state = state);
            }
            Event::Pass(is_lost) => return self.pass(is_lost).map(|_| ()),
        }
        self.model.elect();
        Ok(())
    }

    fn pass(&mut self, is_lost: bool) -> Result<String, TestCaseError> {
        let seen = self.model.look();
        let pass =
            decide(Input { desired: Some(&self.desired), seen: &seen, now: self.now, rest: SETTLE, is_strict: true });
        let (before, had_quorum) = (self.model.voters.clone(), self.model.has_quorum());
        let asked = self.desired.clone();
        if pass.clears_op {
            self.desired.op = None;
        }
        for (node, state) in &pass.marks {
            self.desired.members.get_mut(node).unwrap().state = *state;
        }
        match &pass.decision {
            Decision::Change(change) => {
                let (kind, target) = (change.kind, change.voter);
                let after = change.after(&before);
                let op =
                    QuorumOp { id: "op".into(), kind, target, before: before.clone(), after, started_at: self.now };
                self.desired.op = Some(op.clone());
                self.model.carry_out(change);
                if !is_lost && self.model.voters == op.after {
                    self.desired = recorded(&self.desired, &op, self.now);
                }
            }
            Decision::Confirm(op) => self.desired = recorded(&self.desired, op, self.now),
            _ => {}
        }
        prop_assert!(!had_quorum || self.model.has_quorum(), "a pass lost the quorum by {}", words(&pass.decision));
        prop_assert!(
            before.symmetric_difference(&self.model.voters).count() <= 1,
            "two changes: {}",
            words(&pass.decision)
        );
        for removed in before.difference(&self.model.voters) {
            let asked = asked.members.get(&removed.node);
            let runs =
                self.model.running.get(&removed.node.0).is_some_and(|disk| directory(*disk) == removed.directory);
            let is_allowed = match asked.map(|it| it.state) {
                Some(MemberState::Leaving) => true,
                Some(MemberState::Retired) => !runs,
                // Its disk was replaced.
                Some(_) => !runs && asked.and_then(|it| it.directory) != Some(removed.directory),
                None => false,
            };
            prop_assert!(is_allowed, "voter {removed} was removed: {asked:?}, runs {runs}");
        }
        Ok(words(&pass.decision))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_history_loses_a_quorum_or_a_voter_that_shall_stay_or_makes_two_changes_at_once(
        voters in prop_oneof![Just(3_i32), Just(5)],
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let scene = Scene::of(voters);
        let running = (1..=voters).map(|node| (node, node)).collect();
        let model = Model { voters: scene.seen.voter_set(), running, leader: Some(voters), changes: 0 };
        let mut world = World { model, desired: scene.desired, now: now() };
        for event in events {
            world.now += SignedDuration::from_secs(100);
            world.happens(event)?;
        }
        let nodes: Vec<_> = world.desired.members.keys().map(|node| node.0).collect();
        let mut said = String::new();
        for _ in 0..40 {
            world.now += SignedDuration::from_secs(400);
            nodes.iter().try_for_each(|node| world.happens(Event::Start(*node)))?;
            said = world.pass(false)?;
        }
        let changes = world.model.changes;
        world.pass(false)?;
        prop_assert_eq!(world.model.changes, changes, "a pass more changed something after {}", said);
        if said == "nothing" {
            let is_wanted = |it: &Controller| !matches!(it.state, MemberState::Leaving | MemberState::Retired);
            let wanted = world.desired.members.iter().filter(|(_, it)| is_wanted(it)).map(|(node, _)| *node);
            let voters = world.model.voters.iter().map(|voter| voter.node);
            prop_assert_eq!(voters.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
        }
    }
}
