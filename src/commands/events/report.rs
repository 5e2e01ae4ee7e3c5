//! The audit log as people ask for it: one row a side effect, the newest last.

use std::collections::BTreeMap;

use globset::{Glob, GlobMatcher};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::change::event::{Event, Outcome};

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Subjects.
    pub subject: Option<GlobMatcher>,
    /// Kinds.
    pub kind: Option<GlobMatcher>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Commands.
    pub command: Option<GlobMatcher>,
    /// The cluster: its name, or its id.
    pub cluster: Option<String>,
    /// The cluster's id.
    pub cluster_id: Option<String>,
}

/// Side effects, put together from the lines of the audit log.
#[derive(Debug, Default)]
pub struct Found {
    by_id: BTreeMap<Uuid, Event>,
}

/// What is shown.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Side effects; each with its outcome where it has one, else its intent.
    pub events: Vec<Event>,
    /// How many older ones the limit left out.
    pub left_out: usize,
}

/// A glob over names: `*`, `?`, `[…]`, `{a,b}`.
pub fn glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = Glob::new(text).map_err(|error| format!("it is no glob: {}", error.kind()))?;
    Ok(glob.compile_matcher())
}

/// A moment: a time (`2026-01-31T12:00:00Z`), or so long before now (`2h`, `7d`).
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let wrong = || format!("`{text}` is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 2h or 7d");
    let ago = match text.strip_suffix('d') {
        Some(days) => jiff::SignedDuration::from_hours(days.parse::<i64>().map_err(|_| wrong())?.saturating_mul(24)),
        None => text.parse().map_err(|_| wrong())?,
    };
    now.checked_sub(ago).map_err(|_| wrong())
}

impl Found {
    /// Notes one line of the audit log. An outcome replaces its intent, whichever comes first.
    pub fn take(&mut self, event: Event) {
        if let Some(known) = self.by_id.get(&event.event_id)
            && event.is_intent()
            && !known.is_intent()
        {
            return;
        }
        self.by_id.insert(event.event_id, event);
    }

    /// The newest ones that a filter wants, oldest first.
    pub fn list(self, filter: &Filter, limit: usize) -> Listed {
        let mut events: Vec<_> = self.by_id.into_values().filter(|event| filter.wants(event)).collect();
        events.sort_by_key(|event| (event.time, event.event_id));
        let left_out = events.len().saturating_sub(limit);
        Listed { events: events.split_off(left_out), left_out }
    }
}

impl Filter {
    fn wants(&self, event: &Event) -> bool {
        let Self { since, subject, kind, outcome, command, cluster, cluster_id } = self;
        let fits = |glob: &Option<GlobMatcher>, text: &str| glob.as_ref().is_none_or(|glob| glob.is_match(text));
        since.is_none_or(|since| event.time >= since)
            && fits(subject, &event.subject)
            && fits(kind, &event.kind)
            && outcome.is_none_or(|outcome| event.outcome == outcome)
            && fits(command, &event.command)
            && cluster.as_ref().is_none_or(|named| *named == event.cluster || Some(named) == event.cluster_id.as_ref())
            && cluster_id.as_ref().is_none_or(|id| Some(id) == event.cluster_id.as_ref())
    }
}

impl Listed {
    /// Head and rows of a table that fits so many columns, if it can: first the kinds are left out, then the subjects, and
    /// titles are cut.
    pub fn rows_within(&self, columns: usize) -> (Vec<&'static str>, Vec<Vec<String>>) {
        /// Title and the space before it that are left at least.
        const TITLE_MIN: usize = 24;
        let (mut head, mut rows) = self.rows(false);
        let width = |head: &[&str], rows: &[Vec<String>], column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(head[column].len()) + 2
        };
        let taken =
            |head: &[&str], rows: &[Vec<String>]| (0..head.len() - 1).map(|at| width(head, rows, at)).sum::<usize>();
        for column in [2, 2] {
            if taken(&head, &rows) + TITLE_MIN > columns {
                head.remove(column);
                for row in &mut rows {
                    row.remove(column);
                }
            }
        }
        let most = columns.saturating_sub(taken(&head, &rows)).max(1);
        for title in rows.iter_mut().filter_map(|row| row.last_mut()) {
            if title.chars().count() > most {
                *title = title.chars().take(most - 1).chain(['…']).collect();
            }
        }
        (head, rows)
    }

    /// Head and rows of the table.
    pub fn rows(&self, is_wide: bool) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let mut head = vec!["TIME", "OUTCOME", "KIND", "SUBJECT", "TITLE"];
        if is_wide {
            head.extend(["REASON", "CLUSTER", "CLUSTER ID", "ACTOR", "COMMAND", "EVENT ID"]);
        }
        (head, self.events.iter().map(|event| row(event, is_wide)).collect())
    }
}

fn row(event: &Event, is_wide: bool) -> Vec<String> {
    let Event { event_id, time, kind, outcome, reason, cluster, cluster_id, actor, command, subject, title, .. } =
        event;
    let mut cells = vec![format!("{time:.0}"), outcome.to_string(), kind.clone(), subject.clone(), one_line(title)];
    if is_wide {
        let reason = reason.as_deref().map(one_line).unwrap_or_default();
        let id = cluster_id.clone().unwrap_or_default();
        cells.extend([reason, cluster.clone(), id, actor.clone(), command.clone(), event_id.to_string()]);
    }
    cells
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u8, outcome: Outcome, second: i64) -> Event {
        Event {
            event_id: Uuid::from_bytes([n; 16]),
            run_id: Uuid::nil(),
            time: Timestamp::from_second(second).unwrap(),
            kind: "topics.created".into(),
            outcome,
            reason: None,
            severity: crate::change::event::Severity::Info,
            cluster: "prod".into(),
            cluster_id: Some("b7Yx1mXvQPqC3kLw0nRzTA".into()),
            actor: "ann".into(),
            command: "topics apply".into(),
            subject: format!("topic:orders-{n}"),
            title: "+ topic".into(),
            before: None,
            after: None,
            tags: BTreeMap::new(),
            tool_version: "0".into(),
        }
    }

    fn listed(filter: &Filter, limit: usize) -> Vec<(u8, Outcome)> {
        let mut found = Found::default();
        for event in [
            event(1, Outcome::Planned, 10),
            event(2, Outcome::Planned, 10),
            event(1, Outcome::Done, 30),
            event(3, Outcome::Failed, 20),
            event(3, Outcome::Planned, 11),
        ] {
            found.take(event);
        }
        let listed = found.list(filter, limit).events;
        listed.iter().map(|event| (event.event_id.as_bytes()[0], event.outcome)).collect()
    }

    #[test]
    fn a_side_effect_is_one_row_with_its_outcome_and_the_newest_is_last() {
        let all = [(2, Outcome::Planned), (3, Outcome::Failed), (1, Outcome::Done)];
        assert_eq!(listed(&Filter::default(), 9), all);
        assert_eq!(listed(&Filter::default(), 2), all[1..]);
    }

    #[test]
    fn a_table_of_events_fits_a_terminal_of_sixty_columns() {
        let title = "+ topic orders: 12 partitions, replication factor 3, cleanup.policy=compact";
        let events = vec![Event { title: title.into(), ..event(1, Outcome::Done, 30) }];
        let listed = Listed { events, left_out: 0 };
        for columns in [60, 80, 100, 200] {
            let (head, rows) = listed.rows_within(columns);
            let table = crate::output::table(&head, &rows);
            let longest = table.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= columns, "{columns}: {table}");
            assert!(table.contains("+ topic orders"), "{columns}: {table}");
        }
        assert_eq!(listed.rows_within(200), listed.rows(false), "nothing is left out where there is room");
    }

    #[test]
    fn each_filter_leaves_out_what_does_not_fit() {
        let subject = Some(glob("topic:*-{1,2}").unwrap());
        assert_eq!(listed(&Filter { subject, ..Filter::default() }, 9).len(), 2);
        let outcome = Some(Outcome::Planned);
        assert_eq!(listed(&Filter { outcome, ..Filter::default() }, 9), [(2, Outcome::Planned)]);
        let since = Some(Timestamp::from_second(20).unwrap());
        assert_eq!(listed(&Filter { since, ..Filter::default() }, 9).len(), 2);
        assert_eq!(listed(&Filter { cluster: Some("other".into()), ..Filter::default() }, 9), []);
        let (id, other) = (Some("b7Yx1mXvQPqC3kLw0nRzTA".to_owned()), Some("another".to_owned()));
        assert_eq!(listed(&Filter { cluster_id: id.clone(), ..Filter::default() }, 9).len(), 3);
        assert_eq!(listed(&Filter { cluster: id, ..Filter::default() }, 9).len(), 3, "an id is a name, too");
        assert_eq!(listed(&Filter { cluster: Some("prod".into()), cluster_id: other, ..Filter::default() }, 9), []);
        assert_eq!(listed(&Filter { command: Some(glob("offsets *").unwrap()), ..Filter::default() }, 9), []);
    }

    #[test]
    fn since_is_a_time_or_a_while_ago() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(since("2d", now).unwrap().as_second(), 1_000_000 - 172_800);
        assert_eq!(since("90m", now).unwrap().as_second(), 1_000_000 - 5_400);
        assert_eq!(since("1970-01-01T00:00:05Z", now).unwrap().as_second(), 5);
        assert!(since("yesterday", now).is_err());
    }
}
