//! A real Kafka cluster on loopback: started, disturbed and ended by a test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::Signal as Posix;

use super::ask::{self, Seen};
use super::jars::java;
use super::keeper::Keeper;
use super::ports::{Port, reserve};
use super::shape::{Kind, Shape};
use super::{start, wait};

/// Longest wait for a cluster, also on a machine that does much else.
pub(super) const START_LIMIT: Duration = Duration::from_mins(3);

/// Longest wait for a broker to stop by itself.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// Longest run of one of Kafka's own tools.
const TOOL_LIMIT: &str = "120";

/// How a broker is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM: it hands its leaderships over first.
    Term,
    /// SIGKILL: it is gone.
    Kill,
}

/// A running cluster; dropped, it ends and its folder is removed.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) keeper: Keeper,
    pub(super) nodes: Vec<Node>,
    pub(super) zookeepers: Vec<u16>,
    /// Kafka's class path and archive of classes, for tools.
    pub(super) java_flags: Vec<String>,
    pub(super) _ports: Vec<Port>,
}

/// One broker, which may be a controller, too.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) id: i32,
    /// `PLAINTEXT` first.
    pub(super) listeners: Vec<(String, Ports)>,
    /// The controller's port.
    pub(super) controller: Option<u16>,
    /// The JMX exporter's port.
    pub(super) exporter: Option<u16>,
    /// The whole command line.
    pub(super) command: Vec<String>,
}

/// Where a listener listens and where it says that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// The port that the broker has bound.
    pub(crate) real: u16,
    /// The port that it tells clients.
    pub(crate) advertised: u16,
}

impl Cluster {
    /// Starts a cluster for this test alone and waits until every broker knows every other.
    pub(crate) fn start(kind: Kind, shape: &Shape) -> anyhow::Result<Self> {
        start::start(kind, shape, false)
    }

    /// A cluster of three brokers with ids 1 to 3 in racks `a`, `b`, `c`, for tests that do not disturb each other: own
    /// names of topics and groups, no broker stopped, no default changed. It ends with the process.
    pub(crate) fn shared(kind: Kind) -> &'static Self {
        static SHARED: [OnceLock<Result<Cluster, String>>; Kind::ALL.len()] =
            [const { OnceLock::new() }; Kind::ALL.len()];
        let position = Kind::ALL.iter().position(|&other| other == kind).unwrap_or_default();
        let cluster = SHARED[position].get_or_init(|| {
            start::start(kind, &Shape::racks(&["a", "b", "c"]), true).map_err(|error| format!("{error:#}"))
        });
        match cluster {
            Ok(cluster) => cluster,
            Err(error) => panic!("the shared cluster {} did not start: {error}", kind.name()),
        }
    }

    /// Version and mode.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The cluster's id, as brokers tell it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// `HOST:PORT,…` of all brokers, plaintext.
    pub(crate) fn bootstrap(&self) -> String {
        self.bootstrap_of("PLAINTEXT")
    }

    /// `HOST:PORT,…` of all brokers by the listener of this name, as advertised.
    pub(crate) fn bootstrap_of(&self, listener: &str) -> String {
        let addresses: Vec<_> =
            self.ports_of(listener).iter().map(|ports| format!("127.0.0.1:{}", ports.advertised)).collect();
        addresses.join(",")
    }

    /// `HOST:PORT,…` of the KRaft controllers' own listener; empty in ZooKeeper mode. Up to three brokers are controllers,
    /// too, and vote in a dynamic quorum.
    pub(crate) fn controllers(&self) -> String {
        let ports = self.nodes.iter().filter_map(|node| node.controller);
        ports.map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
    }

    /// The ports of each broker's listener of this name, in the order of the ids asked for.
    pub(crate) fn ports_of(&self, listener: &str) -> Vec<Ports> {
        let listeners = self.nodes.iter().flat_map(|node| &node.listeners);
        let ports: Vec<_> = listeners.filter(|(name, _)| name == listener).map(|&(_, ports)| ports).collect();
        assert_eq!(ports.len(), self.nodes.len(), "every broker has a listener {listener}");
        ports
    }

    /// `HOST:PORT,…` of the ZooKeeper servers; empty in KRaft mode.
    pub(crate) fn zookeeper(&self) -> String {
        let addresses: Vec<_> = self.zookeepers.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        addresses.join(",")
    }

    /// The cluster's folder; `files` in it holds the files that were asked for.
    pub(crate) fn folder(&self) -> &Path {
        self.keeper.folder()
    }

    /// Ids of the brokers with a JMX exporter, and its port.
    pub(crate) fn exporters(&self) -> Vec<(i32, u16)> {
        self.nodes.iter().filter_map(|node| Some((node.id, node.exporter?))).collect()
    }

    /// Runs another server beside the brokers; it ends with the cluster.
    pub(crate) fn run_beside(&self, name: &str, command: &[String]) -> anyhow::Result<()> {
        self.keeper.launch(name, command)
    }

    /// Ends another server beside the brokers as a power cut would, and waits until its process is gone.
    pub(crate) fn stop_beside(&self, name: &str) -> anyhow::Result<()> {
        self.keeper.signal(name, Posix::KILL)?;
        self.keeper.ended(name, STOP_LIMIT)
    }

    /// A free port for a server beside the brokers.
    pub(crate) fn port_beside() -> anyhow::Result<Port> {
        reserve(1)?.pop().context("a port was reserved")
    }

    /// Where each server's log is.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder().join("logs")
    }

    /// The process id of a broker that runs.
    pub(crate) fn pid(&self, id: i32) -> Option<i32> {
        self.keeper.pid(&self.node(id).ok()?.name)
    }

    /// Stops a broker and waits until its process is gone. Others may still believe in it for some seconds after
    /// [`Signal::Kill`]: [`Cluster::await_brokers`] waits for that.
    pub(crate) fn stop_broker(&self, id: i32, signal: Signal) -> anyhow::Result<()> {
        let name = &self.node(id)?.name;
        let posix = match signal {
            Signal::Term => Posix::TERM,
            Signal::Kill => Posix::KILL,
        };
        self.keeper.signal(name, posix)?;
        self.keeper.ended(name, STOP_LIMIT)
    }

    /// Starts a stopped broker again and waits until it is a member.
    pub(crate) fn start_broker(&self, id: i32) -> anyhow::Result<()> {
        let node = self.node(id)?;
        self.keeper.launch(&node.name, &node.command)?;
        let port = node.listeners[0].1.real;
        wait::until(START_LIMIT, &format!("broker {id} to join"), || {
            ensure!(self.keeper.pid(&node.name).is_some(), "broker {id} ended.{}", self.keeper.tail(&node.name));
            Ok(match ask::metadata(port) {
                Ok(seen) if seen.brokers.iter().any(|(other, _)| *other == id) => Ok(()),
                Ok(seen) => Err(format!("{seen:?}")),
                Err(error) => Err(format!("{error:#}")),
            })
        })
    }

    /// The data folder of a broker.
    pub(crate) fn data_of(&self, id: i32) -> anyhow::Result<PathBuf> {
        Ok(self.folder().join("data").join(&self.node(id)?.name))
    }

    /// Formats the empty data folder of a broker that is no controller, as KRaft wants it before the broker starts.
    pub(crate) fn format(&self, id: i32) -> anyhow::Result<()> {
        let node = self.node(id)?;
        ensure!(node.controller.is_none(), "broker {id} is a controller, too");
        let properties = self.folder().join(&node.name).join("server.properties").display().to_string();
        let line = ["format", "--cluster-id", &self.id, "--config", &properties, "--no-initial-controllers"];
        self.tool("kafka.tools.StorageTool", &line).map(drop)
    }

    /// Stops a broker in its tracks (SIGSTOP): connections to it open, answers never come.
    pub(crate) fn freeze(&self, id: i32) -> anyhow::Result<()> {
        let name = &self.node(id)?.name;
        self.keeper.signal(name, Posix::STOP)?;
        self.keeper.stands_still(name)
    }

    /// Lets a frozen broker go on.
    pub(crate) fn thaw(&self, id: i32) -> anyhow::Result<()> {
        self.keeper.signal(&self.node(id)?.name, Posix::CONT)
    }

    /// Waits until every broker of `ids` says that exactly these are alive.
    pub(crate) fn await_brokers(&self, ids: &[i32]) -> anyhow::Result<()> {
        let nodes = ids.iter().map(|&id| self.node(id)).collect::<anyhow::Result<Vec<_>>>()?;
        let mut wanted = ids.to_vec();
        wanted.sort_unstable();
        wait::until(START_LIMIT, &format!("brokers {wanted:?} alone to be alive"), || {
            for node in &nodes {
                let seen = match ask::metadata(node.listeners[0].1.real) {
                    Ok(seen) => seen,
                    Err(error) => return Ok(Err(format!("{}: {error:#}", node.name))),
                };
                if !seen.brokers.iter().map(|(id, _)| *id).eq(wanted.iter().copied()) {
                    return Ok(Err(format!("{}: {seen:?}", node.name)));
                }
            }
            Ok(Ok(()))
        })
    }

    /// What the first broker that answers says about the cluster.
    pub(crate) fn seen(&self) -> anyhow::Result<Seen> {
        self.first_answer(ask::metadata)
    }

    /// The id of the broker that is the active controller now.
    pub(crate) fn controller(&self) -> anyhow::Result<i32> {
        if self.kind.has_zookeeper() {
            return Ok(self.seen()?.controller);
        }
        self.first_answer(ask::quorum_leader)
    }

    fn first_answer<T>(&self, ask: impl Fn(u16) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut answer = Err(anyhow::anyhow!("no broker runs"));
        for node in self.nodes.iter().filter(|node| self.keeper.pid(&node.name).is_some()) {
            answer = ask(node.listeners[0].1.real);
            if answer.is_ok() {
                break;
            }
        }
        answer
    }

    /// Runs one of Kafka's own tools by its class, such as `org.apache.kafka.tools.TopicCommand` (up to 2.8:
    /// `kafka.admin.TopicCommand`), and returns what it printed; an error if it fails.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("timeout")
            .arg(TOOL_LIMIT)
            .arg(java()?)
            .arg("-Xmx256m")
            .args(&self.java_flags)
            .arg(class)
            .args(arguments)
            .output()
            .context("failed to run java")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "{class} {arguments:?} failed ({}):\n{text}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(text)
    }

    /// Leaves the servers running when this process ends; the keeper's process id.
    pub(crate) fn detach(self) -> anyhow::Result<u32> {
        self.keeper.detach()
    }

    fn node(&self, id: i32) -> anyhow::Result<&Node> {
        self.nodes.iter().find(|node| node.id == id).with_context(|| format!("the cluster has no broker {id}"))
    }
}
