//! What Kubernetes knows of the pods, and what a pass makes of it.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::scene::{Scene, ago, id, now};
use crate::cluster::ensemble::desired::{ChangeKind, Entry, MemberState};
use crate::cluster::ensemble::gone::Evidence;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::ConfigVersion;
use crate::cluster::ensemble::pods::{Claim, Disk, DiskState, HostPod, Lost, Pod, PodsRead, Set};
use crate::cluster::ensemble::server_line::ServerLine;
use crate::commands::ensemble::plan::coherence::Alert;
use crate::commands::ensemble::plan::pods::{evidence, fill, found_by_hosts, noted};
use crate::commands::ensemble::plan::steps::plan;
use crate::commands::ensemble::plan::stop::Surplus;

fn pod(ordinal: u32) -> Pod {
    Pod {
        uid: format!("uid-{ordinal}"),
        node: Some(format!("node-{ordinal}")),
        is_ready: true,
        revision: Some("new".to_owned()),
        ordinal: Some(ordinal),
        set: Some("zk".to_owned()),
        set_uid: Some("set".to_owned()),
        ..Pod::default()
    }
}

fn set(replicas: u32) -> Set {
    Set {
        uid: "set".to_owned(),
        resource_version: "7".to_owned(),
        replicas,
        update_revision: "new".to_owned(),
        is_observed: true,
        ..Set::default()
    }
}

/// A scene whose server N has pod `zk-(N-1)`, and what Kubernetes shows of them.
struct World {
    scene: Scene,
    read: PodsRead,
}

impl World {
    fn of(voters: u32) -> Self {
        let mut world = Self { scene: Scene::of(i64::from(voters)), read: PodsRead::default() };
        world.read.namespace = "kafka".to_owned();
        world.read.may_scale = true;
        world.read.sets.insert("zk".to_owned(), Some(set(voters)));
        (0..voters).for_each(|ordinal| world.has_pod(ordinal));
        world
    }

    fn has_pod(&mut self, ordinal: u32) {
        let name = format!("zk-{ordinal}");
        self.read.pods.insert(name.clone(), pod(ordinal));
        self.scene.desired.members.get_mut(&id(i64::from(ordinal) + 1)).unwrap().pod = Some(name);
    }

    /// Growth to five: servers 4 and 5 may be promoted.
    fn growing() -> Self {
        let mut world = Self::of(3);
        world.scene.size(5).joiner(4).joiner(5);
        world.read.sets.insert("zk".to_owned(), Some(set(5)));
        for ordinal in [3, 4] {
            world.has_pod(ordinal);
            world.pod(ordinal).is_ready = false;
        }
        world
    }

    /// Four voters of which server N was removed alive; its process still runs.
    fn shrunk(number: i64) -> Self {
        let mut world = Self::of(4);
        let scene = &mut world.scene;
        scene.size(3).state(number, MemberState::Retired);
        scene.seen.quorum.as_mut().unwrap().membership.servers.remove(&id(number));
        let after = scene.seen.quorum.clone().unwrap();
        scene.desired.last_config.as_mut().unwrap().config = after.clone();
        scene.seen.servers.values_mut().for_each(|view| view.config = Some(after.clone()));
        let (kind, version) = (ChangeKind::Shrink, ConfigVersion(1));
        scene.desired.history.push(Entry { at: ago(5), kind, target: id(number), version, is_leader: false });
        if number == 4 {
            scene.serves(4, crate::cluster::ensemble::view::Mode::Follower);
            scene.serves(3, crate::cluster::ensemble::view::Mode::Leader);
        }
        world
    }

    fn pod(&mut self, ordinal: u32) -> &mut Pod {
        self.read.pods.get_mut(&format!("zk-{ordinal}")).unwrap()
    }

    fn set(&mut self) -> &mut Set {
        self.read.sets.get_mut("zk").unwrap().as_mut().unwrap()
    }

    fn filled(&self) -> Scene {
        let mut scene = self.scene.clone();
        fill(&scene.desired, &self.read, &mut scene.seen);
        scene
    }

    fn says(&self) -> String {
        self.filled().says()
    }

    fn notices(&self) -> Vec<String> {
        let found = self.filled().pass().findings;
        found.into_iter().filter(|it| it.alert == Alert::Notice).map(|it| it.text).collect()
    }

    fn becomes(&self, number: i64) -> Surplus {
        self.filled().seen.workload.unwrap().surplus.remove(&id(number)).unwrap()
    }

    fn by_hand(&self, number: i64) -> String {
        match self.becomes(number) {
            Surplus::ByHand { words } => words,
            other => panic!("{other:?}"),
        }
    }

    /// The steps of a pass.
    fn steps(&self) -> Vec<String> {
        let scene = self.filled();
        let plan = plan(&scene.pass(), Some(&scene.desired), &scene.seen);
        plan.steps.iter().map(ToString::to_string).collect()
    }
}

#[track_caller]
fn refused(words: &str, spoil: impl FnOnce(&mut World)) {
    let mut world = World::growing();
    spoil(&mut world);
    let said = world.says();
    assert!(said.starts_with("E_ROLLOUT: ") && said.contains(words), "{words}: {said}");
}

#[test]
fn joiners_that_are_not_ready_hold_nothing_up() {
    assert_eq!(World::growing().says(), "PROMOTE: server 4 becomes a voter");
}

#[test]
fn a_member_whose_pod_is_terminating_pending_or_not_there_refuses_a_change() {
    refused("the pod of server 1 is not ready: zk-0 terminating", |world| world.pod(0).is_terminating = true);
    refused("zk-1 not ready", |world| world.pod(1).is_ready = false);
    refused("zk-1 not ready: CrashLoopBackOff", |world| {
        world.pod(1).is_ready = false;
        world.pod(1).stuck = Some("CrashLoopBackOff".to_owned());
    });
    refused("zk-2 does not exist", |world| {
        world.read.pods.remove("zk-2");
    });
}

#[test]
fn a_server_that_exits_again_and_again_is_named_and_a_member_among_them_is_a_member_that_does_not_run() {
    use crate::commands::ensemble::plan::table::{Advice, Row};
    let words = "container zookeeper: CrashLoopBackOff, 5 restarts, exit code 1";
    let crashing = |world: &mut World, ordinal: u32| {
        world.pod(ordinal).is_ready = false;
        world.pod(ordinal).crash_loop = Some(words.to_owned());
        world.scene.down(i64::from(ordinal) + 1);
    };
    let known = |world: &World, number: i64| {
        let known = world.filled().pass().members.remove(&id(number)).unwrap();
        (known.row, known.advice)
    };
    let mut world = World::growing();
    crashing(&mut world, 3);
    assert_eq!(known(&world, 4), (Row::CrashLoop, Advice::Rewrite));
    assert_eq!(world.says(), "PROMOTE: server 5 becomes a voter", "another joiner does not wait for it");
    let notices = world.notices();
    assert!(
        notices.iter().any(|text| text.contains(&format!("server 4 exits again and again: pod zk-3: {words}; where")))
    );
    world.scene.state(4, MemberState::Leaving);
    assert_eq!(known(&world, 4), (Row::CrashLoop, Advice::MarkRetired));
    world.scene.state(4, MemberState::Retired);
    assert_eq!(known(&world, 4).1, Advice::Nothing);
    assert!(world.notices().iter().all(|text| !text.contains("again and again")), "it is expected");

    let mut world = World::growing();
    crashing(&mut world, 0);
    assert_eq!(known(&world, 1), (Row::DownVoter, Advice::DropIfGone));
    assert!(world.says().starts_with("E_ROLLOUT: ") && world.says().contains(&format!("zk-0 not ready: {words}")));
    assert!(world.notices().contains(&format!("server 1 exits again and again: pod zk-0: {words}")));
    world.scene.state(1, MemberState::Leaving);
    assert!(world.filled().pass().marks.is_empty(), "it is a member still");

    // The server answers: it is another container of its pod that ends.
    let mut world = World::growing();
    world.pod(3).crash_loop = Some(words.to_owned());
    assert_eq!(known(&world, 4).1, Advice::Promote);
    assert!(world.notices().iter().all(|text| !text.contains("again and again")));
}

#[test]
fn a_rollout_refuses_a_change_and_newer_pods_of_joiners_are_none() {
    refused("0 of 3 pods have the revision new", |world| {
        world.set().partition = Some(0);
        (0..3).for_each(|ordinal| world.pod(ordinal).revision = Some("old".to_owned()));
    });
    refused("1 of 3 pods have the revision new", |world| {
        (0..2).for_each(|ordinal| world.pod(ordinal).revision = Some("old".to_owned()));
    });
    refused("does not exist", |world| {
        world.read.sets.insert("zk".to_owned(), None);
    });
    refused("is another one", |world| world.set().uid = "other".to_owned());
    let mut world = World::growing();
    (0..3).for_each(|ordinal| world.pod(ordinal).revision = Some("old".to_owned()));
    assert!(world.says().starts_with("PROMOTE"), "nobody replaces pods: {}", world.says());
    world.set().partition = Some(3);
    assert!(world.says().starts_with("PROMOTE"), "the members' pods stay as they are: {}", world.says());
    world.set().is_observed = false;
    assert!(world.says().starts_with("wait: ") && world.says().contains("guard I10 waits"), "{}", world.says());
}

#[test]
fn what_could_not_be_read_refuses_a_change_and_says_why() {
    refused("statefulsets: forbidden", |world| {
        world.read = PodsRead { unknown: Some("statefulsets: forbidden".to_owned()), ..PodsRead::default() };
    });
    let mut world = World::of(3);
    world.read.unknown = Some("no answer".to_owned());
    assert_eq!(world.says(), "nothing", "where nothing is to be done, nothing is refused");
    assert!(world.notices()[0].contains("the servers' pods are not known: no answer. Changes are refused (E_ROLLOUT)"));
    let mut scene = world.scene.clone();
    scene.desired.members.values_mut().for_each(|member| member.pod = None);
    fill(&scene.desired, &world.read, &mut scene.seen);
    assert_eq!(scene.seen.workload, None, "without pods in the record Kubernetes says nothing");
}

#[test]
fn two_servers_that_are_gone_for_good_do_not_keep_each_other_from_being_replaced() {
    let mut world = World::of(5);
    world.scene.down(1).down(2).joiner(6).joiner(7);
    for ordinal in [0, 1] {
        world.pod(ordinal).is_ready = false;
    }
    let gone = Evidence { volume_deleted: true, ..Evidence::default() };
    world.scene.seen.evidence.insert(id(1), gone.clone());
    assert!(world.says().starts_with("E_ROLLOUT: REPLACE: server 6"), "server 2 may come back: {}", world.says());
    world.scene.seen.evidence.insert(id(2), gone);
    assert!(world.says().starts_with("REPLACE: server 6 takes the place of server 1"), "{}", world.says());
}

#[test]
fn losing_a_zone_is_named_only_where_three_zones_exist() {
    let mut world = World::of(3);
    world.read.zones = [("node-0", "a"), ("node-1", "a"), ("node-2", "b")]
        .map(|(node, zone)| (node.to_owned(), zone.to_owned()))
        .into();
    assert_eq!(world.notices(), [""; 0], "there is no third zone to go to");
    world.read.cluster_zones = ["a", "b", "c"].map(str::to_owned).into();
    assert_eq!(world.notices(), ["losing zone a would lose the quorum although 3 zones exist"]);
    assert!(world.filled().pass().findings.iter().all(|it| it.alert == Alert::Notice), "no alert");
}

fn disk(uid: &str) -> Disk {
    let claim = Claim { name: "data-zk-0".to_owned(), uid: Some("claim".to_owned()), volume: Some("pv-0".to_owned()) };
    Disk { pod_uid: uid.to_owned(), claims: vec![claim] }
}

#[test]
fn the_record_learns_the_disk_of_a_server_that_is_well_and_forgets_that_it_was_missing() {
    let mut world = World::of(3);
    world.read.disks.insert("zk-0".to_owned(), DiskState::There(disk("uid-0")));
    let next = noted(&world.scene.desired, &world.read, &world.scene.seen, now()).unwrap();
    assert_eq!(next.members[&id(1)].disk, Some(disk("uid-0")));
    world.scene.desired = next;
    assert_eq!(noted(&world.scene.desired, &world.read, &world.scene.seen, now()), None, "nothing is written again");
    world.scene.down(1);
    world.read.disks.insert("zk-0".to_owned(), DiskState::Missing(Lost::Node, "no node".to_owned()));
    world.scene.desired = noted(&world.scene.desired, &world.read, &world.scene.seen, now()).unwrap();
    assert_eq!(world.scene.desired.members[&id(1)].missing.as_ref().unwrap().since, now());
    world.scene.serves(1, crate::cluster::ensemble::view::Mode::Follower);
    let next = noted(&world.scene.desired, &world.read, &world.scene.seen, now()).unwrap();
    assert_eq!(next.members[&id(1)].missing, None, "a server that answers is not gone");
}

/// An ensemble that was adopted: the record names no pods, the members' hosts do.
fn adopted() -> World {
    let mut world = World::growing();
    let hosted = |id: &ServerId| {
        let host = format!("zk-{}.zk.kafka.svc.cluster.local", id.0 - 1);
        ServerLine::parse(&format!("{host}:2888:3888:participant;0.0.0.0:2181")).unwrap()
    };
    let scene = &mut world.scene;
    for (id, member) in &mut scene.desired.members {
        (member.pod, member.line) = (None, hosted(id));
    }
    let quorum = scene.seen.quorum.as_mut().unwrap();
    quorum.membership.servers.iter_mut().for_each(|(id, line)| *line = hosted(id));
    let config = quorum.clone();
    scene.desired.last_config.as_mut().unwrap().config = config.clone();
    scene.seen.servers.values_mut().for_each(|view| view.config = Some(config.clone()));
    world.read.pods.values_mut().for_each(|pod| pod.subdomain = Some("zk".to_owned()));
    world
}

#[test]
fn a_member_without_a_pod_in_the_record_is_looked_for_by_its_host() {
    assert!(adopted().says().starts_with("PROMOTE: server 4"), "{}", adopted().says());
    let refused = |words: &str, spoil: fn(&mut World)| {
        let mut world = adopted();
        spoil(&mut world);
        let said = world.says();
        assert!(said.starts_with("E_ROLLOUT: ") && said.contains(words), "{words}: {said}");
    };
    refused("the pod of server 1 is not ready: zk-0 terminating", |world| world.pod(0).is_terminating = true);
    refused("the pod of server 2 is not ready: zk-1 does not exist", |world| drop(world.read.pods.remove("zk-1")));
    refused("zk-2 is not named by service zk", |world| world.pod(2).subdomain = Some("other".to_owned()));
    refused("1 of 3 pods have the revision new", |world| {
        (0..2).for_each(|ordinal| world.pod(ordinal).revision = Some("old".to_owned()));
    });
    refused("the servers' pods are not known: no answer", |world| {
        world.read = PodsRead { unknown: Some("no answer".to_owned()), ..PodsRead::default() };
    });
    let mut elsewhere = adopted();
    elsewhere.read = PodsRead { namespace: "other".to_owned(), ..PodsRead::default() };
    assert!(elsewhere.says().starts_with("PROMOTE"), "pods of another namespace: {}", elsewhere.says());
    assert_eq!(elsewhere.filled().seen.workload, None);
}

#[test]
fn a_short_name_is_that_of_a_pod_only_where_the_namespace_has_the_pod_or_its_set() {
    let hosts = [(id(1), HostPod::of("zk-0.lan").unwrap())].into();
    let mut read = PodsRead { namespace: "kafka".to_owned(), ..PodsRead::default() };
    assert_eq!(found_by_hosts(&hosts, &read), BTreeMap::new(), "it may be a machine's");
    read.sets.insert("zk".to_owned(), Some(set(3)));
    assert_eq!(found_by_hosts(&hosts, &read)[&id(1)], Err("zk-0 does not exist".to_owned()));
    read.pods.insert("zk-0".to_owned(), Pod { subdomain: Some("zk".to_owned()), ..pod(0) });
    assert_eq!(found_by_hosts(&hosts, &read), BTreeMap::new(), "the pod has another name");
    read.pods.insert("zk-0".to_owned(), Pod { subdomain: Some("lan".to_owned()), ..pod(0) });
    assert_eq!(found_by_hosts(&hosts, &read)[&id(1)], Ok("zk-0".to_owned()));
}

/// What a pass says after looks at these minutes, all of which found the same.
fn after_looks(minutes: &[i64], state: &DiskState) -> String {
    let mut world = World::of(3);
    world.scene.down(1).joiner(4);
    world.pod(0).is_ready = false;
    world.read.disks.insert("zk-0".to_owned(), state.clone());
    for minute in minutes {
        let at = now() + SignedDuration::from_mins(*minute - minutes[minutes.len() - 1]);
        if let Some(next) = noted(&world.scene.desired, &world.read, &world.scene.seen, at) {
            world.scene.desired = next;
        }
    }
    let mut scene = world.filled();
    evidence(&scene.desired, &world.read, &mut scene.seen, now());
    scene.says()
}

#[test]
fn a_disk_that_was_missing_at_every_look_for_15_minutes_makes_a_voter_replaceable() {
    for lost in [Lost::Node, Lost::Volume] {
        let missing = DiskState::Missing(lost, "volume pv-0".to_owned());
        assert!(after_looks(&[0, 5, 10, 15], &missing).starts_with("REPLACE: server 4"), "{lost:?}");
        assert!(after_looks(&[0, 5, 10, 14], &missing).starts_with("E_"), "{lost:?}");
        assert!(after_looks(&[0, 15], &missing).starts_with("E_"), "nobody looked in between: {lost:?}");
    }
    assert!(after_looks(&[0, 5, 10, 15], &DiskState::Unknown).starts_with("E_"));
    assert!(after_looks(&[0, 5, 10, 15], &DiskState::There(disk("uid-0"))).starts_with("E_"));
}

#[test]
fn what_is_not_known_any_more_is_no_evidence() {
    let mut world = World::of(3);
    world.scene.down(1).joiner(4);
    world.read.disks.insert("zk-0".to_owned(), DiskState::Missing(Lost::Node, "no node".to_owned()));
    world.scene.desired = noted(&world.scene.desired, &world.read, &world.scene.seen, ago(600)).unwrap();
    world.read.disks.insert("zk-0".to_owned(), DiskState::Unknown);
    assert_eq!(noted(&world.scene.desired, &world.read, &world.scene.seen, now()), None);
    evidence(&world.scene.desired, &world.read, &mut world.scene.seen, now());
    assert_eq!(world.scene.seen.evidence, BTreeMap::new());
}

#[test]
fn the_last_pod_of_a_set_goes_after_its_server_was_removed_and_never_together_with_a_change() {
    let world = World::shrunk(4);
    let steps = world.steps();
    assert_eq!(
        steps,
        ["- StatefulSet zk: replicas 4 -> 3: pod zk-3 stops, its server 4 is no member any more"],
        "{}",
        world.says()
    );
    assert!(world.filled().pass().findings.iter().all(|it| !it.text.contains("by hand")), "{:?}", world.notices());
    let mut open = World::shrunk(4);
    open.scene.desired.last_config.as_mut().unwrap().config.membership.servers.insert(id(4), super::scene::line(4));
    assert_eq!(open.steps(), [""; 0], "the removal is not confirmed");
    let mut growing = World::shrunk(4);
    growing.scene.size(5).joiner(5).joiner(6);
    growing.scene.desired.last_config.as_mut().unwrap().since = ago(3_600);
    growing.scene.desired.history[0].at = ago(3_600);
    let steps = growing.steps();
    assert!(steps.len() == 1 && steps[0].contains("PROMOTE: server 5"), "{steps:?}");
}

#[test]
fn a_pod_that_is_not_the_last_or_that_we_may_not_stop_is_named_with_the_command_that_stops_it() {
    let middle = World::shrunk(2);
    assert!(middle.by_hand(2).contains("`kubectl --namespace kafka delete pod zk-1`"), "{}", middle.by_hand(2));
    assert!(middle.steps().is_empty() && middle.notices().iter().any(|text| text.contains("by hand")));
    let mut forbidden = World::shrunk(4);
    forbidden.read.may_scale = false;
    let words = forbidden.by_hand(4);
    assert!(words.contains("scale statefulset zk --current-replicas=4 --replicas=3"), "{words}");
    let mut bare = World::shrunk(4);
    bare.pod(3).set = None;
    assert!(bare.by_hand(4).contains("delete pod zk-3"), "{}", bare.by_hand(4));
}

#[test]
fn a_pod_that_stops_already_or_that_another_server_has_is_left_alone() {
    let mut world = World::shrunk(4);
    world.pod(3).is_terminating = true;
    assert_eq!(world.becomes(4), Surplus::Ends);
    let mut world = World::shrunk(4);
    world.set().replicas = 3;
    assert_eq!(world.becomes(4), Surplus::Ends, "its controller stops it");
    let mut world = World::shrunk(4);
    world.scene.desired.members.get_mut(&id(1)).unwrap().pod = Some("zk-3".to_owned());
    assert!(world.filled().seen.workload.unwrap().surplus.is_empty());
    let mut world = World::shrunk(4);
    world.scene.desired.history.clear();
    assert!(world.filled().seen.workload.unwrap().surplus.is_empty(), "it was not removed while it ran");
}

proptest! {
    /// Whatever Kubernetes shows, replicas are lowered by one, for the last pod, of a server that is out; and no change is made
    /// while a member's pod is not ready.
    #[test]
    fn only_the_last_pod_of_a_removed_server_is_ever_stopped(
        removed in 1i64..=4,
        replicas in 0u32..7,
        first_ordinal in 0u32..3,
        ready in prop::collection::vec(any::<bool>(), 4),
        terminating in prop::collection::vec(any::<bool>(), 4),
        may_scale: bool,
        same_set: bool,
    ) {
        let mut world = World::shrunk(removed);
        world.read.may_scale = may_scale;
        *world.set() = Set { replicas, first_ordinal, ..set(4) };
        for ordinal in 0..4u32 {
            let at = usize::try_from(ordinal).unwrap();
            world.pod(ordinal).is_ready = ready[at];
            world.pod(ordinal).is_terminating = terminating[at];
            if !same_set {
                world.pod(ordinal).set_uid = Some("other".to_owned());
            }
        }
        let scene = world.filled();
        let pass = scene.pass();
        if let Some(scale_down) = &pass.scale_down {
            prop_assert!(may_scale && same_set && scale_down.id == id(removed));
            prop_assert_eq!((scale_down.from, scale_down.to), (replicas, replicas - 1));
            prop_assert_eq!(&scale_down.pod, &format!("zk-{}", first_ordinal + replicas - 1));
            prop_assert!(!scene.seen.membership().unwrap().servers.contains_key(&scale_down.id));
        }
    }
}
