//! Partitions alone, as kafka-leader-election takes them: `{"partitions":[{"topic":…,"partition":…},…]}`.

use serde::Deserialize;

use crate::cluster::topic::TopicPartition;
use crate::formats::place::Faults;
use crate::formats::reassignment_json::{Checks, decode, parse};
use crate::formats::source::Source;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    partitions: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    topic: String,
    partition: i64,
}

/// Reads a file of partitions, in the order in which they stand in it.
pub fn read_partitions(source: &Source) -> Result<Vec<TopicPartition>, Faults> {
    let text = decode(source)?;
    let file: File = parse(source, text)?;
    let mut checks = Checks::new(source, text, "partitions");
    if file.partitions.is_empty() {
        checks.fault_of_file("it names no partition".into());
    }
    let entries = file.partitions.iter().enumerate();
    let partitions: Vec<_> =
        entries.filter_map(|(index, entry)| checks.partition(index, &entry.topic, entry.partition)).collect();
    checks.end().map(|()| partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let partitions = read_partitions(&Source::new("partitions.json", text)).map_err(|faults| faults.to_string())?;
        Ok(partitions.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_file_of_kafka_leader_election_is_read_in_its_order() {
        let text = r#"{"partitions": [{"topic": "orders", "partition": 1}, {"topic": "bills", "partition": 0}]}"#;
        assert_eq!(read(text), Ok(vec!["orders-1".into(), "bills-0".into()]));
    }

    #[test]
    fn every_fault_of_a_file_of_partitions_has_its_place() {
        let twice = "{\"partitions\": [{\"topic\": \"orders\", \"partition\": 1},\n\
                     {\"topic\": \"orders\", \"partition\": 1}, {\"topic\": \"orders\", \"partition\": -1}]}";
        let faults = read(twice).unwrap_err();
        assert!(faults.contains("partitions.json:2:1") && faults.contains("orders-1 is listed twice"), "{faults}");
        assert!(faults.contains("orders has no partition -1"), "{faults}");
        assert!(read("{\"partitions\": []}").unwrap_err().contains("names no partition"));
        for text in ["", "[]", "{}", "{\"partitions\": [{\"topic\": \"a\", \"partition\": 0, \"replicas\": [1]}]}"] {
            assert!(read(text).unwrap_err().contains("not the JSON that was expected"), "{text}");
        }
    }
}
