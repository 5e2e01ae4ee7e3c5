//! Sizes from the two files that kafka-kit's metricsfetcher keeps in ZooKeeper, plain or gzipped:
//! `partitionmeta` `{"TOPIC":{"PARTITION":{"Size":BYTES}}}`, the largest replica of each partition, and
//! `brokermetrics` `{"BROKER":{"StorageFree":BYTES}}`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::clients::files;
use crate::cluster::broker::BrokerId;
use crate::cluster::topic::TopicName;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::observe::given::{self, bytes, shown_age};
use crate::exit::Stop;
use crate::formats::json;

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
    given::set_sizes(observed, |topic, number, _| {
        let known = sizes.get(topic.as_str())?.get(&number.to_string())?;
        bytes(known.size)
    });
    Ok(())
}

fn set_storage(observed: &mut Observed, path: &Path, storage: &BTreeMap<String, BrokerStorage>) -> Result<(), Stop> {
    let mut free = BTreeMap::new();
    for (id, one) in storage {
        let parsed = id.parse::<BrokerId>().map_err(|error| wrong(path, &error))?;
        let wrong = || wrong(path, &format!("broker {id} has {} bytes free: that cannot be", one.free));
        free.insert(parsed, bytes(one.free).ok_or_else(wrong)?);
    }
    given::set_storage(observed, &free, &path.display().to_string());
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path, now: Timestamp, age_max: Duration) -> Result<FromFile<T>, Stop> {
    let failed = |error: std::io::Error| Stop::usage(format!("failed to read {}: {error}", path.display()));
    let mut file = files::open(path).map_err(failed)?;
    let modified = file.file().metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
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
        let words = json::words(&error, &String::from_utf8_lossy(&text));
        Stop::usage(format!("{place}: this is not what kafka-kit's metricsfetcher writes: {words}"))
    })?;
    Ok(FromFile { value, shown: format!("{} ({} old when it was read)", path.display(), shown_age(age)) })
}

fn wrong(path: &Path, words: &str) -> Stop {
    Stop::usage(format!("{}: this is not what kafka-kit's metricsfetcher writes: {words}", path.display()))
}
