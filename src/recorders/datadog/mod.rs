//! Events as Datadog sees them: title, text, tags, aggregation key, within every limit. Pure.
//!
//! The text has what the title has no room for: the subject's exact name (tags are folded to lower case and cut),
//! what, why, before and after, and the ids that find the event in the audit log.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::change::event::{Event, Outcome, Severity};
use crate::clients::datadog::{
    AGGREGATION_KEY_CHARS_MAX, AlertType, DatadogEvent, Priority, TAG_CHARS_MAX, TEXT_CHARS_MAX, TITLE_CHARS_MAX,
};
use crate::formats::secret::hash_prefix;
use crate::recorders::sink::{Message, is_late};

/// Tags of a script's own in one event.
const OWN_TAGS_MAX: usize = 10;

/// Rows of the table of changes.
const ROWS_MAX: usize = 40;

/// Length of a text that was called too large.
const SHORT_CHARS_MAX: usize = 1_000;

/// First words of the kinds that this tool writes itself, with titles of one form. Others come from scripts and hooks.
const COMMANDS: [&str; 14] = [
    "command", "configs", "ensemble", "events", "identity", "loadtest", "mapping", "monitors", "offsets", "probe",
    "reassign", "rollout", "throttle", "topics",
];

/// Commands with many events a day, beside the runs of verbs: their aggregates are kept apart by day, far from Datadog's
/// limit of events in one.
const CHATTY: [&str; 4] = ["command", "events", "monitors", "throttle"];

/// A message as one Datadog event; none if it has no events. `tags` are those of the process.
pub fn render(message: &Message<'_>, tags: &[String]) -> Option<DatadogEvent> {
    let Message { events, now, short } = *message;
    let (first, rest) = events.split_first()?;
    let is_late = is_late(first, now);
    let limit = if short { SHORT_CHARS_MAX } else { TEXT_CHARS_MAX };
    let title = if rest.is_empty() { title_of_one(first) } else { title_of_many(events) };
    let late = if is_late { format!(" (late, happened at {:.0})", first.time) } else { String::new() };
    let text = if rest.is_empty() { text_of_one(first, &late, limit) } else { text_of_many(events, limit) };
    Some(DatadogEvent {
        title: with_end(&format!("[kafka-toolbox] {}: {title}", first.cluster), &late, TITLE_CHARS_MAX),
        text,
        tags: tags_of(events, tags),
        alert_type: alert_type(first),
        priority: if first.severity == Severity::Low { Priority::Low } else { Priority::Normal },
        aggregation_key: aggregation_key(first),
        date_happened: if is_late { now.as_second() } else { first.time.as_second() },
    })
}

fn title_of_one(event: &Event) -> String {
    if !COMMANDS.contains(&command(&event.kind)) {
        return format!("{}{}", event.title, outcome_behind(event.outcome));
    }
    let name = event.subject.split_once(':').map_or(event.subject.as_str(), |(_, name)| name);
    format!("{} {name}{}", event.kind.replace(['.', '_'], " "), outcome_behind(event.outcome))
}

fn title_of_many(events: &[Event]) -> String {
    let kind = events.first().map_or("", |event| event.kind.as_str());
    let outcome = events.first().map_or("", |event| outcome_behind(event.outcome));
    format!("{} × {}{outcome}", events.len(), kind.replace(['.', '_'], " "))
}

fn outcome_behind(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "",
        Outcome::Planned => ": planned",
        Outcome::Failed => ": failed",
        Outcome::Refused => ": refused",
        Outcome::Unknown => ": not known how it ended",
    }
}

fn text_of_one(event: &Event, late: &str, limit: usize) -> String {
    let Event { event_id, run_id, cluster, cluster_id, actor, command, subject, title, tool_version, .. } = event;
    let mut head = format!("{}{late}\n\n", plain(title));
    if let Some(reason) = &event.reason {
        let _ = write!(head, "**Why:** {}\n\n", plain(reason));
    }
    let id = cluster_id.as_ref().filter(|id| *id != cluster).map(|id| format!(" (`{}`)", code(id))).unwrap_or_default();
    let foot = format!(
        "\n`{}` on `{}`{id} by `{}` with `toolbox {}` {tool_version}\nevent {event_id}, run {run_id}, {:.0}",
        code(subject),
        code(cluster),
        code(actor),
        code(command),
        event.time
    );
    framed(&head, &table(event.before.as_deref(), event.after.as_deref()), &foot, limit)
}

/// Late events of one kind: a line each.
fn text_of_many(events: &[Event], limit: usize) -> String {
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            let reason = event.reason.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default();
            let line = shorten_middle(&format!("{}{reason}", plain(&event.title)), 100);
            format!("- {:.0} `{}` {line} ({})\n", event.time, code(&shorten_middle(&event.subject, 60)), event.event_id)
        })
        .collect();
    let span = match (events.first(), events.last()) {
        (Some(first), Some(last)) => format!("{:.0} to {:.0}", first.time, last.time),
        _ => String::new(),
    };
    framed(&format!("Late, happened at {span}:\n\n"), &rows, "", limit)
}

/// Markdown of head, as many rows as fit, and foot; what does not fit is counted.
fn framed(head: &str, rows: &[String], foot: &str, limit: usize) -> String {
    const OPEN: &str = "%%% \n";
    const CLOSE: &str = "\n %%%";
    const MORE_CHARS: usize = 24;
    let fixed = [OPEN, foot, CLOSE].iter().map(|part| part.chars().count()).sum::<usize>() + MORE_CHARS;
    let head = shorten_middle(head, limit.saturating_sub(fixed));
    let mut room = limit.saturating_sub(fixed + head.chars().count());
    let mut body = String::new();
    let mut shown = 0;
    for row in rows.iter().take(ROWS_MAX) {
        let length = row.chars().count();
        if length > room {
            break;
        }
        room -= length;
        body.push_str(row);
        shown += 1;
    }
    // The two lines of a table's head alone are no table.
    if shown < rows.len() {
        let _ = writeln!(body, "… and {} more lines", rows.len() - shown);
    }
    format!("{OPEN}{head}{body}{foot}{CLOSE}")
}

/// Rows of a Markdown table of keys, values before and values after.
fn table(before: Option<&str>, after: Option<&str>) -> Vec<String> {
    let lines = |text: Option<&str>| -> Vec<(String, String)> {
        let split =
            |line: &str| line.split_once(": ").map_or((line.into(), String::new()), |(k, v)| (k.into(), v.into()));
        text.unwrap_or_default().lines().filter(|line| !line.is_empty()).map(split).collect()
    };
    let (before, after) = (lines(before), lines(after));
    if before.is_empty() && after.is_empty() {
        return Vec::new();
    }
    let mut rows = vec!["| | before | after |\n|---|---|---|\n".to_owned()];
    let value = |of: &[(String, String)], key: &str| {
        of.iter().find(|(name, _)| name == key).map(|(_, value)| cell(value)).unwrap_or_default()
    };
    let new = after.iter().filter(|(key, _)| !before.iter().any(|(name, _)| name == key));
    for (key, _) in before.iter().chain(new) {
        rows.push(format!("| {} | {} | {} |\n", cell(key), value(&before, key), value(&after, key)));
    }
    rows
}

fn cell(text: &str) -> String {
    shorten_middle(&plain(text).replace('|', "\\|"), 200)
}

/// Text on one line that can't end the Markdown that it stands in: no two percent signs stay side by side, since
/// `%%%` replaced piece by piece would leave one in `%%%%%`.
fn plain(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for sign in text.chars() {
        if sign == '%' && kept.ends_with('%') {
            kept.push(' ');
        }
        kept.push(if sign == '\n' { ' ' } else { sign });
    }
    kept
}

fn code(text: &str) -> String {
    plain(text).replace('`', "'")
}

fn tags_of(events: &[Event], of_process: &[String]) -> Vec<String> {
    let Some(event) = events.first() else { return Vec::new() };
    let mut tags = vec![
        "source:kafka-toolbox".to_owned(),
        tag("kafka_cluster", &event.cluster),
        tag("kt_command", &event.command),
        tag("kt_kind", &event.kind),
        tag("kt_outcome", &event.outcome.to_string()),
    ];
    // Folded to lower case as every tag: it tells clusters of one name apart, and the text has it exactly.
    tags.extend(event.cluster_id.iter().map(|id| tag("kafka_cluster_id", id)));
    tags.extend(of_process.iter().map(|text| normalised(text)));
    if let [only] = events {
        match only.subject.split_once(':') {
            Some(("topic", name)) => tags.push(tag("topic", name)),
            Some(("broker", id)) => tags.push(tag("broker_id", id)),
            _ => {}
        }
        tags.extend(only.tags.iter().take(OWN_TAGS_MAX).map(|(key, value)| tag(key, value)));
    }
    let mut seen = std::collections::BTreeSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    tags
}

/// A tag as Datadog would keep it.
pub fn tag(key: &str, value: &str) -> String {
    normalised(&format!("{key}:{value}"))
}

/// Lower case, other signs than Datadog's replaced, a letter first, at most [`TAG_CHARS_MAX`] characters.
fn normalised(text: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "_-:./".contains(c) { c } else { '_' };
    let lower: String = text.chars().flat_map(char::to_lowercase).map(kept).collect();
    let from_letter = lower.trim_start_matches(|c: char| !c.is_alphabetic());
    let cut: String = from_letter.chars().take(TAG_CHARS_MAX).collect();
    cut.trim_end_matches(['_', ':']).to_owned()
}

fn alert_type(event: &Event) -> AlertType {
    match event.severity {
        Severity::Error => AlertType::Error,
        Severity::Warning => AlertType::Warning,
        Severity::Success => AlertType::Success,
        Severity::Info if is_person(&event.actor) => AlertType::UserUpdate,
        Severity::Info | Severity::Low => AlertType::Info,
    }
}

/// Pods and ServiceAccounts say so in their names; anyone else is a person.
fn is_person(actor: &str) -> bool {
    !["pod:", "serviceaccount:"].iter().any(|kind| actor.starts_with(kind))
}

/// Events of one family about one subject are folded together, chatty ones by day. The cluster counts by its id: two may have
/// one name.
fn aggregation_key(event: &Event) -> String {
    let family = family(&event.kind);
    // `topics.apply`: a schedule repeats it.
    let is_run = family.contains('.');
    let day =
        if is_run || CHATTY.contains(&command(&event.kind)) { format!("/{}", day(event.time)) } else { String::new() };
    let hash = hash_prefix(&event.subject);
    let fixed = "kt///".len() + family.chars().count() + hash.len() + day.chars().count();
    let cluster = event.cluster_id.as_ref().unwrap_or(&event.cluster);
    let cluster = shorten_middle(cluster, AGGREGATION_KEY_CHARS_MAX.saturating_sub(fixed));
    shorten_middle(&format!("kt/{cluster}/{family}/{hash}{day}"), AGGREGATION_KEY_CHARS_MAX)
}

fn day(time: Timestamp) -> String {
    time.to_string().chars().take("2026-01-01".len()).collect()
}

/// The first word of a kind: the command, for kinds of this tool.
fn command(kind: &str) -> &str {
    kind.split('.').next().unwrap_or(kind)
}

/// A kind without its last word: `topics` of `topics.created`, `topics.apply` of `topics.apply.started`.
fn family(kind: &str) -> &str {
    kind.rsplit_once('.').map_or(kind, |(family, _)| family)
}

/// A text of at most so many characters whose end stays; where something must go, it goes from the middle before.
fn with_end(text: &str, end: &str, limit: usize) -> String {
    format!("{}{end}", shorten_middle(text, limit.saturating_sub(end.chars().count())))
}

/// A text of at most so many characters: what is too much goes from its middle.
pub fn shorten_middle(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let Some(kept) = limit.checked_sub(1) else { return String::new() };
    let tail = kept / 2;
    let head: String = text.chars().take(kept - tail).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{head}…{end}")
}

#[cfg(test)]
mod tests;
