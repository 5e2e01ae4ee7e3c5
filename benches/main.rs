//! `make bench`: whole processes of the release binary and of its rivals, against real clusters, in turns.
//!
//! Every line is a task. Each contender runs once to warm up, then as often as `--rounds` says, in turns with the
//! others; the median counts. Peak memory and numbers of requests come from further runs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use kafka::{Cluster, Kind, Shape};
use rustix::process::{Pid, Signal, kill_process};

use crate::counting::Counter;
use crate::lines::{REHEARSED, Stage, TOPICS};
use crate::measure::{Course, Line, Measured, measure};
use crate::rivals::Rivals;

#[path = "../tests/mapping/quality/clusters.rs"]
mod clusters;
mod counting;
#[path = "../tests/live/kafka/mod.rs"]
mod kafka;
mod lines;
mod measure;
mod planning;
mod probing;
mod report;
mod rivals;

/// Measures the release binary beside its rivals.
#[derive(Debug, Parser)]
struct Bench {
    /// The binary to measure
    #[arg(long)]
    toolbox: PathBuf,
    /// An older binary to run beside it: no line that asks for topics or plans them may take a tenth longer than with it
    #[arg(long, value_name = "FILE")]
    former: Option<PathBuf>,
    /// Runs of each contender that count
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(5..=50))]
    rounds: u8,
    /// Leave out lines whose title contains this, such as `reachable`
    #[arg(long, value_name = "TEXT")]
    skip: Vec<String>,
    /// Measure only lines whose title contains this, such as `describe`; repeatable
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Measure nothing: say where the large cluster listens, and keep it until standard input ends, for a profiler
    #[arg(long)]
    hold: bool,
    /// Where the figures are written
    #[arg(long, default_value = "target/bench/figures.json")]
    json: PathBuf,
}

/// Largest binary that is all right.
const BINARY_MB: f64 = 25.0;

/// Looks at a cluster that is being filled, two seconds apart.
const FILL_LOOKS: usize = 60;

/// User and password of the benchmark's own cluster, which listens on loopback and ends with it.
const USER: (&str, &str) = ("bench", "bench-password");

fn main() -> ExitCode {
    match run(&Bench::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Bench {
    /// Whether a line is asked for.
    fn wants(&self, title: &str) -> bool {
        let names = |texts: &[String]| texts.iter().any(|text| title.contains(text.as_str()));
        !self.hold && !names(&self.skip) && (self.only.is_empty() || names(&self.only))
    }
}

/// Measures all; whether every goal was reached.
fn run(bench: &Bench) -> anyhow::Result<bool> {
    let toolbox = fs::canonicalize(&bench.toolbox).context("build the binary first: `make bench` does")?;
    let bytes = fs::metadata(&toolbox)?.len();
    let rivals = rivals::find()?;
    for reason in &rivals.missing {
        eprintln!("not here to compete: {reason}");
    }
    let mut all = offline(bench, &toolbox, &rivals)?;
    let only_plans = !bench.only.is_empty() && bench.only.iter().all(|text| text.starts_with("mapping "));
    if !only_plans {
        all.extend(on_kraft(bench, &toolbox, &rivals)?);
    }
    if bench.wants(&lines::fresh_title(Kind::Kafka39Zookeeper)) || bench.wants(probing::ZOOKEEPER) {
        all.extend(on_zookeeper(bench, &toolbox, &rivals)?);
    }
    if bench.wants(probing::MEMBER) || bench.wants(probing::STATUS) {
        all.extend(on_ensemble(bench, &toolbox, &rivals)?);
    }

    println!("{}", report::table(&all));
    let megabytes = f64::from(u32::try_from(bytes)?) / 1e6;
    let small = megabytes <= BINARY_MB;
    println!("binary: {megabytes:.1} MB {} {BINARY_MB} MB", if small { "✓" } else { "✗" });
    for one in &all {
        if let Some(reason) = &one.failed {
            println!("failed: {}: {}: {reason}", one.line, one.contender);
        }
    }
    if let Some(folder) = bench.json.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&bench.json, serde_json::to_string_pretty(&report::json(&all, bytes, &rivals.missing))?)?;
    println!("every single figure: {}", bench.json.display());
    Ok(small && all.iter().all(|one| one.reached() != Some(false)))
}

/// Plans from saved observations: no cluster is needed.
fn offline(bench: &Bench, toolbox: &Path, rivals: &Rivals) -> anyhow::Result<Vec<Measured>> {
    let folder = tempfile::tempdir()?;
    let stage = Stage {
        toolbox,
        former: bench.former.as_deref(),
        folder: folder.path(),
        tool: PathBuf::new(),
        rivals,
        secure: None,
    };
    let mut all = Vec::new();
    for title in planning::titles().filter(|title| bench.wants(title)) {
        eprintln!("measuring: {title}");
        let rounds = planning::rounds(&title, usize::from(bench.rounds));
        let course = Course { bootstrap: "", counted: None, rounds, folder: folder.path() };
        if let Some(line) = stage.planning(&title)? {
            all.extend(measure(&line, &course));
        }
    }
    Ok(all)
}

/// Kafka 4.3.1: first an empty cluster, then one with all topics.
fn on_kraft(bench: &Bench, toolbox: &Path, rivals: &Rivals) -> anyhow::Result<Vec<Measured>> {
    let (shape, ca) = secured(Shape { heap: 1_024, ..Shape::racks(&["a", "b", "c"]) })?;
    let cluster = Cluster::start(Kind::Kafka43Kraft, &shape)?;
    let counter = Counter::between(&cluster, "COUNTED")?;
    let folder = tempfile::tempdir()?;
    let stage = Stage {
        toolbox,
        former: bench.former.as_deref(),
        folder: folder.path(),
        tool: cluster.folder().join("tool"),
        rivals,
        secure: Some((cluster.bootstrap_of("SECURE"), client_properties(folder.path(), &ca)?)),
    };
    let (plain, detour) = (cluster.bootstrap(), cluster.bootstrap_of("COUNTED"));
    let course = Course {
        bootstrap: &plain,
        counted: Some((&detour, &counter)),
        rounds: usize::from(bench.rounds),
        folder: folder.path(),
    };
    let mut all = Vec::new();
    let mut race = |line: &Line| {
        if bench.wants(&line.title) {
            eprintln!("measuring: {}", line.title);
            all.extend(measure(line, &course));
        }
    };
    race(&stage.version());
    race(&stage.apply_fresh(Kind::Kafka43Kraft, 0.5));
    fill(&stage, &plain)?;
    race(&stage.apply_nothing()?);
    race(&stage.list());
    race(&stage.describe());
    race(&stage.live_mapping(&["show"]));
    // The brokers share this machine's disk, which may be full of other things.
    race(&stage.live_mapping(&["rebalance", "--disk-limit", "100%"]));
    multiply(&stage)?;
    race(&stage.rehearse()?);
    race(&stage.probe_live());
    if bench.hold {
        hold(&stage, &plain)?;
        return Ok(all);
    }

    let silent = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let addresses = silent.iter().map(|door| Ok(door.local_addr()?.to_string())).collect::<anyhow::Result<Vec<_>>>()?;
    race(&stage.unreachable("silence", &addresses.join(",")));
    drop(silent);
    race(&stage.unreachable("closed ports", &addresses.join(",")));
    all.extend(probes(bench, &stage, &course)?);
    Ok(all)
}

/// Probes of one broker of the large cluster, which is made larger for them.
fn probes(bench: &Bench, stage: &Stage<'_>, course: &Course<'_>) -> anyhow::Result<Vec<Measured>> {
    let first = course.bootstrap.split(',').next().unwrap_or_default();
    let mut all = Vec::new();
    if bench.wants(probing::SERVED) {
        eprintln!("measuring: {}", probing::SERVED);
        all.push(stage.served(first));
    }
    if bench.wants(probing::CPU) {
        eprintln!("measuring: {}", probing::CPU);
        all.push(stage.cpu(first));
    }
    if !bench.wants(probing::STRICT) && !bench.wants(probing::LATCHED) {
        return Ok(all);
    }
    stage.grow(course.bootstrap, probing::PARTITIONS - TOPICS * 3)?;
    for is_latched in [false, true] {
        let line = stage.probe_ready(is_latched);
        if bench.wants(&line.title) {
            eprintln!("measuring: {}", line.title);
            if is_latched {
                stage.latch(first)?;
            }
            let bytes = stage.bytes_of_look(first, is_latched)?;
            let measured = measure(&line, course).into_iter();
            all.extend(measured.map(|one| Measured { answer_bytes: Some(bytes), ..one }));
        }
    }
    Ok(all)
}

/// Kafka 3.9.2 with ZooKeeper, which makes topics one after the other.
fn on_zookeeper(bench: &Bench, toolbox: &Path, rivals: &Rivals) -> anyhow::Result<Vec<Measured>> {
    let shape = Shape { heap: 1_024, ..Shape::racks(&["a", "b", "c"]).proxied("COUNTED") };
    let cluster = Cluster::start(Kind::Kafka39Zookeeper, &shape)?;
    let counter = Counter::between(&cluster, "COUNTED")?;
    let folder = tempfile::tempdir()?;
    let tool = cluster.folder().join("tool");
    let stage = Stage { toolbox, former: bench.former.as_deref(), folder: folder.path(), tool, rivals, secure: None };
    let (plain, detour) = (cluster.bootstrap(), cluster.bootstrap_of("COUNTED"));
    let rounds = usize::from(bench.rounds);
    let through = Some((&*detour, &counter));
    let course = Course { bootstrap: &plain, counted: through, rounds, folder: folder.path() };
    let mut all = Vec::new();
    for line in [stage.probe_zookeeper(&cluster.zookeeper(), false), stage.apply_fresh(Kind::Kafka39Zookeeper, 8.0)] {
        if bench.wants(&line.title) {
            eprintln!("measuring: {}", line.title);
            all.extend(measure(&line, &course));
        }
    }
    Ok(all)
}

/// An ensemble of ZooKeeper 3.9: a member is probed, then all are looked at while one is dead and one stands still.
fn on_ensemble(bench: &Bench, toolbox: &Path, rivals: &Rivals) -> anyhow::Result<Vec<Measured>> {
    let shape = Shape { zookeepers: probing::SERVERS, ..Shape::brokers(1) };
    let cluster = Cluster::start(Kind::Kafka39Zookeeper, &shape)?;
    let folder = tempfile::tempdir()?;
    let tool = cluster.folder().join("tool");
    let stage = Stage { toolbox, former: bench.former.as_deref(), folder: folder.path(), tool, rivals, secure: None };
    let plain = cluster.bootstrap();
    let course = Course { bootstrap: &plain, counted: None, rounds: usize::from(bench.rounds), folder: folder.path() };
    let servers = cluster.zookeeper();
    let (mut all, mut followers) = (Vec::new(), Vec::new());
    for (number, address) in (1..).zip(servers.split(',')) {
        let port = address.rsplit_once(':').context("an address has a port")?.1.parse()?;
        if !kafka::ask::zookeeper(port)?.contains("Mode: leader") {
            followers.push((number, address));
        }
    }
    let [(dead, _), (frozen, _), (_, member), ..] = followers[..] else { bail!("{servers}: too few follow") };
    let race = |line: &Line| {
        eprintln!("measuring: {}", line.title);
        measure(line, &course)
    };
    if bench.wants(probing::MEMBER) {
        all.extend(race(&stage.probe_zookeeper(member, true)));
    }
    if bench.wants(probing::STATUS) {
        let signal = |number: u32, signal: Signal| {
            let pid = fs::read_to_string(cluster.folder().join(format!("zookeeper-{number}/pid")))?.trim().parse()?;
            anyhow::Ok(kill_process(Pid::from_raw(pid).context("a process id is positive")?, signal)?)
        };
        signal(dead, Signal::KILL)?;
        signal(frozen, Signal::STOP)?;
        all.extend(race(&stage.status(&servers)));
        signal(frozen, Signal::CONT)?;
    }
    Ok(all)
}

/// Says where everything is, and waits until standard input ends.
fn hold(stage: &Stage<'_>, plain: &str) -> anyhow::Result<()> {
    println!("FOLDER={}\nPLAIN={plain}", stage.folder.display());
    if let Some((brokers, properties)) = &stage.secure {
        println!("SECURE={brokers}\nPROPERTIES={}", properties.display());
    }
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// Makes the large cluster's topics, waits until an apply would find nothing to do, and saves what it observes.
fn fill(stage: &Stage<'_>, bootstrap: &str) -> anyhow::Result<()> {
    eprintln!("creating {TOPICS} topics × 3");
    let (spec, memory, saved) = (stage.spec_of_all()?, stage.path("state"), stage.path("observed.json"));
    let run = |words: &[&str]| {
        let connect = ["--bootstrap-server", bootstrap, "--state-folder", &memory, "--timeout", "2m"];
        Command::new(stage.toolbox).args(connect).args(words).output()
    };
    let applied = run(&["topics", "apply", "--yes", "-f", &spec])?;
    let said = String::from_utf8_lossy(&applied.stderr);
    ensure!(applied.status.success(), "topics apply ended with {}: {said}", applied.status);
    for _ in 0..FILL_LOOKS {
        if run(&["topics", "diff", "-f", &spec, "--save-observed", &saved])?.status.success() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    bail!("{TOPICS} topics were created, and the brokers do not show all of them")
}

/// Makes an observation of many topics from that of the large cluster.
fn multiply(stage: &Stage<'_>) -> anyhow::Result<()> {
    let text = fs::read_to_string(stage.path("observed.json"))?;
    let observed = copies(serde_json::from_str(&text)?);
    Ok(fs::write(stage.path("rehearsed.json"), serde_json::to_string(&observed)?)?)
}

/// Wherever topics are listed, by name or one after the other, there are several of each.
fn copies(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    let rename = |value: &Value, copy: usize| -> Value {
        let text = value.to_string().replace("\"bench-", &format!("\"bench{copy}-"));
        serde_json::from_str(&text).unwrap_or_default()
    };
    let numbers = 0..REHEARSED / TOPICS;
    match value {
        Value::Array(all) if all.iter().any(|one| one.to_string().contains("\"bench-")) => {
            Value::Array(numbers.flat_map(|copy| all.iter().map(move |one| rename(one, copy))).collect())
        }
        Value::Object(all) if all.keys().any(|key| key.starts_with("bench-")) => {
            let entries = numbers.flat_map(|copy| {
                let name = move |key: &String| key.replacen("bench-", &format!("bench{copy}-"), 1);
                all.iter().map(move |(key, one)| (name(key), rename(one, copy)))
            });
            Value::Object(entries.collect())
        }
        Value::Object(all) => Value::Object(all.into_iter().map(|(key, one)| (key, copies(one))).collect()),
        other => other,
    }
}

/// The shape with a listener that is counted, one with SCRAM and TLS, and its certificate authority. These brokers run
/// without the JVM's second compiler, and so without the CPU's AES instructions: AES-GCM would take them 17 ms for the
/// metadata of the large cluster, which a broker in production encrypts in less than one, and ChaCha20 takes 3.
fn secured(shape: Shape) -> anyhow::Result<(Shape, String)> {
    let (ca, server) = certificates()?;
    let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let shape = shape
        .proxied("COUNTED")
        .listener("SECURE", "SASL_SSL")
        .file("server.pem", server)
        .property("listener.name.secure.ssl.keystore.type", "PEM")
        .property("listener.name.secure.ssl.keystore.location", "{files}/server.pem")
        .property("listener.name.secure.ssl.cipher.suites", "TLS_CHACHA20_POLY1305_SHA256")
        .property("sasl.enabled.mechanisms", "SCRAM-SHA-512")
        .property("listener.name.secure.scram-sha-512.sasl.jaas.config", jaas)
        .user("SCRAM-SHA-512", USER.0, USER.1);
    Ok((shape, ca))
}

/// A certificate authority, and a key with a certificate that it signed, as PEM.
fn certificates() -> anyhow::Result<(String, String)> {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let ca = authority.self_signed(&key)?.pem();
    let issuer = Issuer::new(authority, key);
    let server_key = KeyPair::generate()?;
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    let server = server.signed_by(&server_key, &issuer)?;
    Ok((ca, server_key.serialize_pem() + &server.pem()))
}

fn client_properties(folder: &Path, ca: &str) -> anyhow::Result<PathBuf> {
    let (truststore, path) = (folder.join("ca.pem"), folder.join("client.properties"));
    fs::write(&truststore, ca)?;
    let text = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{}\" password=\"{}\";\n",
        truststore.display(),
        USER.0,
        USER.1
    );
    fs::write(&path, text)?;
    Ok(path)
}
