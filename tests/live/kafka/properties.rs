//! The brokers' `server.properties`: the smallest that work on a small machine, and what a test adds.

use std::collections::BTreeMap;
use std::path::Path;

use super::cluster::Node;
use super::shape::{Kind, Shape};

/// What all brokers of a cluster have in common.
pub(super) struct Common<'a> {
    pub(super) kind: Kind,
    pub(super) shape: &'a Shape,
    pub(super) folder: &'a Path,
    /// `HOST:PORT,…` of the ZooKeeper servers.
    pub(super) zookeeper: &'a str,
    /// `HOST:PORT,…` of the KRaft controllers.
    pub(super) controllers: &'a str,
}

/// The text of one broker's file.
pub(super) fn server_properties(common: &Common<'_>, node: &Node, position: usize) -> String {
    let shape = common.shape;
    let mut all = BTreeMap::new();
    let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);
    let replicas = shape.ids.len().min(3);
    for key in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
        set(&format!("{key}.replication.factor"), replicas.to_string());
        set(&format!("{key}.num.partitions"), "4".into());
    }
    for key in ["transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"] {
        set(key, "1".into());
    }
    set("group.initial.rebalance.delay.ms", "0".into());
    set("num.network.threads", "2".into());
    set("num.io.threads", "2".into());
    set("log.cleaner.dedupe.buffer.size", "4194304".into());
    set("auto.create.topics.enable", "false".into());
    set("log.dirs", common.folder.join("data").join(&node.name).display().to_string());
    if !shape.racks.is_empty() {
        set("broker.rack", shape.racks[position % shape.racks.len()].clone());
    }
    let mut protocols = vec!["PLAINTEXT:PLAINTEXT".to_owned()];
    protocols.extend(shape.listeners.iter().map(|listener| format!("{}:{}", listener.name, listener.protocol)));
    set("inter.broker.listener.name", "PLAINTEXT".into());
    let mut listens: Vec<_> =
        node.listeners.iter().map(|(name, ports)| format!("{name}://127.0.0.1:{}", ports.real)).collect();
    let advertises: Vec<_> =
        node.listeners.iter().map(|(name, ports)| format!("{name}://127.0.0.1:{}", ports.advertised)).collect();
    set("advertised.listeners", advertises.join(","));
    if common.kind.has_zookeeper() {
        set("broker.id", node.id.to_string());
        // Without it, ids beyond 1,000 are refused.
        set("broker.id.generation.enable", "false".into());
        let relay = shape.relay.as_ref().and_then(|relay| relay.port(node.id));
        set("zookeeper.connect", relay.map_or(common.zookeeper.to_owned(), |port| format!("127.0.0.1:{port}")));
    } else {
        set("node.id", node.id.to_string());
        set("process.roles", if node.controller.is_some() { "broker,controller" } else { "broker" }.into());
        set("controller.listener.names", "CONTROLLER".into());
        set("controller.quorum.bootstrap.servers", common.controllers.to_owned());
        protocols.push("CONTROLLER:PLAINTEXT".into());
        listens.extend(node.controller.map(|port| format!("CONTROLLER://127.0.0.1:{port}")));
    }
    set("listener.security.protocol.map", protocols.join(","));
    set("listeners", listens.join(","));
    let files = common.folder.join("files").display().to_string();
    for (key, value) in &shape.properties {
        all.insert(key.clone(), value.replace("{files}", &files).replace("{id}", &node.id.to_string()));
    }
    let lines: Vec<_> = all.into_iter().map(|(key, value)| format!("{key}={}", value.replace('\\', r"\\"))).collect();
    lines.join("\n") + "\n"
}

/// The configuration of a ZooKeeper server: alone, or one of an ensemble.
pub(super) fn zookeeper(home: &Path, data: &Path, ports: &[[u16; 3]]) -> String {
    let data = data.display();
    let place = if let [[client, ..]] = ports {
        format!("clientPort={client}\nclientPortAddress=127.0.0.1\n")
    } else {
        let dynamic = home.join("zoo.cfg.dynamic").display().to_string();
        format!("standaloneEnabled=false\nreconfigEnabled=true\ndynamicConfigFile={dynamic}\n")
    };
    format!(
        "tickTime=1000\ninitLimit=10\nsyncLimit=5\ndataDir={data}\nadmin.enableServer=false\n\
         4lw.commands.whitelist=*\nmaxClientCnxns=0\n{place}"
    )
}

/// The members of an ensemble, as each of them is told at its first start.
pub(super) fn ensemble(ports: &[[u16; 3]]) -> String {
    let members: Vec<_> = (1..)
        .zip(ports)
        .map(|(id, [client, peers, election])| {
            format!("server.{id}=127.0.0.1:{peers}:{election}:participant;127.0.0.1:{client}\n")
        })
        .collect();
    members.concat()
}

/// Logs of Kafka up to 3.9, which has log4j 1: to standard output, with times.
pub(super) const LOG4J: &str = "log4j.rootLogger=INFO, out\n\
     log4j.appender.out=org.apache.log4j.ConsoleAppender\n\
     log4j.appender.out.layout=org.apache.log4j.PatternLayout\n\
     log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n\n";
