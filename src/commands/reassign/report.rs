//! Progress, a verification and a status as people and programs read them.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::broker::BrokerId;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::topic::TopicPartition;
use crate::cluster::visible;
use crate::commands::reassign::plan::pace::{Left, Pace};
use crate::commands::reassign::plan::progress::{Arriving, Progress};

/// One line that says how far it is.
pub(super) fn line(progress: &Progress, pace: &Pace, resting: Option<&str>) -> String {
    let Progress { partitions, done, running, bytes, bytes_done, .. } = progress;
    let mut line = format!("{done}/{partitions} partitions done, {running} moving");
    if *bytes > 0 {
        let _ = write!(line, ", {} of {}", Bytes(*bytes_done), Bytes(*bytes));
    }
    if progress.bytes_grown > 0 {
        let _ = write!(line, " and {} written since", Bytes(progress.bytes_grown));
    }
    if let Some(rate) = pace.rate().filter(|rate| *rate > 0) {
        let _ = write!(line, ", {}", ByteRate(rate));
    }
    match pace.left(progress) {
        Left::In(left) if !left.is_zero() => {
            let _ = write!(line, ", {} left", time(left));
        }
        Left::Never => line.push_str(", will not end at this rate"),
        Left::In(_) | Left::Unknown => {}
    }
    if let Some(why) = resting {
        let _ = write!(line, "; no move is begun: {}", visible::value(why));
    }
    line
}

/// How much is done, of 1,000 parts: bytes where some are copied, else partitions.
pub(super) fn thousandths(progress: &Progress) -> u64 {
    let part = |done: u64, all: u64| u64::try_from(u128::from(done) * 1000 / u128::from(all.max(1))).unwrap_or(1000);
    match progress.bytes {
        0 => part(progress.done as u64, progress.partitions as u64),
        bytes => part(progress.bytes_done, bytes),
    }
}

/// A time as `2 h 5 min`, `40 s`.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// What a status shows.
#[derive(Debug)]
pub(super) struct Status<'a> {
    /// How far it is.
    pub(super) progress: &'a Progress,
    /// How fast.
    pub(super) pace: &'a Pace,
    /// What stands still, and what to do.
    pub(super) stalls: Vec<(String, Vec<TopicPartition>)>,
    /// Why no move is begun.
    pub(super) paused: Option<String>,
    /// Moves of others.
    pub(super) others: usize,
    /// Whether throttles of ours are in force.
    pub(super) throttled: bool,
}

impl Status<'_> {
    /// For people; `table` lays columns out.
    pub(super) fn text(&self, table: impl Fn(&[&str], &[Vec<String>]) -> String) -> String {
        if self.progress.partitions == 0 && self.others == 0 {
            return "no partition moves\n".to_owned();
        }
        let mut text = format!("{}\n", line(self.progress, self.pace, self.paused.as_deref()));
        let row = |(broker, arriving): (&BrokerId, &Arriving)| {
            vec![
                broker.to_string(),
                arriving.running.to_string(),
                format!("{}/{}", Bytes(arriving.bytes_done), Bytes(arriving.bytes)),
                self.pace.rate_into(*broker).map_or_else(|| "-".to_owned(), |rate| ByteRate(rate).to_string()),
                match self.pace.left_of(*broker, arriving) {
                    Left::In(left) => time(left),
                    Left::Never => "never".to_owned(),
                    Left::Unknown => "-".to_owned(),
                },
            ]
        };
        // Numbers of three digits and a unit in each column make 58 characters: a terminal of 60 columns shows a row in a line.
        let rows: Vec<_> = self.progress.brokers.iter().map(row).collect();
        if !rows.is_empty() {
            text.push_str(&table(&["BROKER", "MOVING", "COPIED", "RATE", "LEFT"], &rows));
        }
        for (words, partitions) in &self.stalls {
            let which = crate::commands::reassign::plan::preflight::names(&partitions.iter().collect::<Vec<_>>());
            let _ = writeln!(text, "! stalled: {words} ({which})");
        }
        if self.others > 0 {
            let _ = writeln!(text, "! {} moves of others run, too", self.others);
        }
        if self.throttled {
            text.push_str("throttled by this toolbox\n");
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let broker = |(broker, arriving): (&BrokerId, &Arriving)| {
            json!({
                "broker": broker,
                "moving": arriving.running,
                "bytes": arriving.bytes,
                "bytes_done": arriving.bytes_done,
                "bytes_left": arriving.bytes_left,
                "bytes_per_second": self.pace.rate_into(*broker),
                "seconds_left": seconds(self.pace.left_of(*broker, arriving)),
                "will_end": will_end(self.pace.left_of(*broker, arriving)),
            })
        };
        let Progress { partitions, done, running, waiting, lost, bytes, bytes_done, .. } = self.progress;
        json!({
            "partitions": partitions,
            "done": done,
            "moving": running,
            "waiting": waiting,
            "lost": lost,
            "bytes": bytes,
            "bytes_done": bytes_done,
            "bytes_per_second": self.pace.rate(),
            "bytes_grown": self.progress.bytes_grown,
            "seconds_left": seconds(self.pace.left(self.progress)),
            "will_end": will_end(self.pace.left(self.progress)),
            "brokers": self.progress.brokers.iter().map(broker).collect::<Vec<_>>(),
            "stalls": self.stalls.iter().map(|(words, partitions)| json!({"reason": words, "partitions": partitions})).collect::<Vec<_>>(),
            "paused": self.paused,
            "moves_of_others": self.others,
            "throttled": self.throttled,
        })
    }
}

fn seconds(left: Left) -> Option<u64> {
    if let Left::In(left) = left { Some(left.as_secs()) } else { None }
}

/// Whether the moves end at the present rates; none where that is not known.
fn will_end(left: Left) -> Option<bool> {
    match left {
        Left::Unknown => None,
        Left::Never => Some(false),
        Left::In(_) => Some(true),
    }
}

/// A verification for people.
pub(super) fn verified(checked: usize, differences: &[(TopicPartition, String)], throttled: Option<&str>) -> String {
    let mut text = String::new();
    for (partition, words) in differences {
        let _ = writeln!(text, "! partition {partition}: {words}");
    }
    if let Some(words) = throttled {
        let _ = writeln!(text, "! throttles of ours are {words}");
    }
    let _ = writeln!(text, "{} of {checked} partitions are as planned", checked - differences.len());
    text
}
