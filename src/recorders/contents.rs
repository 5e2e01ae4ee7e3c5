//! What the lines of a journal say. Pure: bytes go in, events, marks and damaged lines come out.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::change::event::Event;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Who writes. A later one replaces an earlier one.
    Run(Header),
    /// An intent or an outcome.
    Event(Box<Event>),
    /// A sink has the outcome.
    Taken(Mark),
    /// A sink will never have the outcome: it called it malformed, or a bound of the spool dropped it.
    GivenUp(Mark),
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The run.
    pub run_id: Uuid,
    /// The command line, as it may be shown.
    pub command: String,
    /// The sinks that are to have the outcomes.
    pub sinks: Vec<String>,
    /// Until when intents without an outcome are left alone although nobody holds the journal: a script said
    /// `events send --intent` and will say how it ended in another process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_until: Option<Timestamp>,
}

/// An event and a sink.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// The event.
    pub event_id: Uuid,
    /// The sink.
    pub sink: String,
}

/// What a journal says.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The last `run` line.
    pub header: Option<Header>,
    /// All events in the order of writing.
    pub events: Vec<Event>,
    /// What is settled with which sink.
    pub settled: BTreeSet<Mark>,
    /// Lines that could not be read, in the order of writing.
    pub damaged: Vec<Damaged>,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Its number in the file, from 1 on.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

impl Contents {
    /// Reads lines. One that can't be read hides none of its neighbours.
    pub fn read(bytes: impl AsRef<[u8]>) -> Self {
        let mut contents = Self::default();
        for (line, bytes) in (1..).zip(bytes.as_ref().split(|byte| *byte == b'\n')) {
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(bytes) {
                Ok(Line::Run(header)) => contents.header = Some(header),
                Ok(Line::Event(event)) => contents.events.push(*event),
                Ok(Line::Taken(mark) | Line::GivenUp(mark)) => drop(contents.settled.insert(mark)),
                Err(_) => contents.damaged.push(Damaged { line, text: String::from_utf8_lossy(bytes).into_owned() }),
            }
        }
        contents
    }

    /// Whether a damaged line may be the only one that speaks of a change: then nobody will say how that change ended.
    pub fn may_hide_a_change(&self, damaged: &Damaged) -> bool {
        const OF_NO_EVENT: [&str; 3] = ["{\"run\":", "{\"taken\":", "{\"given_up\":"];
        let text = damaged.text.trim_start();
        if OF_NO_EVENT.iter().any(|beginning| text.starts_with(beginning)) {
            return false;
        }
        let id = text.split_once("\"event_id\":\"").and_then(|(_, rest)| rest.get(..36)?.parse::<Uuid>().ok());
        // An intent or an outcome of the same change is read, and ends it.
        id.is_none_or(|id| !self.events.iter().any(|event| event.event_id == id))
    }

    /// The lines that a journal still needs once the audit log has its events: open intents, and outcomes that some sink
    /// has not taken, less those that are dropped.
    pub fn needed(&self, drops: &BTreeSet<Uuid>) -> Vec<Line> {
        let open: BTreeSet<_> = self.unmatched().into_iter().map(|event| event.event_id).collect();
        let pending: BTreeSet<_> = self.pending().map(|(event, _)| event.event_id).collect();
        let is_needed = |event: &&Event| {
            let id = &event.event_id;
            if event.is_intent() { open.contains(id) } else { pending.contains(id) && !drops.contains(id) }
        };
        let events: Vec<_> = self.events.iter().filter(is_needed).collect();
        let kept: BTreeSet<_> = events.iter().map(|event| event.event_id).collect();
        let marks = self.settled.iter().filter(|mark| kept.contains(&mark.event_id));
        let header = self.header.iter().cloned().map(Line::Run);
        let events = events.into_iter().map(|event| Line::Event(Box::new(event.clone())));
        header.chain(events).chain(marks.cloned().map(Line::Taken)).collect()
    }

    /// Intents that nobody said the end of.
    pub fn unmatched(&self) -> Vec<&Event> {
        let ended: BTreeSet<_> = self.events.iter().filter(|event| !event.is_intent()).map(|e| e.event_id).collect();
        let mut seen = BTreeSet::new();
        let open = |event: &&Event| event.is_intent() && !ended.contains(&event.event_id);
        self.events.iter().filter(open).filter(|event| seen.insert(event.event_id)).collect()
    }

    /// Outcomes that a sink of the header has not taken.
    pub fn pending(&self) -> impl Iterator<Item = (&Event, &str)> {
        let sinks = self.header.iter().flat_map(|header| &header.sinks);
        sinks.flat_map(|sink| {
            let open = |event: &&Event| {
                is_delivered(event) && !self.settled.contains(&Mark { event_id: event.event_id, sink: sink.clone() })
            };
            self.events.iter().filter(open).map(|event| (event, sink.as_str()))
        })
    }
}

/// The kind of the event about a command line.
pub const COMMAND_EXECUTED: &str = "command.executed";

/// Kinds that stay in the audit log: too many, or too dull, for a stream that people watch.
const AUDIT_ONLY: [&str; 6] = [
    COMMAND_EXECUTED,
    "monitors.mute_renewed",
    // A plan may have ten thousands of these; sinks see its beginning, its stalls and its end.
    "reassign.leader_elected",
    "reassign.move_completed",
    "reassign.move_started",
    "reassign.unchanged",
];

/// Whether sinks get to see an event: outcomes only. The audit log has the intents, too.
pub fn is_delivered(event: &Event) -> bool {
    !event.is_intent() && !AUDIT_ONLY.contains(&event.kind.as_str())
}
