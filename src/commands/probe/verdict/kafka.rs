//! Whether a broker is "100 % in sync": for every partition that lists it as a replica, it is in the ISR, it is registered
//! and not fenced, and none of its replicas is offline.
//!
//! ```text
//! strict ── nothing is missing in two looks ──▶ latched        a restart of the process begins strict again
//! ```
//!
//! Latched, it stays ready while its port is open: otherwise one slow disk or one large move would make many brokers unready
//! at once, and take the cluster away from clients. What falls out of the ISR later is for monitors and for `rollout check`.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::in_sync::Replicas;
use crate::cluster::reaction::Reaction;
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::probe::verdict::{State, Verdict};

/// Looks without anything missing, one after the other, before the broker is ready.
pub const LOOKS: u32 = 2;

/// Topics that are remembered as lacking replicas: while one of them does, no other needs to be looked at.
const PENDING_MAX: usize = 20;

/// Partitions that a reason names.
const SHOWN_MAX: usize = 3;

/// An image that has not moved for so long while another broker's did is old: an idle controller appends a record each half
/// second (`metadata.max.idle.interval.ms`).
const IMAGE_MAX: Duration = Duration::from_secs(5);

/// What is kept between two looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Names the start of the process: what was kept for another one counts for nothing.
    pub start: String,
    /// The broker.
    pub broker: BrokerId,
    /// When the strict phase began.
    pub since: Timestamp,
    /// When the broker became ready; none in the strict phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
    /// Looks without anything missing, one after the other.
    #[serde(default)]
    pub complete_looks: u32,
    /// Topics that lacked replicas in the last look, at most twenty.
    #[serde(default)]
    pub pending: Vec<TopicName>,
    /// The offset of the broker's own image, and since when it is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<(i64, Timestamp)>,
}

impl Memory {
    /// At the begin of the strict phase.
    pub fn new(start: String, broker: BrokerId, now: Timestamp) -> Self {
        Self { start, broker, since: now, ready_since: None, complete_looks: 0, pending: Vec::new(), image: None }
    }

    /// What was kept, where it belongs to this start of this broker; else the begin of the strict phase. A begin that lies in
    /// the future counts as now: the clock was set back since.
    pub fn or_new(kept: Option<Self>, start: String, broker: BrokerId, now: Timestamp) -> Self {
        kept.filter(|kept| kept.start == start && kept.broker == broker)
            .map_or_else(|| Self::new(start, broker, now), |kept| Self { since: kept.since.min(now), ..kept })
    }

    /// What is to be looked at.
    pub fn next(&self) -> Next<'_> {
        match (self.ready_since, &self.pending[..]) {
            (Some(_), _) => Next::Port,
            (None, []) => Next::Everything,
            (None, pending) => Next::Topics(pending),
        }
    }
}

/// What is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'a> {
    /// Latched: whether the port is open.
    Port,
    /// These topics first; everything once they lack nothing.
    Topics(&'a [TopicName]),
    /// All topics.
    Everything,
}

/// Whether the broker gets answers from the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "controller", content = "why")]
pub enum Channel {
    /// It does.
    Works,
    /// It does not: it may go on answering metadata all the same.
    Hangs(String),
    /// That can't be seen: in ZooKeeper mode brokers pass nothing on.
    Unseen,
}

/// What was seen of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Whose metadata was read; the broker's own where no other one answered.
    pub seen_by: BrokerId,
    /// Whether that one lists the broker: registered, and not fenced.
    pub is_listed: bool,
    /// Whether the broker's own metadata list itself.
    pub lists_itself: bool,
    /// How its replicas stand. Where something is missing, other topics may not have been looked at.
    pub replicas: Replicas,
    /// Whether it gets answers from the controller.
    pub channel: Channel,
    /// Why running moves could not be asked for; then replicas that they add count as missing.
    pub moves_unseen: Option<String>,
    /// The offset of its own image of the metadata (KRaft).
    pub image: Option<i64>,
    /// That of the other broker.
    pub other_image: Option<i64>,
}

/// What one look saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase", content = "seen")]
pub enum Seen {
    /// Latched: how the port reacts, and whether the controller answers, where that is looked at.
    Latched {
        /// Of the port.
        reaction: Reaction,
        /// Of the controller.
        channel: Channel,
    },
    /// Strict: the broker could not be asked.
    NoAnswer(String),
    /// Strict: the settings are wrong, or it refuses us.
    Unknown(String),
    /// Strict: it was looked at.
    Strict(Box<Look>),
}

/// What is asked of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Complete looks, one after the other, that make it ready.
    pub looks: u32,
    /// After this long in the strict phase a person should look.
    pub strict_max: Duration,
}

/// Whether the broker is ready, and what to remember.
pub fn ready(memory: Memory, seen: &Seen, terms: Terms, now: Timestamp) -> (Verdict, Memory) {
    match seen {
        Seen::Latched { reaction, channel } => (latched(&memory, reaction, channel), memory),
        Seen::Unknown(why) => (Verdict::new(State::Unknown, why.clone()), memory),
        Seen::NoAnswer(why) => {
            let memory = Memory { complete_looks: 0, ..memory };
            (overdue(Verdict::new(State::NotReady, why.clone()), &memory, terms, now), memory)
        }
        Seen::Strict(look) => {
            let (verdict, memory) = strict(memory, look, terms, now);
            (overdue(verdict, &memory, terms, now), memory)
        }
    }
}

fn latched(memory: &Memory, reaction: &Reaction, channel: &Channel) -> Verdict {
    let broker = memory.broker;
    let since = memory.ready_since.map(|at| format!(" since {at:.0}")).unwrap_or_default();
    match reaction {
        Reaction::Refused(why) => Verdict::new(State::NotReady, format!("nothing listens for broker {broker}: {why}")),
        Reaction::NoWay(why) => Verdict::new(State::Unknown, format!("broker {broker} can't be asked: {why}")),
        Reaction::NotAccepted => {
            Verdict::new(State::NotReady, format!("broker {broker} accepts no connection within --timeout"))
        }
        Reaction::Answered | Reaction::OtherAnswer | Reaction::HungUp | Reaction::Silent => {
            let mut reason = format!("broker {broker} was in sync and is ready{since}");
            if *reaction == Reaction::Silent {
                reason.push_str("; it accepts connections, but gave no answer within --timeout");
            }
            if let Channel::Hangs(why) = channel {
                let _ = write!(reason, "; but it gets no answer from the controller: {why}");
            }
            Verdict::new(State::Ready, reason)
        }
    }
}

fn strict(mut memory: Memory, look: &Look, terms: Terms, now: Timestamp) -> (Verdict, Memory) {
    let is_old = is_image_old(&mut memory, look, now);
    memory.pending = look.replicas.topics().into_iter().take(PENDING_MAX).collect();
    if let Some(reason) = trouble(&memory, look, is_old) {
        memory.complete_looks = 0;
        return (Verdict::new(State::NotReady, reason), memory);
    }
    memory.complete_looks = memory.complete_looks.saturating_add(1);
    let whole = complete(memory.broker, look);
    if memory.complete_looks < terms.looks {
        let (done, all) = (memory.complete_looks, terms.looks);
        return (Verdict::new(State::NotReady, format!("{whole}; that was look {done} of {all}")), memory);
    }
    memory.ready_since = Some(now);
    (Verdict::new(State::Ready, whole), memory)
}

/// Whether the broker's image stands still while another broker's has moved on.
fn is_image_old(memory: &mut Memory, look: &Look, now: Timestamp) -> bool {
    let Some(offset) = look.image else { return false };
    let since = match memory.image {
        Some((before, since)) if before == offset && since <= now => since,
        _ => now,
    };
    memory.image = Some((offset, since));
    look.other_image.is_some_and(|other| other > offset) && elapsed(since, now) >= IMAGE_MAX
}

/// Why the broker is not ready.
fn trouble(memory: &Memory, look: &Look, is_old: bool) -> Option<String> {
    let (broker, by) = (memory.broker, look.seen_by);
    if !look.is_listed && by != broker {
        let what = "it registers, is fenced, or its heartbeats do not reach the controller";
        return Some(format!("broker {broker} answers, but broker {by} does not list it: {what}"));
    }
    if !look.lists_itself {
        return Some(format!("broker {broker} answers, but does not list itself: it starts, or is fenced"));
    }
    if let Channel::Hangs(why) = &look.channel {
        return Some(format!("broker {broker} answers metadata, but gets no answer from the controller: {why}"));
    }
    if is_old {
        let (own, other) = (look.image.unwrap_or_default(), look.other_image.unwrap_or_default());
        let what = format!("its metadata is at offset {own}, that of broker {by} at {other}");
        return Some(format!("broker {broker} answers, but receives nothing from the controller: {what}"));
    }
    let replicas = &look.replicas;
    if replicas.is_complete() {
        return None;
    }
    let mut reason = format!("{} of {} replicas are not in sync: ", replicas.missing, replicas.hosted);
    list(&mut reason, &replicas.named, replicas.missing);
    if replicas.excused > 0 {
        let _ = write!(reason, "; {} more are not waited for", replicas.excused);
    }
    if let Some(why) = &look.moves_unseen {
        let _ = write!(reason, "; running moves can't be seen, so that what they add counts too: {why}");
    }
    Some(reason)
}

/// Words for a look without anything missing.
fn complete(broker: BrokerId, look: &Look) -> String {
    let Replicas { hosted, excused, named_excused, .. } = &look.replicas;
    let mut reason = match hosted {
        0 => format!("broker {broker} is registered and hosts nothing"),
        _ => format!("broker {broker} is in sync: {} of {hosted} replicas", hosted - excused.min(hosted)),
    };
    if *excused > 0 {
        reason.push_str("; not waited for: ");
        list(&mut reason, named_excused, *excused);
    }
    if look.seen_by == broker {
        reason.push_str("; no other broker was there to compare with");
    }
    reason
}

fn list<W: std::fmt::Display>(to: &mut String, named: &[(TopicPartition, W)], count: usize) {
    let shown = named.iter().take(SHOWN_MAX).map(|(partition, why)| format!("{partition} {why}"));
    to.push_str(&shown.collect::<Vec<_>>().join(", "));
    let rest = count.saturating_sub(named.len().min(SHOWN_MAX));
    if rest > 0 {
        let _ = write!(to, " and {rest} more");
    }
}

/// The strict phase takes too long: a person should look. It stays not ready.
fn overdue(verdict: Verdict, memory: &Memory, terms: Terms, now: Timestamp) -> Verdict {
    let time = elapsed(memory.since, now);
    if verdict.state != State::NotReady || time < terms.strict_max {
        return verdict;
    }
    let reason = format!("not in sync for {} min: {}", time.as_secs() / 60, verdict.reason);
    Verdict::new(State::ReadyDegraded, reason)
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
