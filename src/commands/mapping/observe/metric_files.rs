//! Sizes from the two files that kafka-kit's metricsfetcher keeps in ZooKeeper, plain or gzipped:
//! `partitionmeta` `{"TOPIC":{"PARTITION":{"Size":BYTES}}}`, the largest replica of each partition, and
//! `brokermetrics` `{"BROKER":{"StorageFree":BYTES}}`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::LogDir;
use crate::cluster::topic::TopicName;
use crate::commands::mapping::observe::Observed;
use crate::exit::Stop;

/// Longest text that is read, unpacked.
const BYTES_MAX: u64 = 1 << 30;

#[derive(Deserialize)]
struct PartitionSize {
    #[serde(rename = "Size")]
    size: f64,
}

#[derive(Deserialize)]
struct BrokerStorage {
    #[serde(rename = "StorageFree")]
    free: f64,
}

/// A file and how old it is.
#[derive(Debug)]
struct FromFile<T> {
    value: T,
    shown: String,
}

/// Replaces the sizes of an observation by those of the files. A file that is older than `age_max` is refused.
pub fn overlay(
    observed: &mut Observed,
    partitions: Option<&Path>,
    brokers: Option<&Path>,
    (now, age_max): (Timestamp, Duration),
) -> Result<(), Stop> {
    let mut sources = Vec::new();
    if let Some(path) = partitions {
        let read = read::<BTreeMap<String, BTreeMap<String, PartitionSize>>>(path, now, age_max)?;
        set_sizes(observed, path, &read.value)?;
        sources.push(read.shown);
    }
    if let Some(path) = brokers {
        let read = read::<BTreeMap<String, BrokerStorage>>(path, now, age_max)?;
        set_storage(observed, path, &read.value)?;
        sources.push(read.shown);
    }
    match (partitions.is_some(), sources.is_empty()) {
        (_, true) => {}
        (true, false) => observed.sizes_from = sources.join(", "),
        (false, false) => observed.sizes_from = format!("{}, {}", observed.sizes_from, sources.join(", ")),
    }
    Ok(())
}

fn set_sizes(
    observed: &mut Observed,
    path: &Path,
    sizes: &BTreeMap<String, BTreeMap<String, PartitionSize>>,
) -> Result<(), Stop> {
    for (topic, partitions) in sizes {
        for (number, partition) in partitions {
            let size = bytes(partition.size);
            if number.parse::<usize>().is_err() || TopicName::new(topic).is_err() || size.is_none() {
                let words =
                    format!("topic `{topic}`, partition `{number}`, size {}: no such partition can be", partition.size);
                return Err(wrong(path, &words));
            }
        }
    }
    for (name, topic) in &mut observed.topics {
        let known = sizes.get(name.as_str());
        for (number, partition) in topic.partitions.iter_mut().enumerate() {
            let size = known.and_then(|known| known.get(&number.to_string()));
            partition.bytes = match size.and_then(|size| bytes(size.size)) {
                Some(size) => vec![size; partition.replicas.len()],
                None => Vec::new(),
            };
        }
    }
    Ok(())
}

fn set_storage(observed: &mut Observed, path: &Path, storage: &BTreeMap<String, BrokerStorage>) -> Result<(), Stop> {
    let mut held: BTreeMap<BrokerId, u64> = BTreeMap::new();
    for partition in observed.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
        // One number a broker says nothing about its log dirs.
        partition.log_dirs.clear();
        for (broker, bytes) in partition.replicas.iter().zip(&partition.bytes) {
            let sum = held.entry(*broker).or_default();
            *sum = sum.saturating_add(*bytes);
        }
    }
    for (id, one) in storage {
        let parsed = id.parse::<BrokerId>().map_err(|error| wrong(path, &error))?;
        let Some(free) = bytes(one.free) else {
            return Err(wrong(path, &format!("broker {id} has {} bytes free: that cannot be", one.free)));
        };
        let Some(broker) = observed.brokers.get_mut(&parsed) else { continue };
        let total = free.saturating_add(held.get(&parsed).copied().unwrap_or(0));
        let dir = LogDir { path: String::new(), total_bytes: Some(total), usable_bytes: Some(free), fault: None };
        broker.log_dirs = vec![dir];
        broker.missing = None;
    }
    for (id, broker) in &mut observed.brokers {
        if broker.live && !storage.contains_key(&id.to_string()) {
            broker.missing = Some(format!("{} does not name it", path.display()));
        }
    }
    Ok(())
}

/// Whole bytes; metrics are written as floating point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
fn bytes(count: f64) -> Option<u64> {
    (count.is_finite() && (0.0..1e18).contains(&count)).then_some(count as u64)
}

fn read<T: DeserializeOwned>(path: &Path, now: Timestamp, age_max: Duration) -> Result<FromFile<T>, Stop> {
    let failed = |error: std::io::Error| Stop::usage(format!("failed to read {}: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
    let modified = Timestamp::try_from(modified).map_err(|error| wrong(path, &error.to_string()))?;
    let age = now.duration_since(modified).max(SignedDuration::ZERO);
    if age.unsigned_abs() > age_max {
        return Err(Stop::refused(format!(
            "the sizes in {} are {} old, and a plan from old sizes fills disks: fetch them anew, or allow their age with \
             --metrics-age",
            path.display(),
            shown_age(age)
        )));
    }
    let mut text = Vec::new();
    file.by_ref().take(BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    if text.starts_with(&[0x1F, 0x8B]) {
        let packed = std::mem::take(&mut text);
        GzDecoder::new(&packed[..]).take(BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    }
    let value = serde_json::from_slice(&text).map_err(|error| {
        let place = format!("{}:{}:{}", path.display(), error.line(), error.column());
        Stop::usage(format!("{place}: this is not what kafka-kit's metricsfetcher writes: {error}"))
    })?;
    Ok(FromFile { value, shown: format!("{} ({} old when it was read)", path.display(), shown_age(age)) })
}

fn wrong(path: &Path, words: &str) -> Stop {
    Stop::usage(format!("{}: this is not what kafka-kit's metricsfetcher writes: {words}", path.display()))
}

/// An age in words: `5 s`, `12 min`, `3 h`, `2 d`.
pub fn shown_age(age: SignedDuration) -> String {
    let seconds = age.as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
