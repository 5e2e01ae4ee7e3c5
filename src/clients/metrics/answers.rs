//! The answers of systems that measure brokers: bytes in, samples or what is wrong out. Pure.
//!
//! They are read into what is kept of them and nothing else: an answer costs a few times its size at most, whatever is in
//! it. What is not known is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// Longest answer that is read.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Most series of one answer. One that has more is refused: a part of it would look like the whole.
pub const SERIES_MAX: usize = 100_000;

/// Most warnings of one answer that are told.
const WARNINGS_MAX: usize = 10;

/// The newest value of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels or tags.
    pub labels: BTreeMap<String, String>,
    /// The value as it was answered; [`Sample::amount`] is what it means.
    pub value: f64,
    /// When it was measured.
    pub at: Timestamp,
}

impl Sample {
    /// The value, where it is an amount: finite and not below 0. NaN, the infinities (as of `histogram_quantile` without
    /// observations) and negative numbers are no value.
    pub fn amount(&self) -> Option<f64> {
        (self.value.is_finite() && self.value >= 0.0).then_some(self.value)
    }
}

/// Why an answer brings no samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The system says no, in these words.
    Refused(String),
    /// It is no answer to a query.
    Garbage(String),
}

impl From<serde_json::Error> for Wrong {
    fn from(error: serde_json::Error) -> Self {
        Self::Garbage(error.to_string())
    }
}

/// Prometheus's answer to an instant query, and its warnings.
pub fn prometheus(body: &[u8]) -> Result<(Vec<Sample>, Vec<String>), Wrong> {
    #[derive(Deserialize)]
    struct Head {
        status: Option<String>,
        error: Option<String>,
        warnings: Option<Few<String>>,
        data: Option<Kind>,
    }
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "resultType")]
        kind: Option<String>,
    }
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Data {
        result: Option<Bounded<Vector>>,
    }
    // What kind of result it is may stand behind the result.
    let head: Head = serde_json::from_slice(body)?;
    if head.status.as_deref() != Some("success") {
        return Err(Wrong::Refused(head.error.unwrap_or_else(|| "its status is not `success`".to_owned())));
    }
    let kind = head.data.and_then(|data| data.kind).unwrap_or_default();
    let wrong = || Wrong::Garbage(format!("an instant vector is expected, not `{kind}`"));
    if kind != "vector" {
        return Err(wrong());
    }
    let answer: Answer = serde_json::from_slice(body)?;
    let series = answer.data.and_then(|data| data.result).ok_or_else(wrong)?.within_limits()?;
    let samples = series.into_iter().map(Vector::sample).collect::<Option<Vec<_>>>();
    let samples = samples.ok_or_else(|| Wrong::Garbage("a series without a value".to_owned()))?;
    Ok((samples, head.warnings.map(|few| few.0).unwrap_or_default()))
}

/// One series of Prometheus.
#[derive(Deserialize)]
struct Vector {
    metric: Option<BTreeMap<String, String>>,
    value: Option<(f64, String)>,
}

impl Vector {
    fn sample(self) -> Option<Sample> {
        let (time, value) = self.value?;
        let value = value.parse().ok()?;
        Some(Sample { labels: self.metric?, value, at: timestamp(time * 1e3)? })
    }
}

/// Datadog's answer to a query: the newest value of each series that is not null.
pub fn datadog(body: &[u8]) -> Result<Vec<Sample>, Wrong> {
    #[derive(Deserialize)]
    struct Answer {
        status: Option<String>,
        error: Option<String>,
        series: Option<Bounded<Series>>,
    }
    let answer: Answer = serde_json::from_slice(body)?;
    // Datadog answers 200 to queries that failed.
    if answer.status.as_deref() != Some("ok") {
        return Err(Wrong::Refused(answer.error.unwrap_or_else(|| "its status is not `ok`".to_owned())));
    }
    let series = answer.series.ok_or_else(|| Wrong::Garbage("there is no `series`".to_owned()))?;
    Ok(series.within_limits()?.into_iter().filter_map(Series::newest).collect())
}

/// One series of Datadog.
#[derive(Deserialize)]
struct Series {
    scope: Option<String>,
    tag_set: Option<Vec<String>>,
    pointlist: Option<Newest>,
}

impl Series {
    fn newest(self) -> Option<Sample> {
        let (time, value) = self.pointlist?.0?;
        let (tags, scope) = (self.tag_set.unwrap_or_default(), self.scope.unwrap_or_default());
        let tags = tags.iter().map(String::as_str).chain(scope.split(','));
        let labels = tags.filter_map(|tag| tag.split_once(':')).map(|(key, value)| (key.to_owned(), value.to_owned()));
        Some(Sample { labels: labels.collect(), value, at: timestamp(time)? })
    }
}

/// What a system says of a question that it did not answer; none where it says nothing that is known.
pub fn refusal(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<String>,
        errors: Option<Few<String>>,
    }
    let Answer { error, errors } = serde_json::from_slice(body).ok()?;
    error.or_else(|| errors.map(|errors| errors.0.join("; "))).filter(|words| !words.is_empty())
}

#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
fn timestamp(milliseconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond(milliseconds as i64).ok()
}

/// A list of which [`SERIES_MAX`] items are kept and all are counted.
struct Bounded<T> {
    kept: Vec<T>,
    count: usize,
}

impl<T> Bounded<T> {
    fn within_limits(self) -> Result<Vec<T>, Wrong> {
        if self.count <= SERIES_MAX {
            return Ok(self.kept);
        }
        let count = self.count;
        Err(Wrong::Garbage(format!("{count} series, and at most {SERIES_MAX} are read: narrow the query")))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (kept, count) = deserializer.deserialize_seq(First { most: SERIES_MAX, item: PhantomData })?;
        Ok(Self { kept, count })
    }
}

/// The first [`WARNINGS_MAX`] of a list.
struct Few<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(deserializer.deserialize_seq(First { most: WARNINGS_MAX, item: PhantomData })?.0))
    }
}

/// Keeps the first items of a list and counts all.
struct First<T> {
    most: usize,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for First<T> {
    type Value = (Vec<T>, usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut kept, mut count) = (Vec::new(), 0);
        loop {
            if count < self.most {
                let Some(item) = list.next_element()? else { break };
                kept.push(item);
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
            count += 1;
        }
        Ok((kept, count))
    }
}

/// Of a list of points, the last one that has a time and a value: the last bucket is often still empty.
struct Newest(Option<(f64, f64)>);

impl<'de> Deserialize<'de> for Newest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Points;
        impl<'de> Visitor<'de> for Points {
            type Value = Newest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of points")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Newest, A::Error> {
                let mut newest = None;
                while let Some((Number(time), Number(value))) = list.next_element()? {
                    newest = time.zip(value).or(newest);
                }
                Ok(Newest(newest))
            }
        }
        deserializer.deserialize_seq(Points)
    }
}

/// A number, or something else, which is passed over.
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        #[expect(clippy::cast_precision_loss, reason = "an amount beyond 2^53 is not counted in ones")]
        impl<'de> Visitor<'de> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(Some(value)))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(Some(value as f64)))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(Some(value as f64)))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Number, E> {
                Ok(Number(None))
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Number, E> {
                Ok(Number(None))
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<Number, E> {
                Ok(Number(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Number, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Number(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Number, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Number(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(series: &str) -> String {
        format!(r#"{{"status":"success","data":{{"result":[{series}],"resultType":"vector"}}}}"#)
    }

    #[test]
    fn the_kind_of_a_result_may_stand_behind_it_and_what_is_unknown_is_passed_over() {
        let text = vector(r#"{"metric":{"broker_id":"1"},"value":[990.5,"5"],"histogram":[1,{"a":[]}]}"#);
        let (samples, warnings) = prometheus(text.as_bytes()).unwrap();
        assert_eq!((samples[0].value, samples[0].at.as_millisecond()), (5.0, 990_500));
        assert!(warnings.is_empty());
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;
        assert_eq!(
            prometheus(scalar.as_bytes()),
            Err(Wrong::Garbage("an instant vector is expected, not `scalar`".into()))
        );
    }

    #[test]
    fn the_newest_point_with_a_value_counts() {
        let text =
            r#"{"status":"ok","series":[{"scope":"a:b","pointlist":[[1.0,2],[2.0,3.5],[3.0,null],[4.0,"x"],[5,{}]]}]}"#;
        let samples = datadog(text.as_bytes()).unwrap();
        assert_eq!((samples[0].value, samples[0].at.as_millisecond()), (3.5, 2));
        assert_eq!(samples[0].labels["a"], "b");
    }

    #[test]
    fn of_an_answer_that_is_all_series_points_labels_or_warnings_little_is_kept() {
        let points = "[1,2],".repeat(ANSWER_BYTES_MAX / 6);
        let text = format!(r#"{{"status":"ok","series":[{{"pointlist":[{points}[9,9]]}}]}}"#);
        assert_eq!(datadog(text.as_bytes()).unwrap()[0].amount(), Some(9.0));
        let text = format!(r#"{{"status":"ok","series":[{}{{}}]}}"#, "{},".repeat(SERIES_MAX));
        assert!(matches!(datadog(text.as_bytes()), Err(Wrong::Garbage(words)) if words.starts_with("100001 series")));
        let text = format!(r#"{{"status":"x","warnings":[{}""],"error":"no"}}"#, "\"\",".repeat(1_000_000));
        assert_eq!(prometheus(text.as_bytes()), Err(Wrong::Refused("no".into())));
        let deep = format!(r#"{{"status":"ok","x":{}"#, "[".repeat(1_000_000));
        assert!(matches!(datadog(deep.as_bytes()), Err(Wrong::Garbage(_))), "no depth ends the process");
    }

    #[test]
    fn a_refusal_is_told_in_the_systems_words() {
        assert_eq!(refusal(br#"{"error":"bad query"}"#).as_deref(), Some("bad query"));
        assert_eq!(refusal(br#"{"errors":["a","b"]}"#).as_deref(), Some("a; b"));
        assert_eq!(refusal(b"<html>"), None);
        assert_eq!(refusal(b"{}"), None);
    }
}
