//! How a cluster comes up: jars, folder, ports, ZooKeeper, format, brokers, users.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use uuid::Uuid;

use super::ask;
use super::cluster::{Cluster, Node, Ports, START_LIMIT, Signal};
use super::jars::{Package, cache, java};
use super::keeper::Keeper;
use super::ports::{Port, reserve};
use super::properties::{Common, LOG4J, ensemble, server_properties, zookeeper};
use super::shape::{Kind, Shape};
use super::wait;

/// So many clusters may start at once on this machine, whoever starts them.
const SLOTS: usize = 2;

/// Longest wait for one of the slots.
const SLOT_LIMIT: Duration = Duration::from_mins(10);

/// Another process may take a port between our look and the server's: then all is tried again with other ports.
const TRIES: usize = 3;

/// KRaft controllers beyond this number would only cost time.
const CONTROLLERS_MAX: usize = 3;

/// The file with the rules of the JMX exporter.
const EXPORTER_RULES: &str = "jmx-exporter.yaml";

/// Flags for servers that start fast and stay small.
const JVM: [&str; 6] = [
    "-Xms48m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.awt.headless=true",
];

/// Class paths and archives of what a cluster runs.
struct Software {
    kafka: Vec<String>,
    zookeeper: Vec<String>,
}

pub(super) fn start(kind: Kind, shape: &Shape, shared: bool) -> anyhow::Result<Cluster> {
    let zookeeper = if kind.has_zookeeper() { trained_zookeeper()? } else { Vec::new() };
    let kafka = trained(kind, &zookeeper)?;
    start_with(kind, shape, &Software { kafka, zookeeper }, shared)
}

fn trained(kind: Kind, zookeeper: &[String]) -> anyhow::Result<Vec<String>> {
    let archive = kind.package().archive(|archive| train_kafka(kind, archive, zookeeper))?;
    flags(kind.package(), Some(reading(&archive)))
}

/// Flags for the JVM of a server in KRaft mode: class path, archive of classes.
pub(super) fn trained_kafka(kind: Kind) -> anyhow::Result<Vec<String>> {
    ensure!(!kind.has_zookeeper(), "{} has no controllers of its own", kind.name());
    trained(kind, &[])
}

fn start_with(kind: Kind, shape: &Shape, software: &Software, shared: bool) -> anyhow::Result<Cluster> {
    let _slot = slot()?;
    let mut left = TRIES;
    loop {
        left -= 1;
        match try_start(kind, shape, software, shared) {
            Err(error) if left > 0 && format!("{error:#}").contains("Address already in use") => {}
            done => return done.with_context(|| format!("{} did not start", kind.name())),
        }
    }
}

fn try_start(kind: Kind, shape: &Shape, software: &Software, shared: bool) -> anyhow::Result<Cluster> {
    let keeper = Keeper::start(shared)?;
    let started = bring_up(kind, shape, software, &keeper);
    match started {
        Ok((id, nodes, zookeepers, ports)) => {
            let java_flags = software.kafka.clone();
            let cluster = Cluster { kind, id, keeper, nodes, zookeepers, java_flags, _ports: ports };
            shape.users.iter().try_for_each(|user| cluster.create_user(user))?;
            Ok(cluster)
        }
        Err(error) => {
            keeper.keep_logs();
            Err(error)
        }
    }
}

type Started = (String, Vec<Node>, Vec<u16>, Vec<Port>);

fn bring_up(kind: Kind, shape: &Shape, software: &Software, keeper: &Keeper) -> anyhow::Result<Started> {
    let folder = keeper.folder();
    let files = folder.join("files");
    fs::create_dir(&files)?;
    for (name, content) in &shape.files {
        fs::write(files.join(name), content).with_context(|| format!("failed to write {name}"))?;
    }
    fs::write(folder.join("log4j.properties"), LOG4J)?;
    if let Some(rules) = &shape.exporter {
        fs::write(folder.join(EXPORTER_RULES), rules)?;
    }
    let mut ports = Vec::new();
    let zookeepers =
        if kind.has_zookeeper() { start_zookeeper(shape, software, keeper, &mut ports)? } else { Vec::new() };
    if let (Some(relay), Some(port)) = (&shape.relay, zookeepers.first()) {
        relay.lead_to(*port);
    }
    write_tool(&software.kafka, folder)?;
    let mut nodes = nodes(kind, shape, &mut ports)?;
    let connect = |ports: &mut dyn Iterator<Item = u16>| -> String {
        ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    };
    let common = Common {
        kind,
        shape,
        folder,
        zookeeper: &connect(&mut zookeepers.iter().copied()),
        controllers: &connect(&mut nodes.iter().filter_map(|node| node.controller)),
    };
    for (position, node) in nodes.iter_mut().enumerate() {
        let home = folder.join(&node.name);
        fs::create_dir(&home)?;
        fs::write(home.join("server.properties"), server_properties(&common, node, position))?;
        node.command = broker_command(shape, software, folder, node)?;
    }
    if !kind.has_zookeeper() {
        format_all(&nodes, software, folder)?;
    }
    for node in &nodes {
        keeper.launch(&node.name, &node.command)?;
    }
    let id = await_all(&nodes, keeper)?;
    Ok((id, nodes, zookeepers, ports))
}

fn nodes(kind: Kind, shape: &Shape, ports: &mut Vec<Port>) -> anyhow::Result<Vec<Node>> {
    let mut take = || -> anyhow::Result<u16> {
        ports.extend(reserve(1)?);
        Ok(ports.last().context("a port was reserved")?.number)
    };
    let mut nodes = Vec::new();
    for (position, &id) in shape.ids.iter().enumerate() {
        let port = take()?;
        let mut listeners = vec![("PLAINTEXT".to_owned(), Ports { real: port, advertised: port })];
        for listener in &shape.listeners {
            let real = take()?;
            let advertised = if listener.proxied { take()? } else { real };
            listeners.push((listener.name.clone(), Ports { real, advertised }));
        }
        let controls = !kind.has_zookeeper() && position < CONTROLLERS_MAX;
        let controller = if controls { Some(take()?) } else { None };
        let exporter = if shape.exporter.is_some() { Some(take()?) } else { None };
        nodes.push(Node { name: format!("broker-{id}"), id, listeners, controller, exporter, command: Vec::new() });
    }
    Ok(nodes)
}

/// `tool CLASS ARGUMENTS` runs one of Kafka's own tools by hand.
fn write_tool(kafka: &[String], folder: &Path) -> anyhow::Result<()> {
    let path = folder.join("tool");
    let java = java()?;
    fs::write(&path, format!("#!/bin/sh\nexec {} -Xmx256m {} \"$@\"\n", java.display(), kafka.join(" ")))?;
    Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?)
}

fn broker_command(shape: &Shape, software: &Software, folder: &Path, node: &Node) -> anyhow::Result<Vec<String>> {
    let mut command = vec![java()?.display().to_string(), format!("-Xmx{}m", shape.heap)];
    if let Some(port) = node.exporter {
        let (jar, rules) = (Package::JmxExporter.class_path()?, folder.join(EXPORTER_RULES));
        command.push(format!("-javaagent:{jar}=127.0.0.1:{port}:{}", rules.display()));
    }
    command.push(format!("-Dlog4j.configuration=file:{}", folder.join("log4j.properties").display()));
    command.push("-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned());
    command.push("-Dlog4j2.disable.jmx=true".to_owned());
    command.extend(software.kafka.iter().cloned());
    command.push("kafka.Kafka".to_owned());
    command.push(folder.join(&node.name).join("server.properties").display().to_string());
    Ok(command)
}

fn start_zookeeper(
    shape: &Shape,
    software: &Software,
    keeper: &Keeper,
    ports: &mut Vec<Port>,
) -> anyhow::Result<Vec<u16>> {
    let mut all = Vec::new();
    for _ in 0..shape.zookeepers {
        let own = reserve(3)?;
        all.push([own[0].number, own[1].number, own[2].number]);
        ports.extend(own);
    }
    let name = |id: usize| format!("zookeeper-{id}");
    for id in 1..=all.len() {
        let home = keeper.folder().join(name(id));
        let data = keeper.folder().join("data").join(name(id));
        fs::create_dir(&home)?;
        fs::create_dir(&data)?;
        fs::write(home.join("zoo.cfg"), zookeeper(&home, &data, &all))?;
        fs::write(home.join("zoo.cfg.dynamic"), ensemble(&all))?;
        fs::write(data.join("myid"), format!("{id}\n"))?;
        let mut command = vec![java()?.display().to_string(), "-Xmx128m".to_owned()];
        command.push("-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned());
        command.extend(software.zookeeper.iter().cloned());
        command.push("org.apache.zookeeper.server.quorum.QuorumPeerMain".to_owned());
        command.push(home.join("zoo.cfg").display().to_string());
        keeper.launch(&name(id), &command)?;
    }
    for (id, [port, ..]) in (1..).zip(&all) {
        wait::until(START_LIMIT, &format!("{} to serve", name(id)), || {
            ensure!(keeper.pid(&name(id)).is_some(), "{} ended.{}", name(id), keeper.tail(&name(id)));
            Ok(match ask::zookeeper(*port) {
                Ok(answer) if answer.contains("Mode:") => Ok(()),
                Ok(answer) => Err(answer),
                Err(error) => Err(format!("{error:#}.{}", keeper.tail(&name(id)))),
            })
        })?;
    }
    Ok(all.iter().map(|[client, ..]| *client).collect())
}

/// Formats the folders of all nodes at once: one short JVM each.
fn format_all(nodes: &[Node], software: &Software, folder: &Path) -> anyhow::Result<()> {
    let cluster = kafka_uuid();
    let voters: Vec<_> = nodes
        .iter()
        .filter_map(|node| Some(format!("{}@127.0.0.1:{}:{}", node.id, node.controller?, kafka_uuid())))
        .collect();
    let mut running = Vec::new();
    for node in nodes {
        let log = folder.join("logs").join(format!("format-{}.log", node.name));
        let mut command = Command::new("timeout");
        command.arg("120").arg(java()?).arg("-Xmx64m").args(&software.kafka);
        command.args(["kafka.tools.StorageTool", "format", "--cluster-id", &cluster, "--config"]);
        command.arg(folder.join(&node.name).join("server.properties"));
        if node.controller.is_some() {
            command.args(["--initial-controllers", &voters.join(",")]);
        } else {
            command.arg("--no-initial-controllers");
        }
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        running.push((log, command.spawn().context("failed to run java")?));
    }
    for (log, mut process) in running {
        let status = process.wait()?;
        let text = fs::read_to_string(&log).unwrap_or_default();
        ensure!(status.success(), "StorageTool failed to format a broker ({status}); {} says:\n{text}", log.display());
    }
    Ok(())
}

/// What a KRaft broker says when it gives up its own start on a busy machine, though nothing is wrong with it.
const START_GIVEN_UP: &str = "waiting for the controller to acknowledge that we are caught up";

/// Waits until every broker knows every broker; the cluster's id. A broker that gave up its start is started once more.
fn await_all(nodes: &[Node], keeper: &Keeper) -> anyhow::Result<String> {
    let mut id = String::new();
    let mut again = BTreeSet::new();
    for node in nodes {
        id = wait::until(START_LIMIT, &format!("{} to know all {} brokers", node.name, nodes.len()), || {
            for node in nodes {
                if keeper.pid(&node.name).is_some() {
                    continue;
                }
                let words = keeper.tail(&node.name);
                let gave_up = words.contains(START_GIVEN_UP) && again.insert(node.id);
                ensure!(gave_up, "{} ended.{words}", node.name);
                wait::say(&format!("{} gave up its start and is started once more", node.name));
                keeper.launch(&node.name, &node.command)?;
            }
            Ok(match ask::metadata(node.listeners[0].1.real) {
                Ok(seen) if seen.brokers.len() == nodes.len() && !seen.id.is_empty() => Ok(seen.id),
                Ok(seen) => Err(format!("{seen:?}.{}", keeper.tail(&node.name))),
                Err(error) => Err(format!("{error:#}.{}", keeper.tail(&node.name))),
            })
        })?;
    }
    Ok(id)
}

impl Cluster {
    fn create_user(&self, user: &super::shape::User) -> anyhow::Result<()> {
        let credential = format!("{}=[iterations=4096,password={}]", user.mechanism, user.password);
        let bootstrap = self.bootstrap();
        let arguments = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "users"];
        let arguments = [&arguments[..], &["--entity-name", &user.name, "--add-config", &credential]].concat();
        self.tool("kafka.admin.ConfigCommand", &arguments).map(drop)
    }
}

/// Flags for any JVM of a package; `archive` reads or writes its archive of classes.
fn flags(package: Package, archive: Option<String>) -> anyhow::Result<Vec<String>> {
    let mut flags: Vec<_> = JVM.iter().map(|&flag| flag.to_owned()).collect();
    flags.extend(archive);
    flags.push("-cp".to_owned());
    flags.push(package.class_path()?);
    Ok(flags)
}

fn reading(archive: &Path) -> String {
    format!("-XX:SharedArchiveFile={}", archive.display())
}

fn writing(archive: &Path) -> String {
    format!("-XX:ArchiveClassesAtExit={}", archive.display())
}

/// Flags for the JVM of a ZooKeeper server: class path, archive of classes.
pub(crate) fn trained_zookeeper() -> anyhow::Result<Vec<String>> {
    let archive = Package::Zookeeper.archive(|archive| {
        let software = Software { kafka: Vec::new(), zookeeper: flags(Package::Zookeeper, Some(writing(archive)))? };
        let keeper = Keeper::start(false)?;
        let mut ports = Vec::new();
        start_zookeeper(&Shape::default(), &software, &keeper, &mut ports)?;
        keeper.signal("zookeeper-1", rustix::process::Signal::TERM)?;
        keeper.ended("zookeeper-1", START_LIMIT)
    })?;
    flags(Package::Zookeeper, Some(reading(&archive)))
}

/// Runs one broker through a short life: it writes the archive when it stops.
fn train_kafka(kind: Kind, archive: &Path, zookeeper: &[String]) -> anyhow::Result<()> {
    let software = Software { kafka: flags(kind.package(), None)?, zookeeper: zookeeper.to_vec() };
    let mut cluster = start_with(kind, &Shape::default(), &software, false)?;
    cluster.stop_broker(1, Signal::Term)?;
    cluster.nodes[0].command.insert(1, writing(archive));
    cluster.start_broker(1)?;
    cluster.stop_broker(1, Signal::Term)
}

/// One of the machine's slots for starting clusters, held until dropped.
pub(crate) fn slot() -> anyhow::Result<File> {
    let folder = cache()?.join("starting");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    wait::until(SLOT_LIMIT, "other clusters to have started", || {
        for number in 0..SLOTS {
            let file = File::create(folder.join(number.to_string()))?;
            if file.try_lock().is_ok() {
                return Ok(Ok(file));
            }
        }
        Ok(Err(format!("{SLOTS} start")))
    })
}

/// A random id as Kafka writes them: 22 characters of base64 for URLs. Never begins with a dash.
pub(super) fn kafka_uuid() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let number = Uuid::now_v7().as_u128();
    // 128 bits and four zeros behind make 22 digits of six bits.
    let digit = |position: u32| {
        let bits = if position == 21 { number << 4 } else { number >> (122 - 6 * position) };
        char::from(DIGITS[usize::try_from(bits & 63).unwrap_or_default()])
    };
    (0..22).map(digit).collect()
}
