//! Builds observations and specs for tests, as short as they can be read.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::cluster::broker::{Broker, BrokerId, Rack};
use crate::cluster::config::{ConfigEntry, ConfigSource};
use crate::cluster::topic::{Partition, Topic, TopicName};
use crate::commands::mapping::observe as mapping;
use crate::commands::topics::observe::{BrokerDefaults, Observed, Use};
use crate::commands::topics::plan::defaults::Defaults;
use crate::commands::topics::plan::effects::Held;
use crate::commands::topics::plan::last::{Applied, LastApplied};
use crate::commands::topics::plan::step::ConfigEdit;
use crate::commands::topics::plan::{Options, Planned, TopicStep, plan};
use crate::commands::topics::spec::{self, Format, Spec};
use crate::formats::source::Source;

pub(super) fn name(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

/// A spec; the text stands under `topics:`.
pub(super) fn spec(text: &str) -> Spec {
    let lines: Vec<_> = text.lines().map(|line| format!("  {line}")).collect();
    spec::parse(&[Source::new("s.yaml", format!("topics:\n{}\n", lines.join("\n")))], Format::Auto).unwrap()
}

/// Live brokers, each with the rack that is named after `@`: `1@a 2@b 3`.
pub(super) fn cluster(brokers: &str) -> Observed {
    let defaults = [("retention.ms", "604800000"), ("retention.bytes", "-1"), ("cleanup.policy", "delete")];
    let defaults = defaults.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut observed = Observed {
        broker_defaults: Some(BrokerDefaults::default()),
        topic_defaults: Some(Defaults::of(&[defaults.into()])),
        ..Observed::default()
    };
    for word in brokers.split_whitespace() {
        let (id, rack) = word.split_once('@').map_or((word, None), |(id, rack)| (id, Some(Rack(rack.to_owned()))));
        let id = BrokerId(id.parse().unwrap());
        observed.metadata.brokers.insert(id, Broker { id, host: format!("b{id}"), port: 9092, rack });
    }
    observed
}

pub(super) fn ids(replicas: &[i32]) -> Vec<BrokerId> {
    replicas.iter().copied().map(BrokerId).collect()
}

impl Observed {
    /// A topic with these replicas, all in sync; `config` is what is set on it. Two keys of the brokers hold beside.
    pub(super) fn topic(mut self, topic: &str, replicas: &[&[i32]], config: &[(&str, &str)]) -> Self {
        let partitions = (0..).zip(replicas).map(|(partition, replicas)| Partition {
            partition,
            leader: Some(BrokerId(replicas[0])),
            replicas: ids(replicas),
            isr: ids(replicas),
            offline: Vec::new(),
        });
        let topic =
            Topic { name: name(topic), internal: topic.starts_with("__"), id: None, partitions: partitions.collect() };
        let entry = |key: &str, value: &str, source| ConfigEntry {
            name: key.to_owned(),
            value: Some(value.to_owned()),
            source,
            sensitive: false,
            read_only: false,
        };
        let defaults = [
            ("cleanup.policy", "delete"),
            ("min.insync.replicas", "1"),
            ("retention.ms", "604800000"),
            ("segment.ms", "604800000"),
        ];
        let mut entries: BTreeMap<_, _> =
            defaults.iter().map(|(key, value)| ((*key).to_owned(), entry(key, value, ConfigSource::Default))).collect();
        entries.extend(config.iter().map(|(key, value)| ((*key).to_owned(), entry(key, value, ConfigSource::Topic))));
        self.configs.insert(topic.name.clone(), entries.into_values().collect());
        self.logs.insert(topic.name.clone(), vec![(0, 0); topic.partitions.len()]);
        self.metadata.topics.insert(topic.name.clone(), topic);
        self
    }

    /// The brokers were asked what they hold: so many bytes in each replica of this topic.
    pub(super) fn holding(mut self, topic: &str, bytes: u64) -> Self {
        let brokers = self.metadata.brokers.values().map(|broker| {
            let observed = mapping::ObservedBroker { live: true, rack: broker.rack.clone(), ..Default::default() };
            (broker.id, observed)
        });
        let partitions = self.metadata.topics[&name(topic)].partitions.iter().map(|one| mapping::ObservedPartition {
            leader: one.leader,
            replicas: one.replicas.clone(),
            bytes: vec![bytes; one.replicas.len()],
            ..Default::default()
        });
        let held = mapping::ObservedTopic { partitions: partitions.collect(), ..Default::default() };
        let placement = self.placement.get_or_insert_default();
        placement.brokers = brokers.collect();
        placement.topics.insert(name(topic), held);
        self
    }

    /// What was last applied to a topic.
    pub(super) fn applied(mut self, topic: &str, config: &[(&str, &str)]) -> Self {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let last = self.last_applied.get_or_insert_with(LastApplied::default);
        last.topics.insert(name(topic), Applied { config, ..Applied::default() });
        self
    }

    /// Who uses a topic.
    pub(super) fn used(mut self, topic: &str, one: Use) -> Self {
        self.uses.insert(name(topic), one);
        self
    }

    /// How many records a topic has, and how many of them are older than the retention that will hold.
    pub(super) fn with_records(mut self, topic: &str, records: u64, records_older: Option<u64>) -> Self {
        self.held.insert(name(topic), Held { records: Some(records), records_older, ..Held::default() });
        self
    }

    /// The cluster after the steps were carried out.
    pub(super) fn after(mut self, steps: &[TopicStep]) -> Self {
        for step in steps {
            let topic = step.name().to_string();
            match step {
                TopicStep::Create { assignment, config, .. } => {
                    let replicas: Vec<Vec<i32>> =
                        assignment.iter().map(|ids| ids.iter().map(|id| id.0).collect()).collect();
                    let replicas: Vec<&[i32]> = replicas.iter().map(Vec::as_slice).collect();
                    let config: Vec<_> = config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
                    self = self.topic(&topic, &replicas, &config);
                }
                TopicStep::AddPartitions { assignment, .. } => {
                    let partitions = &mut self.metadata.topics.get_mut(step.name()).unwrap().partitions;
                    for replicas in assignment {
                        let partition = i32::try_from(partitions.len()).unwrap();
                        let (leader, isr) = (Some(replicas[0]), replicas.clone());
                        partitions.push(Partition {
                            partition,
                            leader,
                            replicas: replicas.clone(),
                            isr,
                            offline: vec![],
                        });
                    }
                }
                TopicStep::SetConfig { edits, .. } => {
                    let entries = self.configs.get_mut(step.name()).unwrap();
                    for edit in edits {
                        set(entries, edit);
                    }
                }
                TopicStep::ChangeReplicas { name, moves, .. } => {
                    let partitions = &mut self.metadata.topics.get_mut(name).unwrap().partitions;
                    for one in moves {
                        let partition = &mut partitions[usize::try_from(one.partition.partition).unwrap()];
                        assert_eq!(partition.replicas, one.from, "the base of a move is what is there");
                        partition.replicas.clone_from(&one.to);
                        partition.isr.clone_from(&one.to);
                        partition.leader = one.to.first().copied();
                    }
                }
                TopicStep::TakeOwnership { name, .. } => drop(self.declared_by_others.remove(name)),
                TopicStep::Delete { name, .. } => {
                    self.metadata.topics.remove(name);
                    self.configs.remove(name);
                }
            }
        }
        self
    }
}

fn set(entries: &mut Vec<ConfigEntry>, edit: &ConfigEdit) {
    entries.retain(|entry| entry.name != edit.key);
    entries.push(ConfigEntry {
        name: edit.key.clone(),
        value: Some(edit.to.clone().unwrap_or_else(|| "default".to_owned())),
        source: if edit.to.is_some() { ConfigSource::Topic } else { ConfigSource::Default },
        sensitive: false,
        read_only: false,
    });
}

/// Plans with the default options.
pub(super) fn planned(text: &str, observed: &Observed) -> Planned {
    plan(&spec(text), observed, &options())
}

pub(super) fn options() -> Options {
    Options {
        max_deletes: 5,
        min_idle: "7d".to_owned(),
        idle_since: Timestamp::from_second(1_000_000).ok(),
        ..Options::default()
    }
}

/// The lines of a plan, without the hint about a missing record.
pub(super) fn lines(text: &str, observed: &Observed) -> Vec<String> {
    let planned = planned(text, observed);
    assert_eq!(planned.faults, [], "no fault is expected");
    let text = crate::change::render::text(&planned.plan);
    let lines = text.lines().filter(|line| !line.starts_with("! there is no record"));
    lines.map(str::to_owned).collect()
}

/// The faults of a plan.
pub(super) fn faults(text: &str, observed: &Observed) -> Vec<String> {
    planned(text, observed).faults.iter().map(|(_, fault)| fault.to_string()).collect()
}
