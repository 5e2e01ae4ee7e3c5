//! Which cluster documents are meant for: Strimzi's label `strimzi.io/cluster`, topicctl's `meta.cluster` and
//! `meta.environment`. One run changes one cluster, so documents of two are a fault.

use std::collections::BTreeMap;

use crate::commands::topics::spec::{Spec, TopicSpec};
use crate::formats::place::{Fault, Place};
use crate::formats::yaml::short;

/// Labels that name the cluster, and how a person knows each.
const LABELS: [(&str, &str); 3] = [
    ("strimzi.io/cluster", "the label strimzi.io/cluster"),
    ("topicctl/cluster", "meta.cluster"),
    ("topicctl/environment", "meta.environment"),
];

/// Of [`LABELS`], those that `--cluster` must agree with.
const NAMES: [&str; 2] = ["strimzi.io/cluster", "topicctl/cluster"];

/// One fault for each cluster beside the first that is named.
pub(super) fn faults(topics: &[&TopicSpec]) -> Vec<Fault> {
    LABELS.iter().flat_map(|(label, what)| faults_of(topics, label, what)).collect()
}

fn faults_of(topics: &[&TopicSpec], label: &str, what: &str) -> Vec<Fault> {
    let mut named: BTreeMap<&str, (&TopicSpec, usize)> = BTreeMap::new();
    for topic in topics.iter().copied() {
        let Some(cluster) = topic.labels.get(label) else { continue };
        let (first, count) = named.entry(cluster).or_insert((topic, 0));
        *count += 1;
        if topic.name.place < first.name.place {
            *first = topic;
        }
    }
    let mut named: Vec<_> = named.into_iter().collect();
    named.sort_by(|(_, (one, _)), (_, (other, _))| one.name.place.cmp(&other.name.place));
    let Some((first, (at, _))) = named.first().copied() else { return Vec::new() };
    let fault = |(cluster, (topic, count)): &(&str, (&TopicSpec, usize))| {
        let more = if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        let message = format!(
            "topic `{}`{more}: {what} is `{}`, and that of topic `{}` is `{}`: one run changes one cluster",
            topic.name.value,
            short(cluster),
            at.name.value,
            short(first)
        );
        let hint = format!("that is at {}; apply the documents of each cluster on their own", at.name.place);
        Fault::new(topic.name.place.clone(), message).with_hint(hint)
    };
    named.iter().skip(1).map(fault).collect()
}

impl Spec {
    /// A cluster that documents name and that is not the one of `--cluster`: its name, and where.
    pub fn other_cluster(&self, cluster: &str) -> Option<(String, &Place)> {
        self.topics.values().find_map(|topic| {
            let named = NAMES.iter().filter_map(|label| topic.labels.get(*label)).find(|named| *named != cluster)?;
            Some((named.clone(), &topic.name.place))
        })
    }
}
