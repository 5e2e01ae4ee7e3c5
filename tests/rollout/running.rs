//! `rollout run` in memory: order, record, locks, refusals, and what a run that died leaves.

use std::path::PathBuf;

use kafka_toolbox::change::event::Outcome;
use kafka_toolbox::clients::kafka::memory::{Call, Memory, Model};
use kafka_toolbox::cluster::broker::BrokerId;
use kafka_toolbox::exit::Exit;
use kafka_toolbox::state::identity::{ClusterRef, Identity, Purpose};
use kafka_toolbox::state::lock::file::{Holder, take};

use crate::support::desk::{Desk, Said};
use crate::support::toolbox::audited;

/// Three brokers that two commands note in a file.
struct Bed {
    desk: Desk,
}

const FAST: [&str; 4] = ["--apart", "1ms", "--every", "10ms"];

impl Bed {
    fn new(kafka: Memory) -> Self {
        Self { desk: Desk::new(kafka) }
    }

    fn notes(&self) -> PathBuf {
        self.desk.folder().join("notes")
    }

    /// What the commands were run for, in order.
    fn ran(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.notes()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn command(&self, verb: &str, more: &str) -> String {
        format!("echo {verb} {{id}} $TOOLBOX_ROLLOUT_KIND >> {}; {more}", self.notes().display())
    }

    async fn roll(&self, more: &[&str]) -> Said {
        self.roll_by(&self.command("stop", "true"), &self.command("start", "true"), more).await
    }

    async fn roll_by(&self, stop: &str, start: &str, more: &[&str]) -> Said {
        let line = ["rollout", "run", "--yes", "--stop-cmd", stop, "--start-cmd", start];
        self.desk.run(&[&line[..], &FAST, more].concat()).await
    }
}

fn three() -> Memory {
    Memory::zookeeper(3).topic("orders", &[&[1, 2, 3], &[2, 3, 1]]).config("orders", "min.insync.replicas", "2")
}

#[tokio::test]
async fn brokers_are_restarted_one_after_the_other_the_controller_last_and_leaders_go_back() {
    let kafka = three();
    kafka.edit(|model| model.topics.values_mut().next().unwrap().partitions[0].leader = Some(BrokerId(2)));
    let bed = Bed::new(kafka);
    let said = bed.roll(&[]).await.ends_with(Exit::Done);
    let lines: Vec<_> =
        ["stop 2", "start 2", "stop 3", "start 3", "stop 1", "start 1"].map(|it| format!("{it} broker")).into();
    assert_eq!(bed.ran(), lines, "broker 1 is the controller");
    assert!(said.out.contains("3 restarted, 1 leaders elected; all are in sync"), "{}", said.out);
    let led = bed.desk.kafka.look(|model| model.topics.values().next().unwrap().partitions[0].leader);
    assert_eq!(led, Some(BrokerId(1)));
}

#[tokio::test]
async fn each_stop_and_start_has_an_intent_and_an_outcome() {
    let bed = Bed::new(three());
    bed.roll(&["--ids", "2", "--no-elect"]).await.ends_with(Exit::Done);
    let events = audited(&bed.desk.folder().join("state"));
    let of = |kind: &str| {
        let these = events.iter().filter(|event| event.kind == kind);
        these.map(|event| (event.subject.clone(), event.outcome)).collect::<Vec<_>>()
    };
    for kind in ["rollout.stopped", "rollout.started"] {
        let subject = || "broker:2".to_owned();
        assert_eq!(of(kind), [(subject(), Outcome::Planned), (subject(), Outcome::Done)], "{kind}");
    }
}

#[tokio::test]
async fn a_dry_run_shows_the_order_and_stops_nothing() {
    let bed = Bed::new(three());
    let said = bed.roll(&["--dry-run"]).await.ends_with(Exit::Changes);
    let at = |words: &str| said.out.find(words).unwrap_or_else(|| panic!("{words}: {}", said.out));
    assert!(
        at("~ broker 2: restart") < at("~ broker 3: restart") && at("~ broker 3: restart") < at("~ broker 1: restart")
    );
    assert_eq!(bed.ran(), [""; 0]);
}

#[tokio::test]
async fn a_named_revision_is_rolled_once_and_goes_on_where_a_run_ended() {
    let bed = Bed::new(three());
    let fails = format!("if [ {{id}} = 3 ]; then exit 1; fi; {}", bed.command("stop", "true"));
    let said = bed.roll_by(&fails, &bed.command("start", "true"), &["--revision", "v2"]).await.ends_with(Exit::Failed);
    assert!(said.err.contains("broker 3 was not stopped: its stop command ended with exit status: 1"), "{}", said.err);
    assert_eq!(bed.ran(), ["stop 2 broker", "start 2 broker", "start 3 broker"], "it may be down: it is started");
    bed.roll(&["--revision", "v2"]).await.ends_with(Exit::Done);
    let rest = ["stop 3 broker", "start 3 broker", "stop 1 broker", "start 1 broker"];
    assert_eq!(bed.ran()[3..], rest, "broker 2 has it already");
    let said = bed.roll(&["--revision", "v2"]).await.ends_with(Exit::Done);
    assert_eq!((bed.ran().len(), said.out.as_str()), (7, "nothing to do\n"));
    bed.roll(&["--revision", "v3", "--ids", "2"]).await.ends_with(Exit::Done);
    assert_eq!(bed.ran().len(), 9);
}

#[tokio::test]
async fn a_server_that_does_not_start_is_named_and_the_next_run_starts_it_first() {
    let bed = Bed::new(three());
    let said = bed.roll_by(&bed.command("stop", "true"), "false", &[]).await.ends_with(Exit::Failed);
    assert!(said.err.contains("broker 2 may be down: its start command ended with"), "{}", said.err);
    let said = bed.roll(&[]).await.ends_with(Exit::Done);
    assert_eq!(bed.ran()[..3], ["stop 2 broker", "start 2 broker", "stop 3 broker"]);
    assert!(said.err.contains("starts broker 2, which an earlier run has stopped"), "{}", said.err);
}

#[tokio::test]
async fn nothing_is_stopped_where_it_would_be_refused_or_has_to_wait() {
    let bed = Bed::new(three().topic("single", &[&[2]]));
    let said = bed.roll(&[]).await.ends_with(Exit::Refused);
    assert!(said.out.contains("no other replica"), "{said:?}");
    let moving = Bed::new(three().topic("moved", &[&[2, 3]]).moving("moved", 0, &[3, 1]));
    let said = moving.roll(&["--wait-max", "300ms"]).await.ends_with(Exit::Unhealthy);
    assert!(
        said.out.contains("paused: 0 restarted; waited too long") && said.out.contains("moves are running"),
        "{said:?}"
    );
    assert_eq!((bed.ran().len(), moving.ran().len()), (0, 0));
}

#[tokio::test]
async fn a_second_broker_that_dies_is_waited_for_and_the_roll_goes_on_by_itself() {
    let dies = |model: &mut Model| {
        let broker = model.brokers.remove(&BrokerId(3)).unwrap();
        model.stopped.insert(BrokerId(3), broker);
    };
    let heals = |model: &mut Model| {
        let broker = model.stopped.remove(&BrokerId(3)).unwrap();
        model.brokers.insert(BrokerId(3), broker);
    };
    let kafka = three().after(Call::ListReassignments, 4, dies).after(Call::ListReassignments, 12, heals);
    let bed = Bed::new(kafka);
    let said = bed.roll(&["--wait-max", "20s"]).await.ends_with(Exit::Done);
    assert_eq!(bed.ran().len(), 6, "each was restarted once");
    assert!(said.err.contains("broker 3") && said.err.contains("waits:"), "{}", said.err);
}

#[tokio::test]
async fn two_rolls_of_a_cluster_exclude_each_other() {
    let second = Bed::new(three());
    let identity = Identity {
        purpose: Purpose::Disruption,
        cluster: ClusterRef { id: second.desk.kafka.look(|model| model.cluster_id.clone()), name: None },
        owner: None,
    };
    let holder = Holder {
        pid: std::process::id(),
        host: "here".to_owned(),
        since: jiff::Timestamp::UNIX_EPOCH,
        run_id: uuid::Uuid::nil(),
        command: "ensemble apply".to_owned(),
        member_id: None,
    };
    let folder = second.desk.folder().join("state");
    let _held = take(&folder, &identity, holder).unwrap();
    let said = second.roll(&[]).await.ends_with(Exit::Refused);
    assert!(said.err.contains("ensemble apply") && second.ran().is_empty(), "{}", said.err);
}
