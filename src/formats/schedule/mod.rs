//! Schedules with Kubernetes' meaning: the five fields of a CronJob, its macros, and `@every 1h`. Pure.
//!
//! What it shares with a CronJob, and other readers of cron do not: `?` means `*`; `5/15` means `5-59/15`; Sunday is 0
//! and never 7; where both day fields are restricted, either of them will do (`*/2` counts as restricted); a time that
//! the clocks skip in spring is skipped, and one that they repeat in autumn comes twice.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::formats::suggest::nearest;

mod fields;

use fields::Fields;

/// A 29 February may be eight years away; one day more for the border between two days.
const DAYS_MAX: i32 = 8 * 366 + 1;

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeSchedule {
    text: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Fields(Fields),
    Every(Duration),
}

/// What is wrong with a schedule, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}{}", .hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct ScheduleError {
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl ScheduleError {
    fn new(column: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { column, message: message.into(), hint: Some(hint.into()) }
    }
}

/// The macros of a CronJob and what they stand for.
const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl KubeSchedule {
    /// `@every` so many whole seconds, at least one.
    pub fn every(pause: Duration) -> Self {
        let seconds = pause.as_secs().max(1);
        Self { text: format!("@every {seconds}s"), rule: Rule::Every(Duration::from_secs(seconds)) }
    }
}

impl FromStr for KubeSchedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let rule = match text.trim_start().strip_prefix('@') {
            Some(_) => parse_macro(text)?,
            None => Rule::Fields(Fields::parse(text)?),
        };
        Ok(Self { text: text.trim().to_owned(), rule })
    }
}

impl fmt::Display for KubeSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_macro(text: &str) -> Result<Rule, ScheduleError> {
    let column = 1 + text.chars().take_while(|letter| letter.is_whitespace()).count();
    let word = text.trim();
    if let Some(pause) = word.strip_prefix("@every ") {
        return parse_pause(pause, column + "@every ".len());
    }
    if let Some((_, fields)) = MACROS.iter().find(|(name, _)| *name == word) {
        return Ok(Rule::Fields(Fields::parse(fields)?));
    }
    let names = MACROS.iter().map(|(name, _)| *name);
    let hint = match nearest(word, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "known are {} and `@every 1h`",
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    Err(ScheduleError::new(column, format!("`{word}` is no macro"), hint))
}

fn parse_pause(text: &str, column: usize) -> Result<Rule, ScheduleError> {
    let wrong = |message| ScheduleError::new(column, message, "right are `@every 90s`, `@every 5m`, `@every 1h30m`");
    let pause: SignedDuration = text.trim().parse().map_err(|_| wrong(format!("`{}` is no duration", text.trim())))?;
    match Duration::try_from(pause) {
        // Kubernetes' parser counts in whole seconds, too.
        Ok(pause) if pause >= Duration::from_secs(1) => Ok(Rule::Every(Duration::from_secs(pause.as_secs()))),
        _ => Err(wrong(format!("`{}` is shorter than one second", text.trim()))),
    }
}

impl KubeSchedule {
    /// The first time after `after` that is due, by the clocks of `zone`.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let fields = match &self.rule {
            Rule::Every(pause) => return after.checked_add(*pause).ok(),
            Rule::Fields(fields) => fields,
        };
        // Clocks that are set back at midnight repeat the evening of the day before.
        let mut day = after.to_zoned(zone.clone()).date().yesterday().ok()?;
        for _ in 0..DAYS_MAX {
            let following = day.tomorrow().ok()?;
            if let Some(found) = first_of_day(fields, day, after, zone) {
                // … so that a time of the following day may come before one of this.
                let other = first_of_day(fields, following, after, zone);
                return Some(other.map_or(found, |other| other.min(found)));
            }
            day = following;
        }
        None
    }
}

/// The first due time after `after` that the clocks of `zone` show on a day.
fn first_of_day(fields: &Fields, day: Date, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if !fields.has_day(day) {
        return None;
    }
    let times = fields.hours().flat_map(|hour| fields.minutes().map(move |minute| (hour, minute)));
    times
        .filter_map(|(hour, minute)| Time::new(hour, minute, 0, 0).ok())
        .flat_map(|time| instants(day.to_datetime(time), zone))
        .flatten()
        .filter(|instant| *instant > after)
        .min()
}

/// The instants at which clocks show a time: none in a gap, two in an overlap.
fn instants(shown: DateTime, zone: &TimeZone) -> [Option<Timestamp>; 2] {
    match zone.to_ambiguous_timestamp(shown).offset() {
        AmbiguousOffset::Unambiguous { offset } => [offset.to_timestamp(shown).ok(), None],
        AmbiguousOffset::Gap { .. } => [None, None],
        AmbiguousOffset::Fold { before, after } => [before.to_timestamp(shown).ok(), after.to_timestamp(shown).ok()],
    }
}

#[cfg(test)]
mod tests;
