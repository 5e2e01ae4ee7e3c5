//! Clusters for hands, for the demo and for other programs: `make servers`, `make servers-stop`, `make demo`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context;
use clap::{Args, Parser};
use kafka::{Cluster, Kind, Shape};

#[path = "kafka/mod.rs"]
mod kafka;

/// Real Kafka clusters on loopback.
#[derive(Debug, Parser)]
#[command(name = "servers")]
enum Servers {
    /// Starts clusters that keep running, and writes a toolbox.yaml that names them
    Start(ForHands),
    /// Stops what `start` started, and removes all of it
    Stop(ForHands),
    /// Starts a cluster, prints its folder, and ends it when standard input ends
    Hold(One),
    /// Starts a cluster, runs a command with TOOLBOX_BOOTSTRAP_SERVER set, and ends the cluster
    Run {
        #[command(flatten)]
        one: One,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct ForHands {
    /// Only this kind
    #[arg(long, value_parser = kind)]
    kind: Vec<Kind>,
    /// Where the names of the clusters are written
    #[arg(long, default_value = "toolbox.yaml")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct One {
    /// Version and mode
    #[arg(long, value_parser = kind, default_value = "kafka-4.3-kraft")]
    kind: Kind,
    /// Number of brokers, each in a rack of its own (a, b, c, …)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=6))]
    brokers: u8,
    /// Memory of each broker in MB; thousands of topics want 1024
    #[arg(long, default_value_t = 256)]
    heap: u32,
}

impl One {
    fn start(&self) -> anyhow::Result<Cluster> {
        Cluster::start(self.kind, &Shape { heap: self.heap, ..shape(self.brokers) })
    }
}

/// What `start` leaves running when nothing else is asked for.
const FOR_HANDS: [Kind; 3] = [Kind::Kafka39Zookeeper, Kind::Kafka39Kraft, Kind::Kafka43Kraft];

const HEAD: &str = "# Written by `make servers`; `make servers-stop` stops the clusters and removes this file.\n";

fn main() -> ExitCode {
    let done = match Servers::parse() {
        Servers::Start(hands) => start(&hands),
        Servers::Stop(hands) => stop(&hands),
        Servers::Hold(one) => hold(&one),
        Servers::Run { one, command } => run(&one, &command),
    };
    done.unwrap_or_else(|error| {
        eprintln!("servers: {error:#}");
        ExitCode::FAILURE
    })
}

fn kind(name: &str) -> Result<Kind, String> {
    let names = Kind::ALL.map(Kind::name).join(", ");
    Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("the kinds are {names}"))
}

fn shape(brokers: u8) -> Shape {
    let racks = ["a", "b", "c", "d", "e", "f"];
    Shape::racks(&racks[..usize::from(brokers)])
}

fn start(hands: &ForHands) -> anyhow::Result<ExitCode> {
    let file = std::path::absolute(&hands.file)?;
    if let Ok(text) = fs::read_to_string(&file) {
        anyhow::ensure!(text.starts_with(HEAD), "{} is not from `make servers`: move it away first", file.display());
    }
    let kinds = if hands.kind.is_empty() { FOR_HANDS.to_vec() } else { hands.kind.clone() };
    for kind in kinds {
        if running(&file)?.iter().any(|one| one.name == kind.name()) {
            println!("{} runs already", kind.name());
            continue;
        }
        println!("{} starts", kind.name());
        let cluster = Cluster::start(kind, &shape(3))?;
        let lines =
            [&file.display().to_string(), kind.name(), &cluster.bootstrap(), cluster.id(), &cluster.zookeeper()];
        fs::write(cluster.folder().join("for-hands"), lines.map(|line| format!("{line}\n")).concat())?;
        cluster.detach()?;
    }
    let running = running(&file)?;
    let mut text = format!("{HEAD}clusters:\n");
    for one in &running {
        writeln!(text, "  {}:", one.name)?;
        writeln!(
            text,
            "    bootstrapServers: \"{}\"
    clusterId: \"{}\"",
            one.bootstrap, one.id
        )?;
    }
    fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
    println!("\nThey are named in {}:", file.display());
    for one in &running {
        println!("  toolbox topics list --cluster {}", one.name);
        println!("    brokers    {}", one.bootstrap);
        if !one.zookeeper.is_empty() {
            println!("    ZooKeeper  {}", one.zookeeper);
        }
        println!("    logs       {}", one.folder.join("logs").display());
        println!("    Java tools {} CLASS ARGUMENTS", one.folder.join("tool").display());
    }
    println!("`make servers-stop` ends them.");
    Ok(ExitCode::SUCCESS)
}

fn stop(hands: &ForHands) -> anyhow::Result<ExitCode> {
    let file = std::path::absolute(&hands.file)?;
    let running = running(&file)?;
    for one in &running {
        kafka::end(&one.folder)?;
        println!("{} ended", one.name);
    }
    if fs::read_to_string(&file).is_ok_and(|text| text.starts_with(HEAD)) {
        fs::remove_file(&file)?;
    }
    if running.is_empty() {
        println!("none run");
    }
    Ok(ExitCode::SUCCESS)
}

fn hold(one: &One) -> anyhow::Result<ExitCode> {
    let cluster = one.start()?;
    println!("{}", cluster.folder().display());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(ExitCode::SUCCESS)
}

fn run(one: &One, command: &[String]) -> anyhow::Result<ExitCode> {
    let cluster = one.start()?;
    let status = Command::new(&command[0])
        .args(&command[1..])
        .env("TOOLBOX_BOOTSTRAP_SERVER", cluster.bootstrap())
        .env("SERVERS_CLUSTER_ID", cluster.id())
        .env("SERVERS_TOOL", cluster.folder().join("tool"))
        .status()
        .with_context(|| format!("failed to run {}", command[0]))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// A cluster that was left running for hands.
struct Running {
    folder: PathBuf,
    name: String,
    bootstrap: String,
    id: String,
    zookeeper: String,
}

/// The clusters that `file` was written for and that still run. Each tells so itself, in its folder.
fn running(file: &Path) -> anyhow::Result<Vec<Running>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(std::env::temp_dir())? {
        let folder = entry?.path();
        let Ok(text) = fs::read_to_string(folder.join("for-hands")) else { continue };
        let mut lines = text.lines().map(str::to_owned);
        let mut next = || lines.next().unwrap_or_default();
        if next() == file.display().to_string() && kafka::runs(&folder) {
            found.push(Running { name: next(), bootstrap: next(), id: next(), zookeeper: next(), folder });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
