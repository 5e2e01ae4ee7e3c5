//! Kafka's topic config keys and the form of their values, as far as every broker agrees: what is wrong without asking one.
//!
//! A key that is not listed is only a note: a newer broker or a vendor's may know it, and the cluster is asked anyway.

use crate::cluster::size::Bytes;
use crate::commands::topics::spec::Placed;
use crate::formats::place::Fault;
use crate::formats::suggest::nearest;
use crate::formats::yaml::short;

/// What the values of a key look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A whole number of milliseconds.
    Milliseconds,
    /// A whole number of bytes.
    Bytes,
    /// Another whole number.
    Whole,
    /// A number that may have a fraction.
    Fraction,
    /// `true` or `false`.
    Flag,
    /// A text whose rules the broker knows.
    Text,
    /// A list that belongs to running moves of replicas.
    ThrottleList,
}

/// Keys of Kafka 2.4 to 4.3.
const KEYS: &[(&str, Form)] = &[
    ("cleanup.policy", Form::Text),
    ("compression.gzip.level", Form::Whole),
    ("compression.lz4.level", Form::Whole),
    ("compression.type", Form::Text),
    ("compression.zstd.level", Form::Whole),
    ("delete.retention.ms", Form::Milliseconds),
    ("file.delete.delay.ms", Form::Milliseconds),
    ("flush.messages", Form::Whole),
    ("flush.ms", Form::Milliseconds),
    ("follower.replication.throttled.replicas", Form::ThrottleList),
    ("index.interval.bytes", Form::Bytes),
    ("leader.replication.throttled.replicas", Form::ThrottleList),
    ("local.retention.bytes", Form::Bytes),
    ("local.retention.ms", Form::Milliseconds),
    ("max.compaction.lag.ms", Form::Milliseconds),
    ("max.message.bytes", Form::Bytes),
    ("message.downconversion.enable", Form::Flag),
    ("message.format.version", Form::Text),
    ("message.timestamp.after.max.ms", Form::Milliseconds),
    ("message.timestamp.before.max.ms", Form::Milliseconds),
    ("message.timestamp.difference.max.ms", Form::Milliseconds),
    ("message.timestamp.type", Form::Text),
    ("min.cleanable.dirty.ratio", Form::Fraction),
    ("min.compaction.lag.ms", Form::Milliseconds),
    ("min.insync.replicas", Form::Whole),
    ("preallocate", Form::Flag),
    ("remote.log.copy.disable", Form::Flag),
    ("remote.log.delete.on.disable", Form::Flag),
    ("remote.storage.enable", Form::Flag),
    ("retention.bytes", Form::Bytes),
    ("retention.ms", Form::Milliseconds),
    ("segment.bytes", Form::Bytes),
    ("segment.index.bytes", Form::Bytes),
    ("segment.jitter.ms", Form::Milliseconds),
    ("segment.ms", Form::Milliseconds),
    ("unclean.leader.election.enable", Form::Flag),
];

/// What every broker would say of a key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opinion {
    /// Nothing.
    Fine,
    /// It may be a slip, or a key of a broker that is not known here.
    Note(Fault),
    /// No broker takes it.
    Fault(Fault),
}

/// Looks at one key and its value.
pub(super) fn opinion(key: &str, value: &Placed<String>) -> Opinion {
    let Ok(index) = KEYS.binary_search_by(|(known, _)| (*known).cmp(key)) else {
        return unknown(key, value);
    };
    let text = value.value.trim();
    let form = KEYS[index].1;
    let (wanted, right) = match form {
        Form::Milliseconds => ("a whole number of milliseconds", is_whole(text)),
        Form::Bytes => ("a whole number of bytes", is_whole(text)),
        Form::Whole => ("a whole number", is_whole(text)),
        Form::Fraction => ("a number", text.parse::<f64>().is_ok_and(f64::is_finite)),
        Form::Flag => ("true or false", text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")),
        Form::Text => return Opinion::Fine,
        Form::ThrottleList => return throttle_list(key, value),
    };
    if right {
        return Opinion::Fine;
    }
    let fault = Fault::new(value.place.clone(), format!("`{key}` must be {wanted}, found `{}`", short(&value.value)));
    Opinion::Fault(match meant(form, text) {
        Some(meant) => fault.with_hint(format!("`{}` is {meant}", short(text))),
        None => fault,
    })
}

fn unknown(key: &str, value: &Placed<String>) -> Opinion {
    let key = short(key);
    let message = format!("`{key}` is no topic config key of Kafka 2.4 to 4.3; the cluster will be asked");
    let fault = Fault::new(value.place.clone(), message);
    Opinion::Note(match nearest(&key, KEYS.iter().map(|(known, _)| *known)) {
        Some(meant) => fault.with_hint(format!("did you mean `{meant}`?")),
        None => fault,
    })
}

fn throttle_list(key: &str, value: &Placed<String>) -> Opinion {
    let message = format!("`{key}` belongs to running moves of replicas and can't be declared");
    Opinion::Fault(Fault::new(value.place.clone(), message).with_hint("remove the line"))
}

fn is_whole(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

/// The number that a person may have meant by a text with a unit.
fn meant(form: Form, text: &str) -> Option<String> {
    let digits = text.replace([',', '_', ' '], "");
    if form != Form::Fraction && digits != text && is_whole(&digits) {
        return Some(digits);
    }
    match form {
        Form::Milliseconds => milliseconds(text).map(|number| number.to_string()),
        Form::Bytes => text.parse::<Bytes>().ok().map(|size| size.0.to_string()),
        Form::Flag => match &*text.to_lowercase() {
            "yes" | "on" | "1" => Some("true".into()),
            "no" | "off" | "0" => Some("false".into()),
            _ => None,
        },
        _ => None,
    }
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
            Opinion::Fault(fault) => fault.to_string(),
        }
    }

    #[test]
    fn the_keys_are_sorted_so_that_they_are_found() {
        assert!(KEYS.is_sorted_by(|one, two| one.0 < two.0));
    }

    #[test]
    fn values_that_no_broker_takes_are_told_with_what_was_meant() {
        assert_eq!(said("retention.ms", "604800000"), "");
        assert_eq!(said("retention.ms", " -1 "), "");
        assert_eq!(said("preallocate", "TRUE"), "");
        assert_eq!(said("min.cleanable.dirty.ratio", "0.50"), "");
        assert_eq!(
            said("retention.ms", "7d"),
            "x:1:1: `retention.ms` must be a whole number of milliseconds, found `7d` (`7d` is 604800000)"
        );
        assert!(said("segment.bytes", "1GiB").ends_with("(`1GiB` is 1073741824)"), "{}", said("segment.bytes", "1GiB"));
        assert!(said("preallocate", "yes").ends_with("(`yes` is true)"));
        assert!(said("retention.ms", "1e3").ends_with("found `1e3`"));
        assert!(said("retention.ms", "604,800,000").ends_with("(`604,800,000` is 604800000)"));
        assert!(said("min.insync.replicas", "two").contains("must be a whole number"));
    }

    #[test]
    fn a_key_that_is_not_known_is_a_note_only() {
        assert!(said("retention.mss", "1").starts_with("note: "));
        assert!(said("retention.mss", "1").ends_with("(did you mean `retention.ms`?)"));
        assert!(said("confluent.value.schema.validation", "true").ends_with("the cluster will be asked"));
    }
}
