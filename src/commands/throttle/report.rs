//! What `throttle status` shows: every throttle, whose it is, and whether the moves will end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::broker::BrokerId;
use crate::cluster::overrides::Overrides;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::{
    OwnList, PresentList, PresentRate, PresentThrottles, Side, ThrottleEntry, ThrottleRecord,
};
use crate::cluster::topic::TopicName;
use crate::cluster::visible;
use crate::commands::throttle::plan::floor::needs;
use crate::commands::throttle::plan::limits::Limits;
use crate::commands::throttle::plan::outlook::words;
use crate::commands::throttle::plan::snapshot::Snapshot;

/// Whose a throttle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// This tool set it.
    Ours,
    /// Somebody else set it.
    Foreign,
    /// It is set for all brokers, or in the broker's file.
    Default,
    /// Nobody set one.
    None,
}

impl Owner {
    fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Foreign => "foreign",
            Self::Default => "default",
            Self::None => "-",
        }
    }
}

/// Everything that `status` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The cluster.
    pub cluster: String,
    /// The command and actor that manages ours, and since when nothing changed; none where nothing is ours.
    pub owner: Option<String>,
    /// When it changed something last.
    pub changed_at: Option<String>,
    /// Partitions that get replicas now.
    pub moving: usize,
    /// What is still to be copied.
    pub remaining_bytes: u64,
    /// Seconds to the end at the speed of now; none where it does not come nearer.
    pub eta_seconds: Option<f64>,
    /// Rates of brokers, and of brokers that moves involve.
    pub rates: Vec<RateRow>,
    /// Lists of topics.
    pub lists: Vec<ListRow>,
    /// Rates that a person gave to the agent.
    pub overrides: Overrides,
}

/// One rate.
#[derive(Debug, Clone, Serialize)]
pub struct RateRow {
    /// The broker.
    pub broker: BrokerId,
    /// Which side.
    pub side: Side,
    /// The rate; none where there is none, or Kafka does not tell.
    pub rate: Option<ByteRate>,
    /// Whose it is.
    pub owner: Owner,
    /// The least with which its moves end, as `throttle run` reckons it: what is written and fetched by followers in
    /// sync, a fifth more, and 1 MiB/s. None where it takes part in no move.
    pub floor: Option<ByteRate>,
    /// Whether its moves will never end at this rate.
    pub is_below_floor: bool,
    /// What is copied now.
    pub copying: Option<ByteRate>,
}

/// One list.
#[derive(Debug, Clone, Serialize)]
pub struct ListRow {
    /// The topic.
    pub topic: TopicName,
    /// Which side.
    pub side: Side,
    /// Whether it is `*`.
    pub is_every: bool,
    /// Whether that `*` is ours: the entries were more than Kafka takes.
    pub is_every_ours: bool,
    /// Entries of ours.
    pub ours: Vec<ThrottleEntry>,
    /// Entries of others.
    pub foreign: Vec<ThrottleEntry>,
}

/// Puts together what `status` shows.
pub fn status(
    cluster: &str,
    seen: &PresentThrottles,
    record: &ThrottleRecord,
    snapshot: &Snapshot,
    overrides: &Overrides,
) -> Status {
    let remaining: u64 = snapshot.moving.iter().flat_map(|moving| &moving.adding).map(|(_, bytes)| bytes.0).sum();
    let is_owned = !record.is_empty();
    Status {
        cluster: cluster.to_owned(),
        owner: is_owned.then(|| record.owner.clone()),
        changed_at: is_owned.then(|| record.changed_at.clone()),
        moving: snapshot.moving.len(),
        remaining_bytes: remaining,
        eta_seconds: eta(snapshot),
        rates: rates(seen, record, snapshot),
        lists: lists(seen, record),
        overrides: overrides.clone(),
    }
}

fn rates(seen: &PresentThrottles, record: &ThrottleRecord, snapshot: &Snapshot) -> Vec<RateRow> {
    let needs = needs(snapshot, &Limits::default());
    let mut rows = Vec::new();
    for (broker, sides) in &seen.rates {
        for side in Side::BOTH {
            let own = record.rates.get(broker).and_then(|sides| *sides.of(side));
            let (rate, owner) = match *sides.of(side) {
                PresentRate::Unset => (None, Owner::None),
                PresentRate::Inherited(rate) => (Some(rate), Owner::Default),
                PresentRate::Set(rate) if own.is_some_and(|own| own.is(rate)) => (Some(rate), Owner::Ours),
                PresentRate::Set(rate) => (Some(rate), Owner::Foreign),
                PresentRate::Hidden if own.is_some() => (own.and_then(|own| own.set), Owner::Ours),
                PresentRate::Hidden => (None, Owner::Foreign),
            };
            let need = needs.get(&(*broker, side));
            if owner == Owner::None && need.is_none() {
                continue;
            }
            let floor = need.map(|need| ByteRate::of_f64(need.floor));
            let least = need.map(|need| ByteRate::of_f64(need.writes + need.in_sync));
            let copying = snapshot.brokers.get(broker).filter(|_| need.is_some()).map(|load| *load.moving.of(side));
            let is_below_floor = rate.zip(least).is_some_and(|(rate, least)| least.0 > 0 && rate <= least);
            rows.push(RateRow { broker: *broker, side, rate, owner, floor, is_below_floor, copying });
        }
    }
    rows
}

fn lists(seen: &PresentThrottles, record: &ThrottleRecord) -> Vec<ListRow> {
    let mut rows = Vec::new();
    for (topic, sides) in &seen.lists {
        for side in Side::BOTH {
            let own = record.lists.get(topic).and_then(|sides| sides.of(side).as_ref());
            let there = sides.of(side);
            if *there == PresentList::Unset {
                continue;
            }
            let entries = there.entries().cloned().unwrap_or_default();
            let is_ours = |entry: &ThrottleEntry| own.is_some_and(|own| own.entries().contains(entry));
            let (ours, foreign) = entries.iter().copied().partition(is_ours);
            let is_every = *there == PresentList::Every;
            let is_every_ours = is_every && own.is_some_and(OwnList::is_every);
            rows.push(ListRow { topic: topic.clone(), side, is_every, is_every_ours, ours, foreign });
        }
    }
    rows
}

/// By what is copied now, less what is written meanwhile.
fn eta(snapshot: &Snapshot) -> Option<f64> {
    let mut destinations = BTreeMap::<BrokerId, (f64, f64)>::new();
    for moving in &snapshot.moving {
        for (broker, remaining) in &moving.adding {
            let sum = destinations.entry(*broker).or_default();
            sum.0 += remaining.to_f64();
            sum.1 += moving.writes.to_f64();
        }
    }
    let seconds = destinations.iter().map(|(broker, (remaining, writes))| {
        let copied = snapshot.brokers.get(broker).map_or(0.0, |load| load.moving.follower.to_f64());
        (copied > *writes).then(|| remaining / (copied - writes))
    });
    seconds.collect::<Option<Vec<_>>>()?.into_iter().reduce(f64::max)
}

/// A time as people read it; what is no time is shown as it is.
fn to_the_second(at: &str) -> String {
    let parsed = at.parse::<Timestamp>().ok().and_then(|time| time.round(jiff::Unit::Second).ok());
    parsed.map_or_else(|| at.to_owned(), |time| time.to_string())
}

impl Status {
    /// The heading, and the rows of both tables.
    pub fn head(&self) -> String {
        let eta = match self.eta_seconds {
            Some(eta) => format!("done in about {} at the present speed", words(eta)),
            None => "no end at the present speed (--watch measures longer)".to_owned(),
        };
        let moving = match self.moving {
            0 => "nothing moves".to_owned(),
            1 => format!("1 partition gets replicas, {} left, {eta}", Bytes(self.remaining_bytes)),
            count => format!("{count} partitions get replicas, {} left, {eta}", Bytes(self.remaining_bytes)),
        };
        let owner = match (&self.owner, &self.changed_at) {
            (Some(owner), Some(at)) => {
                format!("; ours are managed by {}, changed last at {}", visible::value(owner), to_the_second(at))
            }
            _ => "; nothing is ours".to_owned(),
        };
        let given = if self.overrides.is_empty() { "" } else { "; overrides are in force" };
        format!("{moving}{owner}{given}\n")
    }

    /// Rates as a table has them.
    pub fn rate_rows(&self) -> Vec<Vec<String>> {
        let show = |rate: Option<ByteRate>| rate.map_or("-".to_owned(), |rate| rate.to_string());
        let row = |row: &RateRow| {
            let is_near = row.rate.zip(row.floor).is_some_and(|(rate, floor)| rate < floor);
            let trouble = match (row.is_below_floor, is_near) {
                (true, _) => "below the floor: it never ends",
                (false, true) => "below the floor: it ends late, or never",
                (false, false) => "",
            };
            vec![
                row.broker.to_string(),
                row.side.to_string(),
                show(row.rate),
                row.owner.word().to_owned(),
                show(row.copying),
                show(row.floor),
                trouble.to_owned(),
            ]
        };
        self.rates.iter().map(row).collect()
    }

    /// Lists as a table has them.
    pub fn list_rows(&self) -> Vec<Vec<String>> {
        let show = |entries: &[ThrottleEntry]| match entries {
            [] => "-".to_owned(),
            entries if entries.len() <= 6 => entries.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            entries => format!("{} entries", entries.len()),
        };
        let row = |row: &ListRow| {
            let star = |is_theirs: bool| if is_theirs { "*".to_owned() } else { "-".to_owned() };
            let (ours, foreign) = if row.is_every {
                (star(row.is_every_ours), star(!row.is_every_ours))
            } else {
                (show(&row.ours), show(&row.foreign))
            };
            vec![row.topic.to_string(), row.side.to_string(), ours, foreign]
        };
        self.lists.iter().map(row).collect()
    }
}
