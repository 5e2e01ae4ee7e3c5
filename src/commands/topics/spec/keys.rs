//! Kafka's topic config keys and their values: what is wrong with them without asking a cluster.
//!
//! The table of keys (`table`) is generated from Kafka's jars. A value is a fault where no version takes it, and a note where
//! only some do. A key that is not in the table may belong to a newer broker or to a vendor: `validate` takes it for a fault,
//! other verbs ask the cluster.

use crate::cluster::size::Bytes;
use crate::commands::topics::spec::Placed;
use crate::commands::topics::spec::table::{KEYS, NEWEST};
use crate::formats::place::Fault;
use crate::formats::suggest::nearest;
use crate::formats::yaml::short;

/// One key in all versions that have it.
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// The broker's key that is its default; empty where there is none.
    pub(super) broker: &'static str,
    /// What each span of versions takes, oldest first.
    pub(super) spans: &'static [Span],
}

/// What the values of a key look like in some versions.
pub(super) struct Span {
    /// The oldest of them.
    pub(super) since: (u8, u8),
    /// The newest of them.
    pub(super) until: (u8, u8),
    /// The values.
    pub(super) kind: Kind,
}

/// What the values of a key look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A whole number from one number to another.
    Whole(i64, i64),
    /// A number that may have a fraction, from one number to another.
    Fraction(f64, f64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of these words.
    List(&'static [&'static str]),
    /// A list that belongs to running moves of replicas.
    ThrottleList,
    /// A text whose rules the broker knows.
    Text,
}

/// What took the place of keys that Kafka has removed.
const SUCCESSORS: &[(&str, &str)] = &[
    ("message.downconversion.enable", "nothing: old clients are not served any more; remove the line"),
    ("message.format.version", "nothing: records are always stored in the newest format; remove the line"),
    (
        "message.timestamp.difference.max.ms",
        "`message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` (Kafka 3.6 and later)",
    ),
];

/// Keys of brokers in other units: the topic's key, and how many of its units one is.
const OTHER_UNITS: &[(&str, &str, i64)] = &[
    ("log.retention.hours", "retention.ms", 3_600_000),
    ("log.retention.minutes", "retention.ms", 60_000),
    ("log.roll.hours", "segment.ms", 3_600_000),
    ("log.roll.jitter.hours", "segment.jitter.ms", 3_600_000),
    ("retention.days", "retention.ms", 86_400_000),
    ("retention.hours", "retention.ms", 3_600_000),
    ("retention.minutes", "retention.ms", 60_000),
];

/// Keys of brokers that are fields of a declared topic.
const FIELDS: &[(&str, &str)] = &[
    ("default.replication.factor", "replicationFactor"),
    ("num.partitions", "partitions"),
    ("replication.factor", "replicationFactor"),
];

/// The word for an empty list, where a list may be empty.
pub(super) const NONE: &str = "none";

/// What every broker would say of a key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opinion {
    /// Nothing.
    Fine,
    /// Some versions do not take it.
    Note(Fault),
    /// A key that Kafka does not have.
    Unknown(Fault),
    /// No broker takes it.
    Fault(Fault),
}

/// Whether Kafka itself has this key for topics, in any version.
pub fn is_kafka_key(key: &str) -> bool {
    find(key).is_some()
}

/// Whether the values of a key are sets of words, so that neither order nor repetition means anything.
pub fn is_set(key: &str) -> bool {
    find(key).is_some_and(|key| key.spans.iter().any(|span| matches!(span.kind, Kind::List(_))))
}

fn find(key: &str) -> Option<&'static Key> {
    // Most differ in their length already, which is quicker than a search by order.
    KEYS.iter().find(|known| known.name == key)
}

/// Looks at one key and its value.
pub(super) fn opinion(key: &str, value: &Placed<String>) -> Opinion {
    let Some(known) = find(key) else { return unknown(key, value) };
    let text = value.value.trim();
    let Some(newest) = known.spans.last() else { return Opinion::Fine };
    if newest.kind == Kind::ThrottleList {
        let message = format!("`{key}` belongs to running moves of replicas and can't be declared");
        return Opinion::Fault(Fault::new(value.place.clone(), message).with_hint("remove the line"));
    }
    let takes: Vec<_> = known.spans.iter().map(|span| wrong(span.kind, text).is_none()).collect();
    if !takes.contains(&true) {
        return Opinion::Fault(fault(known.name, newest.kind, value));
    }
    if newest.until < NEWEST {
        let (major, minor) = (newest.until.0, newest.until.1);
        let message = format!("Kafka {major}.{minor} is the last that has `{key}`");
        let next = SUCCESSORS.iter().find(|(old, _)| *old == key).map(|(_, next)| *next);
        let fault = Fault::new(value.place.clone(), message);
        return Opinion::Note(match next {
            Some(next) => fault.with_hint(format!("its successor is {next}")),
            None => fault,
        });
    }
    match known.spans.iter().zip(takes).rfind(|(_, takes)| !takes) {
        None => Opinion::Fine,
        Some((span, _)) => Opinion::Note(some_versions(known.name, span, value)),
    }
}

/// A value that only some versions take.
fn some_versions(key: &str, span: &Span, value: &Placed<String>) -> Fault {
    let ((from_major, from_minor), (to_major, to_minor)) = (span.since, span.until);
    let wanted = wrong(span.kind, value.value.trim()).unwrap_or_default();
    let versions = if span.until == NEWEST {
        format!("Kafka {from_major}.{from_minor} and later want")
    } else {
        format!("Kafka {from_major}.{from_minor} to {to_major}.{to_minor} want")
    };
    let message = format!("`{key}`: {versions} {}, found `{}`", unit_of(key, &wanted), short(&value.value));
    Fault::new(value.place.clone(), message)
}

/// A value that no version takes.
fn fault(key: &str, kind: Kind, value: &Placed<String>) -> Fault {
    let text = value.value.trim();
    let wanted = wrong(kind, text).unwrap_or_default();
    let message = format!("`{key}` must be {}, found `{}`", unit_of(key, &wanted), short(&value.value));
    let fault = Fault::new(value.place.clone(), message);
    match meant(key, kind, text) {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    }
}

/// What a kind wants, where the text is not of it.
fn wrong(kind: Kind, text: &str) -> Option<String> {
    let right = match kind {
        Kind::Whole(least, most) => text.parse::<i64>().is_ok_and(|number| (least..=most).contains(&number)),
        Kind::Fraction(least, most) => text.parse::<f64>().is_ok_and(|number| (least..=most).contains(&number)),
        Kind::Flag => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
        Kind::OneOf(words) => words.contains(&text),
        Kind::List(words) => text == NONE || text.split(',').all(|word| words.contains(&word.trim())),
        Kind::ThrottleList | Kind::Text => true,
    };
    (!right).then(|| match kind {
        Kind::Whole(least, most) => match text.parse::<i64>() {
            Ok(_) if most >= i64::from(i32::MAX) && least > i64::from(i32::MIN) => format!("{least} or more"),
            Ok(_) => format!("from {least} to {most}"),
            Err(_) => "a whole number".to_owned(),
        },
        Kind::Fraction(least, most) => match text.parse::<f64>() {
            Ok(_) => format!("from {least} to {most}"),
            Err(_) => "a number".to_owned(),
        },
        Kind::Flag => "true or false".to_owned(),
        Kind::OneOf(words) => format!("one of {}", words.join(", ")),
        Kind::List(words) => format!("one or more of {}", words.join(", ")),
        Kind::ThrottleList | Kind::Text => String::new(),
    })
}

/// A whole number with its unit, as the key's name says it.
fn unit_of(key: &str, wanted: &str) -> String {
    let unit = match last_word(key) {
        _ if wanted != "a whole number" => "",
        "ms" => " of milliseconds",
        "bytes" => " of bytes",
        _ => "",
    };
    format!("{wanted}{unit}")
}

/// The unit of a key, which ends its name.
fn last_word(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or_default()
}

fn unknown(key: &str, value: &Placed<String>) -> Opinion {
    if let Some(fault) = of_broker(key, value) {
        return Opinion::Fault(fault);
    }
    let (major, minor) = NEWEST;
    let message = format!("`{}` is no topic config key of Kafka 2.4 to {major}.{minor}", short(key));
    let fault = Fault::new(value.place.clone(), message);
    if let Some(meant) = find(&key.replace(['_', '-'], ".").to_lowercase()) {
        return Opinion::Fault(fault.with_hint(format!("did you mean `{}`?", meant.name)));
    }
    Opinion::Unknown(match nearest(key, KEYS.iter().map(|known| known.name)) {
        Some(meant) => fault.with_hint(format!("did you mean `{meant}`?")),
        None => fault,
    })
}

/// The fault of a key that belongs to brokers, with the topic's key and its value.
fn of_broker(key: &str, value: &Placed<String>) -> Option<Fault> {
    let fault = |hint: String| {
        let whose = if key.starts_with("retention.") { "no topic's key" } else { "a broker's key, not a topic's" };
        Some(Fault::new(value.place.clone(), format!("`{key}` is {whose}")).with_hint(hint))
    };
    let text = value.value.trim();
    if let Some((_, topic, unit)) = OTHER_UNITS.iter().find(|(broker, _, _)| *broker == key) {
        let number = text.parse::<i64>().ok();
        let number = number.and_then(|number| if number < 0 { Some(-1) } else { number.checked_mul(*unit) });
        return fault(match number {
            Some(number) => format!("write `{topic}: {number}`"),
            None => format!("a topic's is `{topic}`"),
        });
    }
    if let Some((_, field)) = FIELDS.iter().find(|(broker, _)| *broker == key) {
        return fault(format!("it is the field `{field}` of a topic, beside `config`"));
    }
    let topic = KEYS.iter().find(|known| known.broker == key && !known.broker.is_empty())?;
    fault(format!("write `{}: {}`", topic.name, short(text)))
}

/// What a person may have meant by a value that is not right, as a hint.
fn meant(key: &str, kind: Kind, text: &str) -> Option<String> {
    let is = |meant: String| format!("`{}` is {meant}", short(text));
    match kind {
        Kind::Whole(..) => whole_meant(key, text, is),
        Kind::Fraction(_, most) => {
            let percent = text.trim_end_matches('%').trim().parse::<f64>().ok()?;
            (percent > most && percent <= 100.0).then(|| format!("{percent} % is {}", percent / 100.0))
        }
        Kind::Flag => match &*text.to_lowercase() {
            "yes" | "on" | "1" => Some(is("true".into())),
            "no" | "off" | "0" => Some(is("false".into())),
            _ => None,
        },
        Kind::OneOf(words) => did_you_mean(text, words),
        Kind::List(_) if text.is_empty() => {
            Some(format!("write `{NONE}` to keep all records for ever, which Kafka takes from 4.2 on"))
        }
        Kind::List(words) => {
            let mut wrong = text.split(',').map(str::trim).filter(|word| !words.contains(word));
            did_you_mean(wrong.next()?, words)
        }
        Kind::ThrottleList | Kind::Text => None,
    }
}

fn did_you_mean(text: &str, words: &[&'static str]) -> Option<String> {
    let same = words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied();
    same.or_else(|| nearest(text, words.iter().copied())).map(|word| format!("did you mean `{word}`?"))
}

fn whole_meant(key: &str, text: &str, is: impl Fn(String) -> String) -> Option<String> {
    let is_whole = |text: &str| text.parse::<i64>().is_ok();
    if is_whole(text) {
        return None;
    }
    let digits = text.replace([',', '_', ' '], "");
    if digits != text && is_whole(&digits) {
        return Some(is(digits));
    }
    if let Some(number) = of_exponent(text) {
        return Some(format!("Helm writes large numbers so: quote it in the values, as \"{number}\""));
    }
    match last_word(key) {
        "ms" => milliseconds(text).map(|number| is(number.to_string())),
        "bytes" => text.parse::<Bytes>().ok().map(|size| is(size.0.to_string())),
        _ => None,
    }
}

/// The whole number that `6.048e+08` or `604800000.0` stands for.
fn of_exponent(text: &str) -> Option<String> {
    let number = text.parse::<f64>().ok().filter(|_| text.contains(['e', 'E', '.']))?;
    (number.fract() == 0.0 && number.abs() < 9e15).then(|| format!("{number:.0}"))
}

fn milliseconds(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "s" | "sec" => 1_000,
        "m" | "min" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "w" | "week" | "weeks" => 604_800_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::yaml::Origin;

    fn said(key: &str, value: &str) -> String {
        let value = Placed { value: value.to_owned(), place: Origin::new("x").place(1, 1) };
        match opinion(key, &value) {
            Opinion::Fine => String::new(),
            Opinion::Note(fault) => format!("note: {fault}"),
            Opinion::Unknown(fault) => format!("unknown: {fault}"),
            Opinion::Fault(fault) => fault.to_string(),
        }
    }

    #[test]
    fn the_table_has_every_version_and_is_sorted() {
        assert!(KEYS.is_sorted_by(|one, two| one.name < two.name));
        assert!(
            KEYS.iter().all(|key| !key.spans.is_empty() && key.spans.is_sorted_by(|one, two| one.until < two.since))
        );
        assert_eq!(KEYS.iter().flat_map(|key| key.spans).map(|span| span.since).min(), Some((2, 4)));
        assert!(NEWEST >= (4, 4) && KEYS.len() >= 36, "{}", KEYS.len());
        assert_eq!(find("retention.ms").unwrap().broker, "log.retention.ms");
    }

    #[test]
    fn values_that_no_broker_takes_are_told_with_what_was_meant() {
        for (key, value) in [
            ("retention.ms", "604800000"),
            ("retention.ms", " -1 "),
            ("preallocate", "TRUE"),
            ("min.cleanable.dirty.ratio", "0.50"),
            ("cleanup.policy", "delete, compact"),
            ("cleanup.policy", "none"),
        ] {
            assert_eq!(said(key, value), "", "{key}: {value}");
        }
        assert_eq!(
            said("retention.ms", "7d"),
            "x:1:1: `retention.ms` must be a whole number of milliseconds, found `7d` (`7d` is 604800000)"
        );
        assert!(said("segment.bytes", "1GiB").ends_with("(`1GiB` is 1073741824)"), "{}", said("segment.bytes", "1GiB"));
        assert!(said("preallocate", "yes").ends_with("(`yes` is true)"));
        assert!(said("retention.ms", "604,800,000").ends_with("(`604,800,000` is 604800000)"));
        assert!(said("min.insync.replicas", "two").contains("must be a whole number"));
        let helm = said("retention.ms", "6.048e+08");
        assert!(helm.ends_with("(Helm writes large numbers so: quote it in the values, as \"604800000\")"), "{helm}");
    }

    #[test]
    fn enumerations_ranges_and_lists_are_those_of_kafka() {
        for (key, value, words) in [
            (
                "cleanup.policy",
                "compcat",
                "must be one or more of compact, delete, found `compcat` (did you mean `compact`?)",
            ),
            ("cleanup.policy", "", "(write `none` to keep all records for ever, which Kafka takes from 4.2 on)"),
            ("compression.type", "gzp", "(did you mean `gzip`?)"),
            ("message.timestamp.type", "createtime", "(did you mean `CreateTime`?)"),
            ("min.cleanable.dirty.ratio", "50", "must be from 0 to 1, found `50` (50 % is 0.5)"),
            ("retention.ms", "-5", "must be -1 or more, found `-5`"),
            ("min.insync.replicas", "0", "must be 1 or more, found `0`"),
            ("segment.bytes", "10", "or more, found `10`"),
            ("max.message.bytes", "-1", "must be 0 or more, found `-1`"),
        ] {
            let said = said(key, value);
            assert!(said.starts_with("x:1:1: ") && said.ends_with(words), "{key}: {said}");
        }
        let some = said("segment.bytes", "1000");
        assert!(some.starts_with("note: ") && some.contains("and later want 1048576 or more"), "{some}");
    }

    #[test]
    fn a_key_of_brokers_is_told_with_the_topics_key_and_value() {
        let hint = |key: &str, value: &str| said(key, value);
        assert_eq!(
            hint("log.retention.hours", "168"),
            "x:1:1: `log.retention.hours` is a broker's key, not a topic's (write `retention.ms: 604800000`)"
        );
        assert!(hint("log.retention.minutes", "1440").ends_with("(write `retention.ms: 86400000`)"));
        assert!(hint("log.cleanup.policy", "compact").ends_with("(write `cleanup.policy: compact`)"));
        assert!(hint("message.max.bytes", "2000000").ends_with("(write `max.message.bytes: 2000000`)"));
        assert!(hint("retention.hours", "-1").ends_with("(write `retention.ms: -1`)"));
        assert!(hint("log.segment.bytes", "1048576").ends_with("(write `segment.bytes: 1048576`)"));
        assert!(hint("num.partitions", "36").ends_with("(it is the field `partitions` of a topic, beside `config`)"));
        assert!(hint("delete_retention_ms", "-1").ends_with("(did you mean `delete.retention.ms`?)"));
    }

    #[test]
    fn a_key_that_kafka_removed_is_told_with_its_version_and_successor() {
        let said = said("message.timestamp.difference.max.ms", "9");
        assert!(said.starts_with("note: x:1:1: Kafka 3.9 is the last that has"), "{said}");
        assert!(said.contains("message.timestamp.before.max.ms"), "{said}");
    }

    #[test]
    fn a_key_that_is_not_known_is_named_with_the_nearest() {
        let near = said("retention.mss", "1");
        assert!(near.starts_with("unknown: ") && near.ends_with("(did you mean `retention.ms`?)"), "{near}");
        assert!(said("confluent.value.schema.validation", "true").starts_with("unknown: "));
    }
}
