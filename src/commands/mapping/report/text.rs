//! An [`Answer`] for a terminal: brokers before and after, bars, who gives to whom, sums, findings.

use std::fmt::{self, Write as _};

use jiff::SignedDuration;

use crate::cluster::broker::BrokerId;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::visible;
use crate::commands::mapping::report::answer::{Answer, BrokerRow, FindingRow, Part, Totals};
use crate::commands::mapping::report::chart;
use crate::commands::mapping::report::load::share;

/// Lays out a table: heads and rows.
pub type Table = fn(&[&str], &[Vec<String>]) -> String;

/// Brokers and pairs of brokers that a terminal's table shows; `-o wide` shows all.
const ROWS_MAX: usize = 40;

/// The whole answer; `age` is how long ago the cluster was looked at, where that is known.
pub fn answer(answer: &Answer, age: Option<&str>, wide: bool, table: Table) -> String {
    let rows_max = if wide { usize::MAX } else { ROWS_MAX };
    let mut parts = vec![head(answer, age)];
    let shown = shown(&answer.brokers, rows_max);
    parts.push(brokers(answer, &shown, table));
    if !answer.moves.is_empty() {
        let is_storage = answer.totals.partitions > 0;
        parts.extend(is_storage.then(|| chart::bars(&shown)));
        parts.push(flows(answer, rows_max, table));
    }
    if wide {
        parts.push(moves(answer, table));
    }
    parts.extend(answer.explanations.iter().map(|one| {
        let lines: Vec<_> = one.sentences.iter().map(|sentence| format!("  {}", visible::line(sentence))).collect();
        format!("why {}:\n{}\n", one.partition, lines.join("\n"))
    }));
    parts.push(findings(&answer.findings));
    parts.push(sums(&answer.totals));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// Where the numbers come from.
pub fn head(answer: &Answer, age: Option<&str>) -> String {
    let age = age.map_or(", read just now".to_owned(), |age| format!(", read {age} ago"));
    format!(
        "cluster {}; sizes from {}{age}; capacity from {}\n",
        visible::value(&answer.cluster_id),
        visible::value(&answer.sizes_from),
        visible::value(&answer.capacity_from)
    )
}

/// All brokers if they are few, else those that change, those that change most first.
fn shown(brokers: &[BrokerRow], rows_max: usize) -> Vec<&BrokerRow> {
    if brokers.len() <= rows_max {
        return brokers.iter().collect();
    }
    let mut changed: Vec<_> = brokers.iter().filter(|row| row.before != row.after || row.part != Part::Stays).collect();
    changed.sort_by_key(|row| (std::cmp::Reverse(row.before.bytes.abs_diff(row.after.bytes)), row.broker));
    changed.truncate(rows_max);
    changed.sort_by_key(|row| row.broker);
    changed
}

fn brokers(answer: &Answer, shown: &[&BrokerRow], table: Table) -> String {
    let has_shares = answer.brokers.iter().any(|row| row.capacity.is_some());
    let mut head = vec!["BROKER", "RACK", "STORAGE", "REPLICAS", "LEADERS", "SENDS", "RECEIVES", "PART"];
    if has_shares {
        head.insert(3, "SHARE");
    }
    let has_writes = answer.brokers.iter().any(|row| row.before.bytes_in.max(row.after.bytes_in) > 0);
    if has_writes {
        let at = head.len() - 3;
        head.insert(at, "WRITES");
    }
    let row = |row: &&BrokerRow| {
        let (before, after) = (row.before, row.after);
        let mut cells = vec![
            row.broker.to_string(),
            row.rack.clone().unwrap_or_else(|| "-".into()),
            change(Bytes(before.bytes), Bytes(after.bytes)),
            change(before.replicas, after.replicas),
            change(before.leaders, after.leaders),
            amount(row.traffic.sends),
            amount(row.traffic.receives),
            part(row.part).to_owned(),
        ];
        if has_shares {
            let share = |bytes: u64| row.capacity.map_or("?".to_owned(), |whole| percent(share(bytes, whole)));
            cells.insert(3, change(share(before.bytes), share(after.bytes)));
        }
        if has_writes {
            let at = cells.len() - 3;
            cells.insert(at, change(ByteRate(before.bytes_in), ByteRate(after.bytes_in)));
        }
        cells
    };
    let rows: Vec<_> = shown.iter().map(row).collect();
    let mut text = if rows.is_empty() { String::new() } else { table(&head, &rows) };
    let hidden = answer.brokers.len() - shown.len();
    if hidden > 0 {
        let _ = writeln!(text, "and {hidden} brokers more; -o wide shows all");
    }
    text
}

fn flows(answer: &Answer, rows_max: usize, table: Table) -> String {
    let name = |id: Option<BrokerId>| id.map_or("-".to_owned(), |id| id.to_string());
    let row =
        |flow: &super::flow::Flow| vec![name(flow.from), name(flow.to), flow.replicas.to_string(), amount(flow.bytes)];
    let rows: Vec<_> = answer.flows.iter().take(rows_max).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = table(&["FROM", "TO", "REPLICAS", "STORAGE"], &rows);
    let hidden = answer.flows.len() - rows.len();
    if hidden > 0 {
        let _ = writeln!(text, "and {hidden} pairs of brokers more; -o wide shows all");
    }
    text
}

fn moves(answer: &Answer, table: Table) -> String {
    let ids = |replicas: &[i32]| replicas.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let row = |one: &super::answer::MoveRow| {
        vec![format!("{}-{}", one.topic, one.partition), ids(&one.from), ids(&one.to), amount(one.bytes)]
    };
    let rows: Vec<_> = answer.moves.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table(&["PARTITION", "FROM", "TO", "SIZE"], &rows) }
}

/// `x` stops the plan, `!` does not.
pub fn findings(findings: &[FindingRow]) -> String {
    let line = |finding: &FindingRow| {
        let sign = if finding.severity == "blocking" && !finding.allowed { 'x' } else { '!' };
        let allowed = if finding.allowed { " (allowed)" } else { "" };
        let words = format!("{}{allowed}, {}: {}", finding.code, finding.subject, finding.text);
        format!("{sign} {}\n", visible::line(&words))
    };
    findings.iter().map(line).collect()
}

/// What the plan comes to, in one or two lines.
pub fn sums(totals: &Totals) -> String {
    if totals.partitions + totals.reordered == 0 {
        return "nothing to do\n".into();
    }
    let mut parts = Vec::new();
    if totals.partitions > 0 {
        let removed = totals.removals.saturating_sub(totals.copies);
        let mut what = Vec::new();
        if totals.copies > 0 {
            what.push(format!("{} to copy, {}", count(totals.copies, "replica"), Bytes(totals.bytes)));
        }
        if removed > 0 {
            what.push(format!("{} to give up", count(removed, "replica")));
        }
        let least = reached(totals).map(|bytes| format!("; no plan copies less than {}", Bytes(bytes)));
        let partitions = count(totals.partitions, "partition");
        parts.push(format!("{partitions} to move: {}{}", what.join(", "), least.unwrap_or_default()));
    }
    if totals.reordered > 0 {
        parts.push(format!(
            "{} to get another preferred leader, nothing is copied for that",
            count(totals.reordered, "partition")
        ));
    }
    if let (Some(throttle), Some(seconds)) = (totals.throttle, totals.seconds) {
        parts.push(format!("at {throttle} a broker it takes {}", duration(seconds)));
    }
    let [before, after] = [totals.range_before, totals.range_after];
    let range = |[least, most]: [u64; 2]| format!("{} to {}", Bytes(least), Bytes(most));
    format!("{}\nstorage of a broker: {} now, {} afterwards\n", parts.join("; "), range(before), range(after))
}

/// The least bytes that any plan copies, where that says something: a plan below it does not reach its goal.
pub fn reached(totals: &Totals) -> Option<u64> {
    totals.least_bytes.filter(|least| *least > 0 && *least <= totals.bytes)
}

/// `1 partition`, `2 partitions`.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// How long something takes, in words.
pub fn duration(seconds: u64) -> String {
    let rounded = if seconds >= 3600 { seconds.div_ceil(60) * 60 } else { seconds };
    let duration = SignedDuration::from_secs(i64::try_from(rounded).unwrap_or(i64::MAX));
    format!("{duration:#}")
}

/// A share with one digit after the point.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn part(part: Part) -> &'static str {
    match part {
        Part::Stays => "-",
        Part::Joins => "joins",
        Part::Emptied => "is emptied",
        Part::Gone => "is gone",
    }
}

fn change(before: impl fmt::Display, after: impl fmt::Display) -> String {
    let (before, after) = (before.to_string(), after.to_string());
    if before == after { before } else { format!("{before} -> {after}") }
}

/// An amount, or a dash for none.
pub fn amount(bytes: u64) -> String {
    if bytes == 0 { "-".into() } else { Bytes(bytes).to_string() }
}
