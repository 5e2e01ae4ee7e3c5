//! What a change of config keys does to a topic's records and clients: values before and after in, risk and words out.
//!
//! Each rule looks at the values of the whole topic, since keys act together: a lower `retention.ms` deletes nothing while
//! `cleanup.policy` is `compact`. Where a value is not known, the worse one is assumed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::change::plan::Risk;
use crate::cluster::config::{ConfigEntry, ConfigSource};
use crate::cluster::size::Bytes;
use crate::cluster::topic::{Partition, Topic};
use crate::commands::topics::plan::defaults::Defaults;
use crate::commands::topics::plan::step::ConfigEdit;
use crate::commands::topics::spec::is_kafka_key;

/// Keys whose change can cost something, and the broker's key that holds where the topic's is not set.
pub const KEYS: &[(&str, &str)] = &[
    ("cleanup.policy", "log.cleanup.policy"),
    ("delete.retention.ms", "log.cleaner.delete.retention.ms"),
    ("local.retention.bytes", "log.local.retention.bytes"),
    ("local.retention.ms", "log.local.retention.ms"),
    ("max.decompressed.message.bytes", "max.decompressed.message.bytes"),
    ("max.message.bytes", "message.max.bytes"),
    ("message.format.version", "log.message.format.version"),
    ("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"),
    ("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"),
    ("message.timestamp.difference.max.ms", "log.message.timestamp.difference.max.ms"),
    ("message.timestamp.type", "log.message.timestamp.type"),
    ("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"),
    (MIN_INSYNC, MIN_INSYNC),
    ("remote.storage.enable", ""),
    ("retention.bytes", "log.retention.bytes"),
    ("retention.ms", "log.retention.ms"),
    ("unclean.leader.election.enable", "unclean.leader.election.enable"),
];

/// Each write of this key makes Kafka forget eligible leaders (KIP-966), also one of the same value.
pub const MIN_INSYNC: &str = "min.insync.replicas";

/// Keys of which the rules need the value, whichever key changes.
pub const KEYS_NEEDED: [&str; 4] = ["cleanup.policy", "remote.storage.enable", "retention.bytes", "retention.ms"];

/// Words of a vendor's key that may delete records.
const WORDS_OF_LOSS: [&str; 6] = ["retention", "cleanup", "delete", "remote", "tier", "local"];

/// What the change of one key costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// How much.
    pub risk: Risk,
    /// What happens, in words.
    pub words: String,
}

/// What a topic holds, and what of it the new limits delete, as far as that could be measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Held {
    /// Records of all partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Those that are older than the retention time that will hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_older: Option<u64>,
    /// Bytes of the largest replica of each partition, added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Those beyond the `retention.bytes` that will hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_beyond: Option<u64>,
    /// Why something could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclear: Option<String>,
}

impl Held {
    /// Whether it certainly has no record.
    fn is_empty(&self) -> bool {
        self.records == Some(0)
    }

    fn records_deleted(&self) -> String {
        match (self.records_older, self.records, &self.unclear) {
            (Some(older), Some(all), _) => format!("{older} of {all} now"),
            (_, _, Some(why)) => format!("how many is unknown: {why}"),
            (_, Some(all), _) => format!("how many of {all} is unknown"),
            _ => "how many is unknown".to_owned(),
        }
    }

    fn bytes_deleted(&self) -> String {
        match (self.bytes_beyond, self.bytes, &self.unclear) {
            (Some(beyond), Some(all), _) => format!("{} of {} now", Bytes(beyond), Bytes(all)),
            (_, _, Some(why)) => format!("how much is unknown: {why}"),
            _ => "how much is unknown".to_owned(),
        }
    }
}

/// The values of a topic's keys before and after a change.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The topic.
    pub topic: &'a Topic,
    /// Its config as it is.
    pub there: &'a [ConfigEntry],
    /// The change.
    pub edits: &'a [ConfigEdit],
    /// What holds where a key is not set on the topic, as far as that was read.
    pub defaults: &'a Defaults,
}

impl<'a> Values<'a> {
    fn before(&self, key: &str) -> Option<&'a str> {
        self.there(key, &self.defaults.before)
    }

    /// The value that is there; where the key is not set and brokers say different things, that of `defaults`.
    fn there(&self, key: &str, defaults: &'a BTreeMap<String, String>) -> Option<&'a str> {
        let entry = self.there.iter().find(|entry| entry.name == key)?;
        let default = defaults.get(key).filter(|_| entry.source != ConfigSource::Topic);
        default.or(entry.value.as_ref()).map(String::as_str)
    }

    /// None where it is not known.
    pub fn after(&self, key: &str) -> Option<&'a str> {
        match self.edits.iter().find(|edit| edit.key == key) {
            None => self.there(key, &self.defaults.after),
            Some(ConfigEdit { to: Some(to), .. }) => Some(to),
            Some(_) if key == "remote.storage.enable" => Some("false"),
            Some(_) => self.defaults.after.get(key).map(String::as_str),
        }
    }

    /// A limit before and after; a negative one is none at all, which is the largest number.
    fn limits(&self, key: &str) -> (Option<i64>, Option<i64>) {
        (limit(self.before(key)), limit(self.after(key)))
    }

    /// Whether a limit is lower afterwards, or may be.
    fn lowers(&self, key: &str) -> bool {
        match self.limits(key) {
            (_, Some(i64::MAX)) => false,
            (Some(before), Some(after)) => after < before,
            _ => true,
        }
    }

    /// Whether records are deleted by age and size afterwards, or may be.
    pub fn deletes(&self) -> bool {
        has(self.after("cleanup.policy"), "delete")
    }

    fn compacts(&self) -> bool {
        has(self.after("cleanup.policy"), "compact")
    }

    /// Whether older segments lie in remote storage, or may.
    fn is_tiered(&self) -> bool {
        is_true(self.before("remote.storage.enable"))
    }
}

/// The limit that a text says: negative ones mean that there is none.
pub fn limit(text: Option<&str>) -> Option<i64> {
    let number = text?.trim().parse::<i64>().ok()?;
    Some(if number < 0 { i64::MAX } else { number })
}

fn has(policy: Option<&str>, word: &str) -> bool {
    policy.is_none_or(|policy| policy.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
}

fn is_true(value: Option<&str>) -> bool {
    value.is_none_or(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// Whether the change of a key may cost something.
pub fn is_looked_at(key: &str) -> bool {
    KEYS.binary_search_by(|(known, _)| (*known).cmp(key)).is_ok() || is_of_vendor(key)
}

fn is_of_vendor(key: &str) -> bool {
    !is_kafka_key(key) && WORDS_OF_LOSS.iter().any(|word| key.contains(word))
}

/// Writes the effects into the edits of one topic.
pub fn note(edits: &mut [ConfigEdit], (topic, there): (&Topic, &[ConfigEntry]), known: Known<'_>) {
    let effects: Vec<_> = {
        let values = Values { topic, there, edits, defaults: known.defaults };
        edits.iter().map(|edit| effect(edit, &values, known)).collect()
    };
    for (edit, effect) in edits.iter_mut().zip(effects) {
        edit.effect = effect;
    }
}

/// What was read beside the config of a topic.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What holds where a key is not set on the topic.
    pub defaults: &'a Defaults,
    /// What it holds.
    pub held: Option<&'a Held>,
    /// Whether its eligible leaders were read: a change that would lose some is refused then.
    pub has_eligible: bool,
}

fn effect(edit: &ConfigEdit, values: &Values<'_>, known: Known<'_>) -> Option<Effect> {
    let key = &*edit.key;
    let none = Held::default();
    let held = known.held.unwrap_or(&none);
    match key {
        "retention.ms" | "retention.bytes" | "cleanup.policy" | "delete.retention.ms" | "min.compaction.lag.ms" => {
            effect_on_records(key, values, held).filter(|_| !held.is_empty()).map(loses)
        }
        "remote.storage.enable" => tiering(values),
        "local.retention.ms" | "local.retention.bytes" => local(key, values).map(moves),
        "unclean.leader.election.enable" => {
            let is_new = is_true(values.after(key)) && values.before(key).is_none_or(|before| !is_true(Some(before)));
            is_new.then(|| {
                loses(
                    "a replica that is not in sync may become leader: what it lacks is lost, at once where a partition \
                     has no leader"
                        .to_owned(),
                )
            })
        }
        "max.message.bytes" => values.lowers(key).then(|| {
            let limit = values.after(key).unwrap_or("the default");
            moves(format!("producers' batches of more than {limit} bytes are refused"))
        }),
        "max.decompressed.message.bytes" => values.lowers(key).then(|| {
            moves("larger records that are stored can't be compacted or searched by time any more".to_owned())
        }),
        "message.timestamp.before.max.ms"
        | "message.timestamp.after.max.ms"
        | "message.timestamp.difference.max.ms" => values.lowers(key).then(|| {
            moves("producers' records whose timestamp is further from the broker's time are refused".to_owned())
        }),
        "message.timestamp.type" => Some(moves(
            "new records get timestamps of another kind: retention and searches by time follow those".to_owned(),
        )),
        "message.format.version" => {
            Some(moves("new records are stored in another format; an old one has no headers".to_owned()))
        }
        MIN_INSYNC => {
            let lost = if known.has_eligible { None } else { eligible(values) };
            lost.map(loses).or_else(|| in_sync(values).map(moves))
        }
        _ if is_of_vendor(key) => vendor(key, values).map(loses),
        _ => None,
    }
}

fn loses(words: String) -> Effect {
    Effect { risk: Risk::LosesData, words }
}

fn moves(words: String) -> Effect {
    Effect { risk: Risk::MovesData, words }
}

/// What is deleted or compacted away.
fn effect_on_records(key: &str, values: &Values<'_>, held: &Held) -> Option<String> {
    match key {
        "retention.ms" if values.deletes() && values.lowers(key) => Some(older(values, held)),
        "retention.bytes" if values.deletes() && values.lowers(key) => Some(beyond(values, held)),
        "delete.retention.ms" if values.compacts() && values.lowers(key) => {
            Some("delete markers go sooner: a consumer that is behind them misses the deletion".to_owned())
        }
        "min.compaction.lag.ms" if values.compacts() && values.lowers(key) => {
            Some("older values of a key are compacted away sooner; how many is unknown".to_owned())
        }
        "cleanup.policy" => policy(values, held),
        _ => None,
    }
}

/// Another cleanup policy.
fn policy(values: &Values<'_>, held: &Held) -> Option<String> {
    let key = "cleanup.policy";
    let before = |word| values.before(key).is_some_and(|policy| has(Some(policy), word));
    let mut words = Vec::new();
    if values.deletes() && !before("delete") {
        let (_, time) = values.limits("retention.ms");
        let (_, size) = values.limits("retention.bytes");
        if time != Some(i64::MAX) {
            words.push(older(values, held));
        }
        if size.is_some_and(|size| size != i64::MAX) {
            words.push(beyond(values, held));
        }
    }
    if values.compacts() && !before("compact") {
        let all = held.records.map(|all| format!(" of {all}")).unwrap_or_default();
        words.push(format!("all but the newest value of each key are deleted; how many{all} is unknown"));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

fn older(values: &Values<'_>, held: &Held) -> String {
    match limit(values.after("retention.ms")) {
        Some(limit) => format!("records older than {} are deleted, {}", time(limit), held.records_deleted()),
        None => "the default retention time is unknown, so is how many records are deleted".to_owned(),
    }
}

fn beyond(values: &Values<'_>, held: &Held) -> String {
    match limit(values.after("retention.bytes")).and_then(|limit| u64::try_from(limit).ok()) {
        Some(limit) => {
            format!("the oldest records beyond {} a partition are deleted, {}", Bytes(limit), held.bytes_deleted())
        }
        None => "the default retention.bytes is unknown, so is how much is deleted".to_owned(),
    }
}

/// Tiered storage is switched on or off.
fn tiering(values: &Values<'_>) -> Option<Effect> {
    match (values.is_tiered(), is_true(values.after("remote.storage.enable"))) {
        (true, false) => Some(loses("what lies in remote storage only is deleted; how much is unknown".to_owned())),
        (false, true) => Some(moves(
            "segments are copied to remote storage; switching it off again deletes what lies there only".to_owned(),
        )),
        _ => None,
    }
}

/// Brokers' own copies of what lies in remote storage, too.
fn local(key: &str, values: &Values<'_>) -> Option<String> {
    let follows = |value: Option<&str>| value.map(str::trim) == Some("-2");
    let is_lower = match (follows(values.before(key)), follows(values.after(key))) {
        (_, true) => false,
        (true, false) => true,
        (false, false) => values.lowers(key),
    };
    (values.is_tiered() && is_lower)
        .then(|| "brokers delete their own copies sooner; older records are read from remote storage".to_owned())
}

/// Kafka 4 keeps eligible leaders of partitions with fewer replicas in sync than demanded, and forgets them at each write.
/// Where they could not be read, they count as there.
fn eligible(values: &Values<'_>) -> Option<String> {
    let (before, _) = values.limits(MIN_INSYNC);
    let least = usize::try_from(before?).ok()?;
    let lacks = |partition: &&Partition| partition.isr.len() < least.min(partition.replicas.len());
    let partitions = values.topic.partitions.iter().filter(lacks).count();
    (partitions > 0).then(|| {
        let have = if partitions == 1 { "1 partition has".to_owned() } else { format!("{partitions} partitions have") };
        format!(
            "{have} fewer replicas in sync than {least}: Kafka 4 forgets their eligible leaders, and what those hold may be \
             lost"
        )
    })
}

/// More replicas in sync are demanded than some partitions have.
fn in_sync(values: &Values<'_>) -> Option<String> {
    let (before, after) = values.limits(MIN_INSYNC);
    let after = after?;
    let lacks = |number: usize| i64::try_from(number).is_ok_and(|number| number < after);
    let partitions = values.topic.partitions.iter().filter(|partition| lacks(partition.isr.len())).count();
    let is_raised = before.is_none_or(|before| before < after);
    (is_raised && partitions > 0).then(|| {
        let have = if partitions == 1 { "1 partition has".to_owned() } else { format!("{partitions} partitions have") };
        format!("{have} fewer replicas in sync: writes with acks=all fail there")
    })
}

/// A key that Kafka does not have, by its name one that may delete records.
fn vendor(key: &str, values: &Values<'_>) -> Option<String> {
    values.lowers(key).then(|| "Kafka has no such key; whether records are deleted is not known".to_owned())
}

/// Milliseconds as a person reads them.
fn time(milliseconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let fitting = UNITS.iter().find(|(unit, _)| milliseconds >= *unit && milliseconds % unit == 0);
    fitting.map_or(format!("{milliseconds} ms"), |(unit, name)| format!("{} {name}", milliseconds / unit))
}
