//! Probes: whole processes beside ZooKeeper's own clients, the HTTP form, a large cluster, and what a hundred of them cost.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::lines::{Stage, contender};
use crate::measure::{Contender, Goal, Line, Measured};

/// Partitions of the cluster that `probe kafka ready` is measured on.
pub(crate) const PARTITIONS: usize = 10_000;

/// Requests to the HTTP form, over so many connections.
const REQUESTS: u32 = 20_000;
const CONNECTIONS: u32 = 8;

/// What the HTTP form must answer in a second, and how much memory it may need.
const PER_SECOND: f64 = 5_000.0;
const SERVED_MB: f64 = 20.0;

/// Probes whose CPU time is added up.
const PROBES: u32 = 100;

/// Clock ticks a second in `/proc`.
const TICKS: f64 = 100.0;

/// Servers of the ensemble whose members are probed.
pub(crate) const SERVERS: u16 = 5;

/// How often it is looked whether a broker is ready, and how long lies between two looks.
const READY_LOOKS: u32 = 240;
const READY_PAUSE: Duration = Duration::from_millis(250);

pub(crate) const ZOOKEEPER: &str = "probe zookeeper ready";
pub(crate) const MEMBER: &str = "probe zookeeper ready: one of 5 members";
pub(crate) const STATUS: &str = "ensemble status: 5 servers, one dead, one frozen";
pub(crate) const LIVE: &str = "probe kafka live";
pub(crate) const SERVED: &str = "probe kafka serve: 20,000 requests";
pub(crate) const CPU: &str = "probe kafka live: CPU time of 100";
pub(crate) const STRICT: &str = "probe kafka ready --strict";
pub(crate) const LATCHED: &str = "probe kafka ready, latched";

impl Stage<'_> {
    /// A ZooKeeper server's role and, where it is one of several, its membership, beside ZooKeeper's own ways to ask.
    pub(crate) fn probe_zookeeper(&self, address: &str, is_member: bool) -> Line {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "2181"));
        let goal = Goal { seconds: Some(0.005), faster: Some(("zkCli", 50.0)), ..Goal::default() };
        let expected = if is_member { &[][..] } else { &["--standalone"] };
        let words = ["probe", "zookeeper", "ready", "--timeout", "10s", "--address", address];
        let words = [&words[..], expected].concat();
        let ours = Contender { goal, ..contender("toolbox", self.toolbox, &words) };
        let class = "org.apache.zookeeper.client.FourLetterWordMain";
        let words = contender("FourLetterWordMain", &self.tool, &[class, host, port, "srvr"]);
        let class = "org.apache.zookeeper.ZooKeeperMain";
        let shell = contender("zkCli", &self.tool, &[class, "-server", address, "get", "/zookeeper/config"]);
        let mut contenders = vec![ours, words, shell];
        for one in &mut contenders {
            one.countable = false;
        }
        let title = if is_member { MEMBER } else { ZOOKEEPER };
        Line { title: title.into(), contenders, times: 3 }
    }

    /// The page of an ensemble of which one server is dead and one stands still.
    pub(crate) fn status(&self, servers: &str) -> Line {
        let goal = Goal { seconds: Some(2.5), ..Goal::default() };
        let mut ours = contender("toolbox", self.toolbox, &["ensemble", "status", "--zookeeper", servers]);
        (ours.goal, ours.countable) = (goal, false);
        // The next failure stops writes: it is not healthy.
        ours.right = vec![5];
        Line { title: STATUS.into(), contenders: vec![ours], times: 1 }
    }

    /// Whether a broker is alive.
    pub(crate) fn probe_live(&self) -> Line {
        let goal = Goal { seconds: Some(0.005), ..Goal::default() };
        let words = ["probe", "kafka", "live", "--timeout", "10s", "--address", "{broker}"];
        let ours = Contender { goal, ..contender("toolbox", self.toolbox, &words) };
        Line { title: LIVE.into(), contenders: vec![ours], times: 3 }
    }

    /// Whether a broker is in sync, before and after it is latched; the broker is in sync by now.
    pub(crate) fn probe_ready(&self, is_latched: bool) -> Line {
        let words = self.words_of_ready("{broker}", is_latched);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut ours = contender("toolbox", self.toolbox, &words);
        // Requests are counted through a relay, and a latch is of the process that has the port.
        ours.countable = !is_latched;
        let title = if is_latched { LATCHED } else { STRICT };
        Line { title: format!("{title}: {PARTITIONS} partitions"), contenders: vec![ours], times: 3 }
    }

    /// Looks until a broker is latched: the first looks are strict ones.
    pub(crate) fn latch(&self, broker: &str) -> anyhow::Result<()> {
        for _ in 0..READY_LOOKS {
            let output = Command::new(self.toolbox).args(self.words_of_ready(broker, true)).output()?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && said.contains("was in sync and is ready since") {
                return Ok(());
            }
            std::thread::sleep(READY_PAUSE);
        }
        bail!("the broker was not latched")
    }

    fn words_of_ready(&self, broker: &str, is_latched: bool) -> Vec<String> {
        let latch = self.path("latch.json");
        let common = ["probe", "kafka", "ready", "--broker", "1", "--timeout", "30s", "--address", broker];
        let phase = if is_latched { &["--latch", &latch][..] } else { &["--strict"] };
        [&common[..], phase].concat().into_iter().map(str::to_owned).collect()
    }

    /// How many bytes the brokers answer to a look: as its log says. A latched one needs a latch from earlier looks.
    pub(crate) fn bytes_of_look(&self, broker: &str, is_latched: bool) -> anyhow::Result<u64> {
        let words = self.words_of_ready(broker, is_latched);
        let output = Command::new(self.toolbox).args(words).args(["--log", "debug"]).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let numbers = said
            .split("answer_bytes=")
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok());
        let bytes = numbers.sum();
        ensure!(bytes > 0, "the log says nothing of answers: {said}");
        Ok(bytes)
    }

    /// Partitions beside those of the topics that there are.
    pub(crate) fn grow(&self, bootstrap: &str, partitions: usize) -> anyhow::Result<()> {
        let (count, factor) = (partitions.to_string(), "1");
        let words = ["--create", "--topic", "probe-many", "--partitions", &count, "--replication-factor", factor];
        let class = "org.apache.kafka.tools.TopicCommand";
        let made = Command::new(&self.tool).args([class, "--bootstrap-server", bootstrap]).args(words).output()?;
        ensure!(made.status.success(), "failed to create partitions: {}", String::from_utf8_lossy(&made.stderr));
        Ok(())
    }

    /// Requests that the HTTP form answers, and its peak memory.
    pub(crate) fn served(&self, broker: &str) -> Measured {
        let goal =
            Goal { seconds: Some(f64::from(REQUESTS) / PER_SECOND), megabytes: Some(SERVED_MB), ..Goal::default() };
        let mut measured = blank(SERVED, goal);
        match self.serve_and_ask(broker) {
            Ok((seconds, megabytes)) => (measured.seconds, measured.megabytes) = (vec![seconds], Some(megabytes)),
            Err(error) => measured.failed = Some(format!("{error:#}")),
        }
        measured
    }

    fn serve_and_ask(&self, broker: &str) -> anyhow::Result<(f64, f64)> {
        let words = ["probe", "kafka", "serve", "--broker", "1", "--address", broker, "--listen", "127.0.0.1:0"];
        let mut server = Command::new(self.toolbox).args(words).stderr(Stdio::piped()).spawn()?;
        let asked = (|| {
            let mut said = String::new();
            BufReader::new(server.stderr.take().context("it has a standard error")?).read_line(&mut said)?;
            let address = said.trim().rsplit_once("http://").context("it names no address")?.1.to_owned();
            until_ready(&address)?;
            let start = Instant::now();
            let clients = (0..CONNECTIONS).map(|_| {
                let address = address.clone();
                std::thread::spawn(move || ask(&address, REQUESTS / CONNECTIONS))
            });
            for client in clients.collect::<Vec<_>>() {
                client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            }
            let seconds = start.elapsed().as_secs_f64();
            let status = fs::read_to_string(format!("/proc/{}/status", server.id()))?;
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak memory")?;
            let kilobytes: f64 = peak.trim().trim_end_matches("kB").trim().parse()?;
            anyhow::Ok((seconds, kilobytes / 1024.0))
        })();
        server.kill()?;
        server.wait()?;
        asked
    }

    /// The CPU time of many probes, with that of starting them.
    pub(crate) fn cpu(&self, broker: &str) -> Measured {
        let mut measured = blank(CPU, Goal { seconds: Some(1.0), ..Goal::default() });
        let used = (|| {
            let before = children()?;
            for _ in 0..PROBES {
                let words = ["probe", "kafka", "live", "--timeout", "10s", "--address", broker];
                let status = Command::new(self.toolbox).args(words).stdout(Stdio::null()).status()?;
                ensure!(status.success(), "a probe ended with {status}");
            }
            anyhow::Ok(children()? - before)
        })();
        match used {
            Ok(seconds) => measured.seconds = vec![seconds],
            Err(error) => measured.failed = Some(format!("{error:#}")),
        }
        measured
    }
}

fn blank(line: &str, goal: Goal) -> Measured {
    let (line, contender) = (line.to_owned(), "toolbox".to_owned());
    let (seconds, megabytes, requests, answer_bytes, failed) = (Vec::new(), None, None, None, None);
    Measured { line, contender, seconds, megabytes, requests, answer_bytes, goal, failed }
}

/// Waits until the probe has found the broker ready.
fn until_ready(address: &str) -> anyhow::Result<()> {
    for _ in 0..READY_LOOKS {
        if ask(address, 1).is_ok() {
            return Ok(());
        }
        std::thread::sleep(READY_PAUSE);
    }
    ask(address, 1).context("the broker did not become ready")
}

/// Asks over one connection, one request after the other. Each answer must say that the broker is ready.
fn ask(address: &str, requests: u32) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut buffer = [0; 4_096];
    for _ in 0..requests {
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        while !is_whole(&answer) {
            let read = stream.read(&mut buffer)?;
            ensure!(read > 0, "the probe closed the connection");
            answer.extend_from_slice(&buffer[..read]);
        }
        let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        ensure!(first.starts_with("HTTP/1.1 200"), "the probe answers {first}");
    }
    Ok(())
}

/// Whether an answer has all of its body.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

/// Seconds of CPU time of children that have ended, by `/proc`.
fn children() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit_once(')').context("stat names the process")?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).context("stat has times");
    Ok((ticks(13)? + ticks(14)?) / TICKS)
}
