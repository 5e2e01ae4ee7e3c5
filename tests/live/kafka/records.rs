//! Records that must survive what a test does to a cluster: written in bulk, written all the while with acks=all, read
//! back and compared by count and checksum. kcat reads and writes, so that nothing of ours vouches for itself.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::cluster::Cluster;

/// The longest that reading a topic may take, for `timeout`.
const READ_LIMIT: &str = "120";

/// The longest that a writer may live, for `timeout`: a test that forgets it does not leave it running.
const WRITE_LIMIT: &str = "600";

/// How many records there are, and a sum over all of them that does not depend on the order of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Digest {
    /// Records.
    pub(crate) count: u64,
    /// Sum of the hashes of partition, offset, key and value.
    pub(crate) sum: u64,
}

/// Writes so many records of so many bytes, with acks=all, as fast as the brokers take them.
pub(crate) fn fill(cluster: &Cluster, topic: &str, records: u64, bytes: u64) -> anyhow::Result<()> {
    let (records, bytes) = (records.to_string(), bytes.to_string());
    let bootstrap = format!("bootstrap.servers={}", cluster.bootstrap());
    let arguments = ["--topic", topic, "--num-records", &records, "--record-size", &bytes, "--throughput", "-1"];
    let properties = ["--producer-props", &bootstrap, "acks=all", "batch.size=65536", "linger.ms=5"];
    // A broker of 3.9 that once asked in vain for producer ids (AllocateProducerIds) never asks again: on a busy machine the
    // producer waits for ever.
    let all = [&arguments[..], &properties[..], &["enable.idempotence=false"]].concat();
    cluster.tool("org.apache.kafka.tools.ProducerPerformance", &all)?;
    Ok(())
}

/// Reads a topic from its first record to its end.
pub(crate) fn digest(cluster: &Cluster, topic: &str) -> anyhow::Result<Digest> {
    let mut digest = Digest::default();
    read(&cluster.bootstrap(), topic, "%p %o %k %s\n", |line| {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        digest.count += 1;
        digest.sum = digest.sum.wrapping_add(hasher.finish());
    })?;
    Ok(digest)
}

/// The numbers that a [`Writer`] left in a topic.
pub(crate) fn numbers(cluster: &Cluster, topic: &str) -> anyhow::Result<BTreeSet<u64>> {
    numbers_at(&cluster.bootstrap(), topic)
}

/// The same, of the brokers at these addresses.
pub(crate) fn numbers_at(bootstrap: &str, topic: &str) -> anyhow::Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    read(bootstrap, topic, "%s\n", |line| {
        let number = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        found.extend(std::str::from_utf8(number).ok().and_then(|text| text.parse::<u64>().ok()));
    })?;
    Ok(found)
}

fn read(bootstrap: &str, topic: &str, format: &str, mut see: impl FnMut(&[u8])) -> anyhow::Result<()> {
    let mut child = Command::new("timeout")
        .args([READ_LIMIT, "kcat", "-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q"])
        .args(["-X", "check.crcs=true", "-f", format])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to run kcat")?;
    let mut reader = BufReader::with_capacity(1 << 20, child.stdout.take().context("kcat has no output")?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        see(line.strip_suffix(b"\n").unwrap_or(&line));
        line.clear();
    }
    let ended = child.wait_with_output()?;
    if !ended.status.success() {
        bail!("reading {topic} failed ({}): {}", ended.status, String::from_utf8_lossy(&ended.stderr));
    }
    Ok(())
}

/// Writes numbered records of some size, so many a second, idempotently and with acks=all, until it is stopped.
pub(crate) struct Writer {
    child: Child,
    feeder: Option<JoinHandle<u64>>,
    /// Read all the while: a full pipe would hold kcat up.
    errors: Option<JoinHandle<String>>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    /// Starts to write the numbers 0, 1, 2, … to a topic.
    pub(crate) fn start(cluster: &Cluster, topic: &str, per_second: u32, bytes: usize) -> anyhow::Result<Self> {
        Self::start_at(&cluster.bootstrap(), topic, per_second, bytes)
    }

    /// The same, to the brokers at these addresses.
    pub(crate) fn start_at(bootstrap: &str, topic: &str, per_second: u32, bytes: usize) -> anyhow::Result<Self> {
        let mut child = Command::new("timeout")
            .args([WRITE_LIMIT, "kcat", "-b", bootstrap, "-P", "-t", topic])
            .args(["-X", "acks=all", "-X", "enable.idempotence=true", "-X", "message.timeout.ms=120000"])
            .args(["-X", "linger.ms=5"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to run kcat")?;
        let pipe = child.stdin.take().context("kcat has no input")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let feeder = std::thread::spawn(move || feed(pipe, &stopped, per_second, bytes));
        let errors = child.stderr.take().context("kcat has no errors")?;
        let errors = Some(std::thread::spawn(move || first_lines(BufReader::new(errors))));
        Ok(Self { child, feeder: Some(feeder), errors, stop })
    }

    /// Stops, waits until all is acknowledged, and says how many were written. A record that was not is an error.
    pub(crate) fn finish(mut self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.feeder.take().and_then(|feeder| feeder.join().ok()).context("the writer panicked")?;
        let words = self.errors.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        let status = self.child.wait()?;
        if !status.success() || words.contains("Delivery failed") {
            bail!("the writer lost records ({status}):\n{words}");
        }
        Ok(written)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Already ended after `finish`: nothing is left to kill then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first lines, and those about lost records; the rest is read and dropped.
fn first_lines(reader: impl BufRead) -> String {
    const LINES_MAX: usize = 100;
    let lines = reader.lines().map_while(Result::ok).enumerate();
    let kept = lines.filter(|(at, line)| *at < LINES_MAX || line.contains("Delivery failed")).take(2 * LINES_MAX);
    kept.map(|(_, line)| line + "\n").collect()
}

/// Feeds kcat in steps of 20 ms; how many records it was given.
fn feed(mut pipe: ChildStdin, stop: &AtomicBool, per_second: u32, bytes: usize) -> u64 {
    let start = Instant::now();
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX) * u64::from(per_second) / 1000;
        let mut lines = String::new();
        while next < due {
            let number = format!("{next} ");
            lines.push_str(&number);
            lines.push_str(&"x".repeat(bytes.saturating_sub(number.len())));
            lines.push('\n');
            next += 1;
        }
        if pipe.write_all(lines.as_bytes()).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    next
}
