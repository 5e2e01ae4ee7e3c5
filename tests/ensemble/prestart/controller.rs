//! `ensemble prestart controller`: Kafka's own tool formats, and real controllers start.

use std::path::PathBuf;

use futures_util::FutureExt as _;
use kafka_toolbox::cluster::ensemble::controllers::DesiredQuorum;
use kafka_toolbox::cluster::quorum::NodeId;
use kafka_toolbox::state::document::Document;
use kafka_toolbox::state::identity::Identity;
use kafka_toolbox::state::place::Place;
use serde_json::Value;

use crate::ensemble::bed::is_wanted;
use crate::live::kafka::wait;
use crate::live::kafka::{Cluster, Kind};
use crate::live::zookeeper::LIMIT;
use crate::support::toolbox::{Ran, Toolbox};

const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// Longest run of `apply`.
const APPLY_LIMIT: std::time::Duration = std::time::Duration::from_mins(4);

/// Controllers on one machine, with one document.
struct Controllers {
    toolbox: Toolbox,
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    format_cmd: String,
}

impl Controllers {
    fn new(format_cmd: &str, ports: Vec<u16>) -> Self {
        let (toolbox, folder) = (super::named(), tempfile::tempdir().unwrap());
        Self { toolbox, folder, ports, format_cmd: format_cmd.to_owned() }
    }

    fn address(&self, id: usize) -> String {
        format!("127.0.0.1:{}", self.ports[id - 1])
    }

    fn disk(&self, id: usize) -> PathBuf {
        self.folder.path().join(format!("disk-{id}"))
    }

    fn out(&self, id: usize) -> String {
        self.folder.path().join(format!("server-{id}.properties")).to_str().unwrap().to_owned()
    }

    fn prestart(&self, id: usize, more: &[&str]) -> Ran {
        self.prestart_within("1s", id, more)
    }

    fn prestart_within(&self, within: &str, id: usize, more: &[&str]) -> Ran {
        let all: Vec<_> = (1..=self.ports.len()).map(|id| self.address(id)).collect();
        let own = self.address(id);
        let properties = format!(
            "process.roles=controller\nlisteners=CONTROLLER://{own}\nadvertised.listeners=CONTROLLER://{own}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT\ncontroller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers={}\nlog.dirs={}\n",
            all.join(","),
            self.disk(id).display()
        );
        let file = self.toolbox.file(&format!("{id}.properties"), &properties);
        let (number, out) = (id.to_string(), self.out(id));
        let own = ["ensemble", "prestart", "controller", "--yes", "--cluster", "main", "--cluster-id", CLUSTER];
        let places = ["--id", &number, "--properties", &file, "--out", &out, "--size", "3", "--within", within];
        let begin: &[&str] = if id == 1 { &["--begin"] } else { &[] };
        self.toolbox.run(&[&own[..], &places, &["--format-cmd", &self.format_cmd], begin, more].concat())
    }

    fn record(&self) -> DesiredQuorum {
        let place = Place::Folder(self.toolbox.state());
        let identity = Identity::of_controllers("main");
        let mut document = Document::new(place, identity, uuid::Uuid::nil(), jiff::Timestamp::now);
        document.load().now_or_never().unwrap().unwrap().unwrap()
    }

    fn directory(&self, id: usize) -> String {
        let text = std::fs::read_to_string(self.disk(id).join("meta.properties")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("directory.id=")).unwrap().to_owned()
    }

    fn recorded_directory(&self, id: i32) -> Option<String> {
        self.record().members[&NodeId(id)].directory.map(|id| id.to_string())
    }

    /// The page of the quorum.
    fn page(&self) -> Value {
        let ran = self.toolbox.run(&["ensemble", "status", "-o", "json", "--bootstrap-controller", &self.address(1)]);
        serde_json::from_str(&ran.out).unwrap_or_default()
    }

    /// Passes until the quorum is as the document has it.
    fn apply(&self) -> Ran {
        let all = self.addresses();
        let words = ["ensemble", "apply", "--yes", "--cluster", "main", "--rest", "1s", "--within", "2m"];
        self.toolbox.run_within(APPLY_LIMIT, &[&words[..], &["--bootstrap-controller", &all]].concat())
    }

    fn addresses(&self) -> String {
        (1..=self.ports.len()).map(|id| self.address(id)).collect::<Vec<_>>().join(",")
    }

    /// The voters with their directories, as the quorum has them, and the leader.
    fn voters(&self) -> (Vec<(usize, String)>, usize) {
        let all = self.addresses();
        let ran = self.toolbox.run(&["ensemble", "status", "-o", "json", "--bootstrap-controller", &all]);
        let page: Value = serde_json::from_str(&ran.out).unwrap_or_default();
        let rows = page["replicas"].as_array().cloned().unwrap_or_default();
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap_or_default()).unwrap();
        let members = rows.iter().filter(|row| row["role"] != "observer");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let voters = members.map(|row| (number(&row["node"]), text(&row["directory"]))).collect();
        (voters, number(&page["leader"]))
    }
}

#[test]
fn the_first_controller_begins_the_others_follow_and_no_disk_is_formatted_twice() {
    let cluster = Cluster::shared(Kind::Kafka43Kraft);
    let ports: Vec<_> = (0..2).map(|_| Cluster::port_beside().unwrap()).collect();
    let tool = cluster.folder().join("tool");
    let tool = tool.to_str().unwrap();
    let format_cmd = format!("{tool} kafka.tools.StorageTool");
    let controllers = Controllers::new(&format_cmd, ports.iter().map(|port| port.number).collect());
    let launch = |id: usize| {
        let name = format!("controller-of-prestart-{id}");
        let command = [tool, "kafka.Kafka", &controllers.out(id)].map(str::to_owned);
        cluster.run_beside(&name, &command).unwrap();
    };
    let first = controllers.prestart(1, &[]).ends_with(0);
    assert!(first.out.contains("formatted with --standalone"), "{first:#?}");
    assert_eq!(controllers.recorded_directory(1), Some(controllers.directory(1)));
    assert_eq!(controllers.record().last_voters.unwrap().voters.len(), 1);
    assert_eq!(controllers.prestart(1, &[]).ends_with(0).lines(), ["nothing to do"]);
    launch(1);
    let leads = || Ok(if controllers.page()["leader"] == 1 { Ok(()) } else { Err("no leader yet".to_owned()) });
    wait::until(LIMIT, "controller 1 to lead", leads).unwrap();

    let second = controllers.prestart(2, &[]).ends_with(0);
    assert!(second.out.contains("formatted with --no-initial-controllers"), "{second:#?}");
    launch(2);
    let follows = || {
        let text = controllers.page().to_string();
        Ok(if text.contains(&controllers.directory(2)) || text.contains("\"node\":2") { Ok(()) } else { Err(text) })
    };
    wait::until(LIMIT, "controller 2 to follow", follows).unwrap();
    assert_eq!(controllers.record().last_voters.unwrap().voters.len(), 1, "it has no vote before `apply` gives it one");
    // Kafka's own tool would refuse it, too; it is not even asked.
    let before = controllers.directory(2);
    assert_eq!(controllers.prestart(2, &[]).ends_with(0).lines(), ["nothing to do"]);
    assert_eq!(controllers.directory(2), before);
}

#[test]
fn three_real_controllers_of_kafka_4_3_begin_join_and_get_a_new_disk_by_prestart_and_apply() {
    begin_join_and_get_a_new_disk(Kind::Kafka43Kraft);
}

#[test]
fn three_real_controllers_of_kafka_3_9_begin_join_and_get_a_new_disk_by_prestart_and_apply() {
    begin_join_and_get_a_new_disk(Kind::Kafka39Kraft);
}

/// Kafka's own tool formats every disk. For `make acceptance`.
fn begin_join_and_get_a_new_disk(kind: Kind) {
    if !is_wanted() {
        return;
    }
    let cluster = Cluster::shared(kind);
    let ports: Vec<_> = (0..3).map(|_| Cluster::port_beside().unwrap()).collect();
    let tool = cluster.folder().join("tool");
    let tool = tool.to_str().unwrap();
    let format_cmd = format!("{tool} kafka.tools.StorageTool");
    let controllers = Controllers::new(&format_cmd, ports.iter().map(|port| port.number).collect());
    let name = |id: usize| format!("controller-of-three-{id}");
    let launch = |id: usize| {
        let command = [tool, "kafka.Kafka", &controllers.out(id)].map(str::to_owned);
        cluster.run_beside(&name(id), &command).unwrap();
    };
    let until = |what: &str, is: &dyn Fn() -> bool| {
        let look = || Ok(if is() { Ok(()) } else { Err(format!("{:?}", controllers.voters())) });
        wait::until(LIMIT, what, look).unwrap();
    };
    let disks = || (1..=3).map(|id| (id, controllers.directory(id))).collect::<Vec<_>>();

    assert!(controllers.prestart(1, &[]).ends_with(0).out.contains("formatted with --standalone"));
    launch(1);
    until("controller 1 to lead", &|| controllers.voters() == (vec![(1, controllers.directory(1))], 1));
    for id in [2, 3] {
        let ran = controllers.prestart(id, &[]).ends_with(0);
        assert!(ran.out.contains("formatted with --no-initial-controllers"), "{ran:#?}");
        launch(id);
    }
    controllers.apply().ends_with(0);
    until("three voters", &|| controllers.voters().0 == disks());
    assert_eq!(controllers.record().last_voters.unwrap().voters.len(), 3);

    // The disk of a follower is lost: a new one is formatted once the others are known to have a quorum, and gets the vote.
    let leader = controllers.voters().1;
    let id = if leader == 3 { 2 } else { 3 };
    let former = controllers.directory(id);
    cluster.stop_beside(&name(id)).unwrap();
    std::fs::remove_dir_all(controllers.disk(id)).unwrap();
    let begun = std::time::Instant::now();
    let ran = loop {
        // For some seconds the leader takes the old one for one that runs.
        let ran = controllers.prestart(id, &[]);
        if ran.code == Some(0) {
            break ran;
        }
        assert!(ran.code == Some(5) && begun.elapsed() < LIMIT, "{ran:#?}");
    };
    assert!(ran.out.contains("formatted with --no-initial-controllers"), "{ran:#?}");
    assert_ne!(controllers.directory(id), former);
    launch(id);
    let ran = controllers.apply().ends_with(0);
    assert!(ran.out.contains("FORGET-DISK") && ran.out.contains("ADD"), "{ran:#?}");
    until("three voters, one with another disk", &|| controllers.voters().0 == disks());
    for id in 1..=3 {
        assert_eq!(controllers.prestart(id, &[]).ends_with(0).lines(), ["nothing to do"]);
    }
    (1..=3).for_each(|id| cluster.stop_beside(&name(id)).unwrap());
}

/// A command in the place of Kafka's tool, which writes what that writes.
fn fake(folder: &std::path::Path) -> String {
    let path = folder.join("format");
    let text = "#!/bin/sh\n\
        dir=$(sed -n 's/^log.dirs=//p' \"$5\"); id=$(sed -n 's/^node.id=//p' \"$5\"); mkdir -p \"$dir\"\n\
        [ -e \"$dir/meta.properties\" ] && { echo formatted already; exit 1; }\n\
        uuid=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')\n\
        printf 'version=1\\nnode.id=%s\\ncluster.id=%s\\ndirectory.id=%s\\n' \"$id\" \"$3\" \"$uuid\" > \"$dir/meta.properties\"\n\
        [ \"$6\" != --standalone ] && exit 0\n\
        mkdir -p \"$dir/__cluster_metadata-0\"; : > \"$dir/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint\"\n";
    std::fs::write(&path, text).unwrap();
    format!("sh {}", path.display())
}

#[test]
fn disks_that_are_lost_swapped_static_or_of_another_cluster_do_not_start() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there.
    let controllers = Controllers::new(&fake(folder.path()), vec![1, 2, 3]);
    let waits = controllers.prestart(2, &["--pod-name", "controller-1"]).ends_with(5);
    assert!(waits.err.contains("the pod with ordinal 0 begins the quorum"), "{waits:#?}");
    let waits = controllers.prestart(2, &[]).ends_with(5);
    assert!(waits.err.contains("nobody has begun the quorum") && waits.err.contains("--begin"), "{waits:#?}");
    controllers.prestart(1, &[]).ends_with(0);
    controllers.prestart(2, &[]).ends_with(0);
    assert_eq!(controllers.recorded_directory(2), Some(controllers.directory(2)));

    let refused = |id: usize, code: &str, more: &[&str]| {
        let ran = controllers.prestart(id, more).ends_with(4);
        assert!(ran.out.contains(code), "{code}: {ran:#?}");
    };
    std::fs::rename(controllers.disk(1), controllers.disk(9)).unwrap();
    refused(1, "E_EMPTY_DISK", &[]);
    std::fs::rename(controllers.disk(2), controllers.disk(1)).unwrap();
    refused(1, "E_ID_CONFLICT: the disk belongs to controller 2", &[]);
    let meta = controllers.disk(1).join("meta.properties");
    let text = std::fs::read_to_string(&meta).unwrap();
    std::fs::write(&meta, text.replace("node.id=2", "node.id=1")).unwrap();
    refused(1, "E_ID_CONFLICT: the disk has directory", &[]);
    std::fs::write(&meta, text.replace("node.id=2", "node.id=1").replace(CLUSTER, "other")).unwrap();
    refused(1, "E_ID_CONFLICT: the disk belongs to cluster other", &[]);
    std::fs::write(&meta, "").unwrap();
    refused(1, "E_DISK_IO", &[]);
    std::fs::remove_dir_all(controllers.disk(1)).unwrap();
    std::fs::rename(controllers.disk(9), controllers.disk(1)).unwrap();
    assert_eq!(controllers.prestart(1, &[]).ends_with(0).lines(), ["nothing to do"]);

    let fixed = controllers.toolbox.file("static", "process.roles=controller\ncontroller.quorum.voters=1@a:1\n");
    let own =
        ["ensemble", "prestart", "controller", "--yes", "--cluster", "main", "--cluster-id", CLUSTER, "--id", "1"];
    let ran =
        controllers.toolbox.run(&[&own[..], &["--properties", &fixed, "--out", "/dev/null"]].concat()).ends_with(4);
    assert!(ran.out.contains("E_STATIC_QUORUM"), "{ran:#?}");
}

#[test]
fn a_disk_that_is_formatted_when_the_time_is_over_is_recorded_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let controllers = Controllers::new(&fake(folder.path()), vec![1, 2, 3]);
    for id in [1, 2] {
        let ran = controllers.prestart_within("1ms", id, &[]).ends_with(0);
        assert!(ran.out.contains("the disk is formatted with"), "{ran:#?}");
        let recorded = controllers.recorded_directory(i32::try_from(id).unwrap());
        assert_eq!(recorded, Some(controllers.directory(id)), "{ran:#?}");
    }
    assert_eq!(controllers.record().last_voters.unwrap().voters.len(), 1);
}

#[test]
fn without_a_command_the_line_to_run_is_said_and_nothing_is_written() {
    let controllers = Controllers::new("", vec![1]);
    let properties = controllers
        .toolbox
        .file("p", &format!("process.roles=controller\nlog.dirs={}\n", controllers.disk(1).display()));
    let out = controllers.out(1);
    let own =
        ["ensemble", "prestart", "controller", "--yes", "--cluster", "main", "--cluster-id", CLUSTER, "--id", "1"];
    let more = ["--properties", &properties, "--out", &out, "--size", "3", "--begin"];
    let ran = controllers.toolbox.run(&[&own[..], &more].concat()).ends_with(4);
    let line = format!("kafka-storage.sh format --cluster-id {CLUSTER} --config {out} --standalone");
    assert!(ran.out.contains("--format-cmd") && ran.out.contains(&line), "{ran:#?}");
    assert!(!std::path::Path::new(&out).exists());
}
