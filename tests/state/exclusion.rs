//! Runs that reach one cluster exclude each other, wherever they keep their records and however they address it; and who
//! does not have the record of a run cannot change what that run works on.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use kafka_toolbox::change::event::Outcome;
use rustix::process::{Pid, Signal, kill_process};

use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::reassign::bench::plan;
use crate::reassign::live::{begin_slowly, create};
use crate::support::toolbox::{Ran, Toolbox};

/// Longest wait for an agent to lead.
const LIMIT: Duration = Duration::from_mins(1);

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cluster with a topic of two partitions and 20 MB, and a plan that moves both.
fn world(toolboxes: &dyn Fn(&Cluster) -> Vec<Toolbox>) -> (Cluster, Vec<Toolbox>, String) {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c"])).unwrap();
    create(&cluster, "orders", "1:2,2:1");
    fill(&cluster, "orders", 20_000, 1_000).unwrap();
    let toolboxes = toolboxes(&cluster);
    let rows = [("orders", 0, &[1, 2][..], &[3, 2][..], 10_000_000), ("orders", 1, &[2, 1], &[3, 1], 10_000_000)];
    let file = toolboxes[0].file("plan.json", &plan(cluster.id(), &rows));
    (cluster, toolboxes, file)
}

/// One who addresses the cluster by its name in toolbox.yaml, and keeps records in a folder of its own.
fn by_name(cluster: &Cluster) -> Toolbox {
    let toolbox = Toolbox::alone();
    let settings = format!("clusters: {{main: {{bootstrapServers: \"{}\"}}}}\n", cluster.bootstrap());
    let settings = toolbox.file("toolbox.yaml", &settings);
    toolbox.with("TOOLBOX_FILE", &settings).with("TOOLBOX_CLUSTER", "main")
}

fn execute(toolbox: &Toolbox, file: &str, more: &[&str]) -> Ran {
    let line = ["reassign", "execute", file, "--yes", "--max-risk", "moves-data"];
    toolbox.run(&[&line[..], more].concat())
}

#[track_caller]
fn is_refused(ran: Ran, words: &[&str]) {
    let ran = ran.ends_with(4);
    for word in words {
        assert!(ran.err.contains(word), "{word} is missing in {ran:#?}");
    }
}

/// Waits until an agent leads: then it takes an override.
fn leads(toolbox: &Toolbox) {
    let begun = Instant::now();
    while !toolbox.run(&["throttle", "set", "4MB/s"]).out.contains("is asked for") {
        assert!(begun.elapsed() < LIMIT, "no agent leads after {LIMIT:?}");
    }
}

#[test]
fn throttle_run_and_an_execution_with_a_rate_exclude_each_other_however_the_cluster_is_addressed() {
    let (cluster, toolboxes, file) = world(&|cluster| vec![Toolbox::new(&cluster.bootstrap()), by_name(cluster)]);
    let [here, elsewhere] = &toolboxes[..] else { panic!("two") };
    let agent = ["throttle", "run", "--interval", "1s", "--capacity", "20MB/s"];
    let _agent = Killed(here.command(&agent).spawn().unwrap());
    leads(here);
    let place = here.state().display().to_string();
    let holder = ["(`toolbox throttle run`", &place, "Nothing was changed"];
    is_refused(execute(elsewhere, &file, &["--throttle", "1MB/s"]), &holder[..2]);
    // What is kept elsewhere does not reach that agent.
    is_refused(execute(elsewhere, &file, &[]), &holder);
    is_refused(elsewhere.run(&["throttle", "set", "1MB/s"]), &holder);
    is_refused(elsewhere.run(&["throttle", "clear", "--yes"]), &holder);
    is_refused(elsewhere.run(&["throttle", "clear", "--overrides"]), &holder);
    // Nor does another namespace of Kubernetes.
    let kubernetes = ControlPlane::shared();
    let namespace = kubernetes.namespace("exclusion");
    let kubeconfig = kubernetes.admin_kubeconfig();
    let place = ["--state", "kubernetes", "--namespace", &namespace, "--kubeconfig", kubeconfig.to_str().unwrap()];
    is_refused(execute(elsewhere, &file, &[&place[..], &["--throttle", "1MB/s"]].concat()), &holder[..2]);
    is_refused(elsewhere.run(&[&["throttle", "set", "1MB/s"][..], &place].concat()), &holder);

    // Beside it, where it keeps its records: each batch is paced before it is submitted.
    let ran = execute(here, &file, &[]).ends_with(0);
    assert!(ran.err.contains("a throttle agent paces the moves"), "{ran:#?}");
    let audit = here.audit();
    let first = |is_it: &dyn Fn(&str, &str) -> bool, outcome: Outcome| {
        let found = audit.iter().position(|event| event.outcome == outcome && is_it(&event.kind, &event.subject));
        found.unwrap_or_else(|| panic!("{audit:#?}"))
    };
    let paced = first(&|kind, subject| kind == "throttle.set" && subject.contains("orders"), Outcome::Done);
    let moved = first(&|kind, _| kind == "reassign.move_started", Outcome::Planned);
    assert!(paced < moved, "its lists are in force first: {audit:#?}");
    drop(cluster);
}

#[test]
fn two_executions_from_two_state_folders_exclude_each_other_and_only_the_place_of_the_record_can_take_moves_back() {
    let (_cluster, toolboxes, file) = world(&|cluster| vec![Toolbox::new(&cluster.bootstrap()), by_name(cluster)]);
    let [here, elsewhere] = &toolboxes[..] else { panic!("two") };
    let mut executing = Killed(begin_slowly(here, &file, 2));
    let place = here.state().display().to_string();
    let holder = ["(`toolbox reassign execute`", &place, "Nothing was changed"];
    is_refused(execute(elsewhere, &file, &["--take-over"]), &holder);
    is_refused(elsewhere.run(&["reassign", "cancel", "--yes"]), &holder);
    is_refused(elsewhere.run(&["reassign", "pause"]), &holder);
    // Killed: its machine knows, and goes on at once; another one waits until the session ends.
    kill_process(Pid::from_child(&executing.0), Signal::KILL).unwrap();
    executing.0.wait().unwrap();
    let cancelled = here.run(&["reassign", "cancel", "--yes"]).ends_with(0);
    assert!(cancelled.took < Duration::from_secs(15), "the lock of a dead run is not waited for: {cancelled:#?}");
    assert!(Path::new(&place).join("locks").is_dir());
}
