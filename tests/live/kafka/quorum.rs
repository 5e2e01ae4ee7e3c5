//! A KRaft cluster whose controllers are no brokers: a quorum that grows, shrinks, loses disks, and has brokers to serve.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::Signal as Posix;

use super::ask;
use super::cluster::{START_LIMIT, Signal};
use super::jars::java;
use super::keeper::Keeper;
use super::ports::{Port, reserve};
use super::properties::LOG4J;
use super::shape::Kind;
use super::start::{kafka_uuid, slot, trained_kafka};
use super::wait;

/// Longest wait for a server to stop by itself.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// How the voters are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voters {
    /// The first controller begins alone (`--standalone`), the others are formatted to join.
    Standalone,
    /// All of them vote from the start (`--initial-controllers`).
    Initial,
    /// They stand in the configuration (`controller.quorum.voters`).
    Static,
}

/// What a test wants.
#[derive(Debug, Clone)]
pub(crate) struct QuorumShape {
    /// How the voters are written down.
    pub(crate) voters: Voters,
    /// Ids of the controllers that run at the start.
    pub(crate) controllers: Vec<i32>,
    /// Ids of controllers that a test may start later: their addresses are known to all.
    pub(crate) reserved: Vec<i32>,
    /// Ids of the brokers.
    pub(crate) brokers: Vec<i32>,
    /// Put into the file of each server; `{port}` stands for its own port.
    pub(crate) properties: Vec<(String, String)>,
}

/// A running quorum with its brokers; dropped, it ends and its folder is removed.
#[derive(Debug)]
pub(crate) struct Quorum {
    keeper: Keeper,
    software: Vec<String>,
    cluster: String,
    shape: QuorumShape,
    ports: BTreeMap<i32, Port>,
}

impl Quorum {
    /// Starts the controllers, then the brokers, and waits until every broker knows all.
    pub(crate) fn start(kind: Kind, shape: QuorumShape) -> anyhow::Result<Self> {
        let software = trained_kafka(kind)?;
        let _slot = slot()?;
        let keeper = Keeper::start(false)?;
        let all = shape.controllers.iter().chain(&shape.reserved).chain(&shape.brokers);
        let ids: Vec<_> = all.copied().collect();
        let ports = ids.iter().copied().zip(reserve(ids.len())?).collect();
        let quorum = Self { keeper, software, cluster: kafka_uuid(), shape, ports };
        quorum.bring_up().inspect_err(|_| quorum.keeper.keep_logs())?;
        Ok(quorum)
    }

    fn bring_up(&self) -> anyhow::Result<()> {
        fs::write(self.keeper.folder().join("log4j.properties"), LOG4J)?;
        let Self { shape, .. } = self;
        let listed = |id: &i32| format!("{id}@{}:{}", self.address(*id), kafka_uuid());
        let initial: Vec<_> = shape.controllers.iter().map(listed).collect();
        for (position, id) in shape.controllers.iter().enumerate() {
            let words = match shape.voters {
                Voters::Static => vec![],
                Voters::Standalone if position == 0 => vec!["--standalone".to_owned()],
                Voters::Standalone => vec!["--no-initial-controllers".to_owned()],
                Voters::Initial => vec!["--initial-controllers".to_owned(), initial.join(",")],
            };
            self.format(*id, &words)?;
        }
        shape.controllers.iter().try_for_each(|id| self.launch(*id))?;
        for id in &shape.brokers {
            let words =
                if shape.voters == Voters::Static { vec![] } else { vec!["--no-initial-controllers".to_owned()] };
            self.format(*id, &words)?;
            self.launch(*id)?;
        }
        self.await_brokers()
    }

    /// Waits until every broker knows every other.
    pub(crate) fn await_brokers(&self) -> anyhow::Result<()> {
        for id in &self.shape.brokers {
            let name = name(*id);
            wait::until(START_LIMIT, &format!("{name} to know all brokers"), || {
                ensure!(self.keeper.pid(&name).is_some(), "{name} ended.{}", self.keeper.tail(&name));
                Ok(match ask::metadata(self.ports[id].number) {
                    Ok(seen) if seen.brokers.len() == self.shape.brokers.len() => Ok(()),
                    Ok(seen) => Err(format!("{seen:?}")),
                    Err(error) => Err(format!("{error:#}.{}", self.keeper.tail(&name))),
                })
            })?;
        }
        Ok(())
    }

    /// The cluster's id.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// `HOST:PORT,…` of the controllers that run or may be started later.
    pub(crate) fn controllers(&self) -> String {
        let all = self.shape.controllers.iter().chain(&self.shape.reserved);
        all.map(|id| self.address(*id)).collect::<Vec<_>>().join(",")
    }

    /// `HOST:PORT,…` of the brokers.
    pub(crate) fn bootstrap(&self) -> String {
        self.shape.brokers.iter().map(|id| self.address(*id)).collect::<Vec<_>>().join(",")
    }

    /// `HOST:PORT` of a server.
    pub(crate) fn address(&self, id: i32) -> String {
        format!("127.0.0.1:{}", self.ports[&id].number)
    }

    /// The process id of a server that runs.
    pub(crate) fn pid(&self, id: i32) -> Option<i32> {
        self.keeper.pid(&name(id))
    }

    /// Formats a reserved controller as one that joins, and starts it; its directory id.
    pub(crate) fn start_joiner(&self, id: i32) -> anyhow::Result<String> {
        self.format(id, &["--no-initial-controllers".to_owned()])?;
        self.launch(id)?;
        self.directory(id)
    }

    /// Stops a server and waits until its process is gone.
    pub(crate) fn stop(&self, id: i32, signal: Signal) -> anyhow::Result<()> {
        let posix = match signal {
            Signal::Term => Posix::TERM,
            Signal::Kill => Posix::KILL,
        };
        self.keeper.signal(&name(id), posix)?;
        self.keeper.ended(&name(id), STOP_LIMIT)
    }

    /// Starts a stopped server again.
    pub(crate) fn launch(&self, id: i32) -> anyhow::Result<()> {
        let folder = self.keeper.folder();
        let mut command = vec![java()?.display().to_string(), "-Xmx256m".to_owned()];
        command.push(format!("-Dlog4j.configuration=file:{}", folder.join("log4j.properties").display()));
        command.push("-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned());
        command.push("-Dlog4j2.disable.jmx=true".to_owned());
        command.extend(self.software.iter().cloned());
        command.push("kafka.Kafka".to_owned());
        command.push(folder.join(name(id)).join("server.properties").display().to_string());
        self.keeper.launch(&name(id), &command)
    }

    /// Stops a server in its tracks (SIGSTOP).
    pub(crate) fn freeze(&self, id: i32) -> anyhow::Result<()> {
        self.keeper.signal(&name(id), Posix::STOP)?;
        self.keeper.stands_still(&name(id))
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self, id: i32) -> anyhow::Result<()> {
        self.keeper.signal(&name(id), Posix::CONT)
    }

    /// Replaces the disk of a controller that does not run by an empty one, formatted to join; its new directory id.
    pub(crate) fn replace_disk(&self, id: i32) -> anyhow::Result<String> {
        ensure!(self.keeper.pid(&name(id)).is_none(), "controller {id} runs");
        fs::remove_dir_all(self.data(id))?;
        self.format(id, &["--no-initial-controllers".to_owned()])?;
        self.directory(id)
    }

    /// The directory id of a server's disk.
    pub(crate) fn directory(&self, id: i32) -> anyhow::Result<String> {
        let text = fs::read_to_string(self.data(id).join("meta.properties"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("directory.id="));
        line.map(str::to_owned).with_context(|| format!("meta.properties of server {id} has no directory.id"))
    }

    fn data(&self, id: i32) -> PathBuf {
        self.keeper.folder().join("data").join(name(id))
    }

    fn format(&self, id: i32, words: &[String]) -> anyhow::Result<()> {
        let home = self.keeper.folder().join(name(id));
        fs::create_dir_all(&home)?;
        let properties = home.join("server.properties");
        fs::write(&properties, self.properties(id))?;
        let log = self.keeper.folder().join("logs").join(format!("format-{}.log", name(id)));
        let output = File::create(&log)?;
        let status = Command::new("timeout")
            .arg("120")
            .arg(java()?)
            .arg("-Xmx64m")
            .args(&self.software)
            .args(["kafka.tools.StorageTool", "format", "--cluster-id", &self.cluster, "--config"])
            .arg(&properties)
            .args(words)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()
            .context("failed to run java")?;
        let text = fs::read_to_string(&log).unwrap_or_default();
        ensure!(status.success(), "StorageTool failed ({status}); {} says:\n{text}", log.display());
        Ok(())
    }

    fn properties(&self, id: i32) -> String {
        let is_broker = self.shape.brokers.contains(&id);
        let mut all = BTreeMap::new();
        let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);
        set("node.id", id.to_string());
        set("process.roles", if is_broker { "broker" } else { "controller" }.to_owned());
        let listener = if is_broker { "PLAINTEXT" } else { "CONTROLLER" };
        set("listeners", format!("{listener}://{}", self.address(id)));
        set("advertised.listeners", format!("{listener}://{}", self.address(id)));
        set("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned());
        set("controller.listener.names", "CONTROLLER".to_owned());
        if self.shape.voters == Voters::Static {
            let voters = self.shape.controllers.iter().map(|id| format!("{id}@{}", self.address(*id)));
            set("controller.quorum.voters", voters.collect::<Vec<_>>().join(","));
        } else {
            set("controller.quorum.bootstrap.servers", self.controllers());
        }
        set("log.dirs", self.data(id).display().to_string());
        set("log.cleaner.dedupe.buffer.size", "4194304".to_owned());
        set("auto.create.topics.enable", "false".to_owned());
        set("offsets.topic.replication.factor", self.shape.brokers.len().clamp(1, 3).to_string());
        set("offsets.topic.num.partitions", "4".to_owned());
        set("group.initial.rebalance.delay.ms", "0".to_owned());
        for (key, value) in &self.shape.properties {
            all.insert(key.clone(), value.replace("{port}", &self.ports[&id].number.to_string()));
        }
        let lines: Vec<_> = all.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.join("\n") + "\n"
    }
}

fn name(id: i32) -> String {
    format!("node-{id}")
}
