//! Storage per broker as bars of a terminal: `█` stays, `▓` comes, `░` goes.

use std::fmt::Write as _;

use crate::cluster::size::Bytes;
use crate::commands::mapping::report::answer::BrokerRow;

/// Columns of the longest bar.
const WIDTH: u64 = 56;

/// The chart of these brokers; nothing where they hold nothing.
pub(super) fn bars(brokers: &[&BrokerRow]) -> String {
    let longest = brokers.iter().map(|row| row.before.bytes.max(row.after.bytes)).max().unwrap_or(0);
    if longest == 0 {
        return String::new();
    }
    let name = |row: &BrokerRow| match &row.rack {
        Some(rack) => format!("{} {rack}", row.broker),
        None => row.broker.to_string(),
    };
    let names: Vec<_> = brokers.iter().map(|row| name(row)).collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = format!("storage: █ stays, ▓ comes, ░ goes; the longest bar is {}\n", Bytes(longest));
    for (row, name) in brokers.iter().zip(&names) {
        let (before, after) = (columns(row.before.bytes, longest), columns(row.after.bytes, longest));
        let bar = [
            "█".repeat(before.min(after)),
            "▓".repeat(after.saturating_sub(before)),
            "░".repeat(before.saturating_sub(after)),
        ];
        let line = format!("{name:widest$}  {}", bar.concat());
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// What is there has one column at least.
fn columns(bytes: u64, longest: u64) -> usize {
    let scaled = (u128::from(bytes) * u128::from(WIDTH)).div_ceil(u128::from(longest.max(1)));
    usize::try_from(scaled).unwrap_or(0)
}
