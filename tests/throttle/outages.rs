//! `throttle run` while Datadog and the Kubernetes API server are away half of the time: its journal is bounded, and
//! every event arrives, once.

use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_toolbox::change::event::Event;
use kafka_toolbox::recorders::contents::is_delivered;
use kafka_toolbox::recorders::folder::journals;

use super::live::{begin_slowly, cluster, create, leader, replicas, wait_for};
use crate::events::double::{Double, KEY, Mood};
use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::support::toolbox::Toolbox;

/// A port in front of another one that is closed, with all its connections, while it is told to be.
struct Port {
    address: std::net::SocketAddr,
    state: Arc<PortState>,
}

#[derive(Default)]
struct PortState {
    is_closed: AtomicBool,
    is_over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Port {
    fn before(url: &str) -> Self {
        let behind = url.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(PortState::default());
        let of_listener = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if of_listener.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(there) = TcpStream::connect(&behind) else { continue };
                if of_listener.is_closed.load(Ordering::SeqCst) {
                    continue;
                }
                let mut open = of_listener.open.lock().unwrap();
                for (from, to) in [(&connection, &there), (&there, &connection)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    open.push(from.try_clone().unwrap());
                    std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
                }
            }
        });
        Self { address, state }
    }

    fn is_closed(&self, is_closed: bool) {
        self.state.is_closed.store(is_closed, Ordering::SeqCst);
        if is_closed {
            for stream in self.state.open.lock().unwrap().drain(..) {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        self.is_closed(true);
        drop(TcpStream::connect(self.address));
    }
}

/// How long it goes on; `make acceptance` says ten minutes.
fn duration() -> Duration {
    let seconds = std::env::var("TOOLBOX_TEST_SECONDS").map_or(15, |text| text.parse().unwrap());
    assert!((10..=3_600).contains(&seconds), "TOOLBOX_TEST_SECONDS is from 10 to 3600");
    Duration::from_secs(seconds)
}

/// How often each sink goes away.
const OUTAGES: u32 = 5;

/// A move that goes on for as long, at the rates of the overrides.
fn begin_a_long_move(kafka: &Cluster, toolbox: &Toolbox) {
    create(toolbox, "orders");
    // Ten seconds' worth passes at once, the rest at 400 KB/s at most.
    fill(kafka, "orders", (duration().as_secs() + 40) * 500, 1_000).unwrap();
    let (before, _) = replicas(toolbox, "orders");
    let (from, to) = leader(&before);
    begin_slowly(kafka, toolbox, ("orders", from, to));
}

/// An agent, and the lines that it says.
struct Agent {
    child: Child,
    lines: std::thread::JoinHandle<Vec<String>>,
}

impl Agent {
    fn start(toolbox: &Toolbox, kubeconfig: &str, namespace: &str) -> Self {
        let line = ["throttle", "run", "--interval", "1s", "--capacity", "1MB/s", "--state", "file"];
        let mut child = toolbox
            .command(&line)
            .env("TOOLBOX_EVENTS_TO", "datadog,kubernetes")
            .env("TOOLBOX_KUBECONFIG", kubeconfig)
            .env("POD_NAME", "throttle-1")
            .env("POD_NAMESPACE", namespace)
            // The smallest journal that still shows what is carried over.
            .env("TOOLBOX_JOURNAL_BYTES", "8192")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let err = BufReader::new(child.stderr.take().unwrap());
        Self { child, lines: std::thread::spawn(move || err.lines().map_while(Result::ok).collect()) }
    }

    fn end(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        let lines = self.lines.join().unwrap();
        assert!(status.success(), "{lines:#?}");
        lines
    }
}

/// What the agent's journal was like.
#[derive(Debug, Default)]
struct Sizes {
    last: u64,
    largest: u64,
    /// How often it was shorter than just before.
    shrunk: usize,
}

impl Sizes {
    fn look(&mut self, toolbox: &Toolbox) {
        let paths = journals(&toolbox.state().join("open"));
        let bytes = paths.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|found| found.len()).sum();
        self.shrunk += usize::from(bytes < self.last);
        self.largest = self.largest.max(bytes);
        self.last = bytes;
    }
}

/// Servers, and an agent's way to them.
struct Scene {
    kubernetes: &'static ControlPlane,
    namespace: String,
    kafka: Cluster,
    double: Double,
    toolbox: Toolbox,
    port: Port,
    kubeconfig: String,
}

impl Scene {
    fn set() -> Self {
        let kubernetes = ControlPlane::shared();
        let namespace = kubernetes.namespace("outages");
        let kafka = cluster(Kind::Kafka43Kraft);
        let double = Double::start();
        let toolbox = Toolbox::new(&kafka.bootstrap()).with("DD_API_KEY", KEY).with("TOOLBOX_DATADOG_URL", &double.url);
        let port = Port::before(&kubernetes.url());
        let config = std::fs::read_to_string(kubernetes.kubeconfig_of(&namespace, "default")).unwrap();
        let config = config.replace(&kubernetes.url(), &format!("https://localhost:{}", port.address.port()));
        let create = |words: &[&str]| kubernetes.kubectl(&[&["create", "--namespace", &namespace], words].concat());
        create(&["role", "events", "--verb=create", "--resource=events.events.k8s.io"]);
        create(&["rolebinding", "events", "--role=events", &format!("--serviceaccount={namespace}:default")]);
        let kubeconfig = toolbox.file("kubeconfig", &config);
        Self { kubernetes, namespace, kafka, double, toolbox, port, kubeconfig }
    }

    /// Asks for another rate each second, while each sink is away for half of a period, not in step.
    fn interrupt(&self) -> (usize, Sizes) {
        let (start, mut sizes, mut sets) = (Instant::now(), Sizes::default(), 0);
        let period = duration().as_secs_f64() / f64::from(OUTAGES);
        while start.elapsed() < duration() {
            let at = start.elapsed().as_secs_f64() / period;
            let trouble = [Mood::Answer(503, "{}"), Mood::Reset][sets % 2].clone();
            self.double.is(if at.fract() < 0.5 { Mood::Accept } else { trouble });
            self.port.is_closed((at + 0.25).fract() < 0.5);
            let rate = ["300KB/s", "400KB/s", "200KB/s"][sets % 3];
            self.toolbox.run(&["throttle", "set", rate, "--state", "file", "--events-to", "none"]).ends_with(0);
            sets += 1;
            for _ in 0..10 {
                sizes.look(&self.toolbox);
                std::thread::sleep(Duration::from_millis(80));
            }
        }
        self.double.is(Mood::Accept);
        self.port.is_closed(false);
        (sets, sizes)
    }

    /// What sinks are to have of the agent.
    fn recorded(&self) -> Vec<Event> {
        let own = |event: &Event| event.command == "throttle run" && is_delivered(event);
        self.toolbox.audit().into_iter().filter(own).collect()
    }

    /// How often Datadog and the API server have each of these events.
    fn times(&self, events: &[Event]) -> Vec<(usize, usize)> {
        let bodies = self.double.accepted();
        let path = "jsonpath={.items[*].metadata.name}";
        let listed =
            self.kubernetes.kubectl(&["get", "events.events.k8s.io", "--namespace", &self.namespace, "-o", path]);
        let names: Vec<_> = listed.split_whitespace().collect();
        let of = |event: &Event| {
            let id = event.event_id.to_string();
            let in_datadog = bodies.iter().filter(|body| body["text"].as_str().unwrap().contains(&id)).count();
            (in_datadog, names.iter().filter(|name| name.ends_with(&id)).count())
        };
        events.iter().map(of).collect()
    }
}

#[test]
fn an_agent_whose_sinks_are_away_half_of_the_time_keeps_its_journal_bounded_and_delivers_every_event_once() {
    let scene = Scene::set();
    begin_a_long_move(&scene.kafka, &scene.toolbox);
    let agent = Agent::start(&scene.toolbox, &scene.kubeconfig, &scene.namespace);
    // It has the lock: what is asked for from now on is asked of it.
    wait_for("the agent", || scene.toolbox.audit().iter().any(|event| event.kind == "throttle.set"));
    let (sets, sizes) = scene.interrupt();
    // Within the longest pause between two attempts, while the agent still lives.
    wait_for("the rest of the events", || scene.times(&scene.recorded()).iter().all(|times| *times >= (1, 1)));
    let lines = agent.end();

    let recorded = scene.recorded();
    assert!(recorded.len() as u64 > duration().as_secs() / 2, "{} events: {lines:#?}", recorded.len());
    for (event, times) in recorded.iter().zip(scene.times(&recorded)) {
        assert_eq!(times, (1, 1), "{}: {lines:#?}", event.title);
    }
    let total = std::fs::metadata(scene.toolbox.state().join("audit.jsonl")).unwrap().len();
    println!("{sets} overrides, {} events, {total} bytes audited, journal {sizes:?}", recorded.len());
    assert!(sizes.shrunk > 0 && sizes.largest < 256 * 1024, "{sizes:?} of {total} bytes: {lines:#?}");
    assert!(journals(&scene.toolbox.state().join("spool")).is_empty(), "nothing is left: {lines:#?}");
    let about_sinks = lines.iter().filter(|line| line.contains("datadog") || line.contains("kubernetes")).count();
    assert!(about_sinks <= 2 * 2 * (OUTAGES as usize + 1), "two lines an outage and sink at most: {lines:#?}");
    assert!(!lines.iter().any(|line| line.contains('\u{1b}')), "no colours where nobody looks");
}
