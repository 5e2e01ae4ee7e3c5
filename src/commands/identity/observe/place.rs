//! The pod, its claim, its node, the registry, and the answers to what the decision asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep, timeout_at};

use crate::clients::files;
use crate::clients::kafka::Kafka;
use crate::clients::kubernetes::{Facts, Kubernetes, KubernetesError, ObjectName, Resource};
use crate::cluster::metadata::{Metadata, TopicSelection};
use crate::cluster::topic::Topic;
use crate::commands::identity::plan::cluster::{Eligible, listed};
use crate::commands::identity::plan::{
    Claim, ClusterSeen, Halt, Me, NodeSeen, POD_LABEL, PodSeen, Question, Registry, Seen, Terms, Traces, decide,
    node_label,
};
use crate::commands::identity::spec::name::ordinal;
use crate::state::patience::pause;

/// Most questions of one decision: each other pod and the cluster are asked for once.
const QUESTIONS_MAX: usize = 16;

/// Most other pods of the StatefulSet that are looked at.
const SIBLINGS_MAX: usize = 32;

/// Of these, so many at once.
const SIBLINGS_AT_ONCE: usize = 8;

/// How often the node is asked for while the API server is in trouble.
const NODE_TRIES_MAX: usize = 5;

/// Longest output file that is compared.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// Where to look.
#[derive(Debug, Clone)]
pub struct Places {
    /// Log dirs, or the data dir.
    pub folders: Vec<PathBuf>,
    /// The claim's name.
    pub claim: Option<String>,
    /// The label of nodes and pods that names the zone.
    pub rack_label: String,
    /// The folder of the output files.
    pub out: PathBuf,
}

/// Whom to ask.
pub struct Reader {
    /// The API server; none outside Kubernetes.
    pub kubernetes: Option<Arc<dyn Kubernetes>>,
    /// The cluster; none where no flag says how to reach it.
    pub kafka: Option<Arc<dyn Kafka>>,
    /// Until when the cluster is waited for; none waits as long as its client does.
    pub until: Option<Instant>,
}

impl Reader {
    /// Everything that a decision needs, with the answers to what it asks.
    pub async fn observe(&self, terms: &Terms, places: &Places, me: Me, registry: Registry) -> anyhow::Result<Seen> {
        let mut seen = Seen {
            folders: super::folders(terms.kind, &places.folders).await,
            claim: self.claim(places).await?,
            node: self.node(terms, places, &me).await,
            pod_label: self.pod_label(terms, &me).await?,
            outputs: outputs(&places.out),
            registry,
            me,
            ..Seen::default()
        };
        for _ in 0..QUESTIONS_MAX {
            match decide(terms, &seen) {
                Err(Halt::Ask(Question::Pod(name))) => {
                    let answer = self.pod(&name).await;
                    seen.pods.insert(name, answer);
                }
                Err(Halt::Ask(Question::Traces)) => seen.traces = self.traces(terms, &seen).await,
                Err(Halt::Ask(Question::Cluster)) => seen.cluster = self.cluster().await,
                _ => break,
            }
        }
        Ok(seen)
    }

    async fn facts(&self, resource: Resource, name: &str) -> Result<Option<Facts>, KubernetesError> {
        let Some(kubernetes) = &self.kubernetes else { return Ok(None) };
        let namespace = if resource == Resource::Nodes { "" } else { kubernetes.identity().namespace.as_str() };
        kubernetes.facts(resource, &ObjectName::new(namespace, name)).await
    }

    /// The claim was named: what can't be read there stops the start.
    async fn claim(&self, places: &Places) -> anyhow::Result<Option<Claim>> {
        let Some(name) = places.claim.as_ref().filter(|_| self.kubernetes.is_some()) else { return Ok(None) };
        let found = self.facts(Resource::Claims, name).await?;
        let facts = found.ok_or_else(|| anyhow::anyhow!("there is no claim {name}, which --claim names"))?;
        let broker_id = facts.annotations.get(POD_LABEL).cloned();
        Ok(Some(Claim { name: name.clone(), volume: facts.volume, broker_id }))
    }

    /// The node's labels. Reading nodes takes a right in the whole cluster: without it the node has no label for us, and where nobody
    /// needs the rack, or wants the node labelled, that is usual.
    async fn node(&self, terms: &Terms, places: &Places, me: &Me) -> NodeSeen {
        let is_empty = |text: &Option<String>| text.as_deref().is_none_or(|text| text.trim().is_empty());
        let needs_rack = terms.kind == crate::commands::identity::plan::Kind::Kafka && is_empty(&me.pod_rack);
        let Some(name) = me.node.as_ref().filter(|_| self.kubernetes.is_some()) else { return NodeSeen::NotRead };
        let mut found = self.facts(Resource::Nodes, name).await;
        for _ in 1..NODE_TRIES_MAX {
            let is_late = self.until.is_some_and(|until| Instant::now() >= until);
            if is_late || !found.as_ref().is_err_and(KubernetesError::is_passing) {
                break;
            }
            sleep(pause()).await;
            found = self.facts(Resource::Nodes, name).await;
        }
        match found {
            Ok(Some(facts)) => NodeSeen::Labels {
                zone: facts.labels.get(&places.rack_label).cloned(),
                broker_id: facts.labels.get(&node_label(&terms.map)).cloned(),
                uid: facts.uid,
            },
            Ok(None) => NodeSeen::Unlabelled(format!("there is no node {name}")),
            Err(error @ KubernetesError::Forbidden { .. }) if !needs_rack && !terms.label_node => {
                tracing::debug!("the node's label is not known: {error}");
                NodeSeen::NotRead
            }
            Err(error @ KubernetesError::Forbidden { .. }) => NodeSeen::Unlabelled(error.to_string()),
            Err(error) => NodeSeen::Unreadable(error.to_string()),
        }
    }

    async fn pod_label(&self, terms: &Terms, me: &Me) -> anyhow::Result<Option<String>> {
        if !terms.label_pod {
            return Ok(None);
        }
        let found = self.facts(Resource::Pods, &me.pod).await?;
        Ok(found.and_then(|facts| facts.labels.get(POD_LABEL).cloned()))
    }

    async fn pod(&self, name: &str) -> PodSeen {
        if self.kubernetes.is_none() {
            return PodSeen::Unreadable("outside Kubernetes no pods can be looked up".to_owned());
        }
        match self.facts(Resource::Pods, name).await {
            Ok(Some(facts)) if !facts.has_ended => PodSeen::Running(facts.uid),
            Ok(_) => PodSeen::Gone,
            Err(error) => PodSeen::Unreadable(error.to_string()),
        }
    }

    /// Whether another pod of the StatefulSet, or its claim, shows that it had an id before this registry was begun: it runs, or is
    /// labelled, and has no entry.
    async fn traces(&self, terms: &Terms, seen: &Seen) -> Traces {
        if self.kubernetes.is_none() {
            return Traces::Nothing;
        }
        let siblings = siblings(&seen.me.pod, terms.ids.len().min(SIBLINGS_MAX));
        let claim = seen.claim.as_ref().map(|claim| claim.name.as_str());
        let asked = siblings.iter().map(|sibling| self.trace_of(sibling, claim, &seen.registry));
        let found: Vec<_> = stream::iter(asked).buffered(SIBLINGS_AT_ONCE).collect().await;
        found.into_iter().flatten().next().map_or(Traces::Nothing, Traces::Found)
    }

    async fn trace_of(&self, sibling: &Sibling, own_claim: Option<&str>, registry: &Registry) -> Option<String> {
        let pod = &sibling.pod;
        if registry.of_pod(pod).is_some() {
            return None;
        }
        match self.facts(Resource::Pods, pod).await {
            Ok(Some(facts)) if facts.labels.contains_key(POD_LABEL) => {
                return Some(format!("pod {pod} has the label {POD_LABEL}, and no entry in the registry"));
            }
            Ok(Some(facts)) if !facts.is_pending && !facts.has_ended => {
                return Some(format!("pod {pod} runs, and has no entry in the registry"));
            }
            Ok(_) => {}
            Err(error) => return Some(format!("whether pod {pod} runs can't be known ({error})")),
        }
        let claim = sibling.claim(own_claim?)?;
        match self.facts(Resource::Claims, &claim).await {
            Ok(Some(facts)) if facts.annotations.contains_key(POD_LABEL) => {
                Some(format!("claim {claim} has the annotation {POD_LABEL}, and its pod no entry in the registry"))
            }
            Ok(_) => None,
            Err(error) => {
                tracing::debug!("whether claim {claim} has an id is not known: {error}");
                None
            }
        }
    }

    async fn cluster(&self) -> ClusterSeen {
        let Some(until) = self.until else { return self.whole_cluster().await };
        let answer = timeout_at(until, self.whole_cluster()).await;
        answer.unwrap_or_else(|_| ClusterSeen::NoAnswer("no answer within --within".to_owned()))
    }

    async fn whole_cluster(&self) -> ClusterSeen {
        let Some(kafka) = &self.kafka else { return ClusterSeen::NotConfigured };
        match kafka.metadata(TopicSelection::All).await {
            Ok(metadata) => {
                let eligible = eligible(kafka.as_ref(), &metadata).await;
                ClusterSeen::Known(listed(&metadata, eligible.as_ref()))
            }
            Err(error) => ClusterSeen::NoAnswer(error.to_string()),
        }
    }
}

/// Another pod of the StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sibling {
    pod: String,
    /// Its ordinal, and that of the pod that asks.
    ordinals: [usize; 2],
}

impl Sibling {
    /// Its claim, by the name of the claim of the pod that asks, as `data-kafka-0`.
    fn claim(&self, own: &str) -> Option<String> {
        let [ordinal, own_ordinal] = self.ordinals;
        Some(format!("{}-{ordinal}", own.strip_suffix(&format!("-{own_ordinal}"))?))
    }
}

/// The pods with the first ordinals, without the one that asks; none where its name has no ordinal.
fn siblings(pod: &str, count: usize) -> Vec<Sibling> {
    let Ok(own) = ordinal(pod) else { return Vec::new() };
    let Some(set) = pod.strip_suffix(&own.to_string()) else { return Vec::new() };
    let one = |ordinal: usize| Sibling { pod: format!("{set}{ordinal}"), ordinals: [ordinal, own] };
    (0..count).filter(|ordinal| *ordinal != own).map(one).collect()
}

/// Who may lead the partitions that have nobody in sync; only these are asked for. None where brokers do not show it: then each
/// replica of such a partition counts as its last one.
async fn eligible(kafka: &dyn Kafka, metadata: &Metadata) -> Option<Eligible> {
    let is_asked = |topic: &&Topic| topic.partitions.iter().any(|partition| partition.isr.is_empty());
    let names: Vec<_> = metadata.topics.values().filter(is_asked).map(|topic| topic.name.clone()).collect();
    if names.is_empty() {
        return None;
    }
    kafka.eligible_leaders(&names).await.unwrap_or_else(|error| {
        tracing::warn!("which replicas may lead partitions without an ISR can't be read: {error}");
        None
    })
}

/// The output files of an earlier run. What can't be read is written again.
fn outputs(folder: &Path) -> BTreeMap<String, String> {
    const NAMES: [&str; 9] =
        ["broker.id", "env", "host.ip", "identity.json", "map", "myid", "node.name", "overrides.properties", "rack.id"];
    let read = |name: &str| Some((name.to_owned(), files::read_text(&folder.join(name), OUTPUT_BYTES_MAX).ok()?));
    NAMES.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::kafka::memory::{Call, Memory};
    use crate::cluster::broker::BrokerId;
    use crate::cluster::topic::TopicName;

    /// The brokers that have the last replica of a partition whose ISR is empty and whose eligible leaders are these.
    async fn last(kafka: Memory, eligible: &[i32]) -> Vec<BrokerId> {
        let name = TopicName::new("orders").unwrap();
        kafka.edit(|cluster| {
            let partition = &mut cluster.topics.get_mut(&name).unwrap().partitions[0];
            (partition.leader, partition.isr) = (None, Vec::new());
            partition.eligible = eligible.iter().copied().map(BrokerId).collect();
        });
        let reader = Reader { kubernetes: None, kafka: Some(Arc::new(kafka)), until: None };
        match reader.cluster().await {
            ClusterSeen::Known(listed) => listed.last.into_keys().collect(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn eligible_leaders_count_where_the_cluster_offers_them() {
        let kafka = || Memory::kraft(3).topic("orders", &[&[1, 2, 3]]).topic("bills", &[&[1, 2]]);
        assert_eq!(last(kafka(), &[2]).await, [BrokerId(2)]);
        assert_eq!(last(kafka(), &[1, 3]).await, [], "each of the two can be spared");
        let every = [BrokerId(1), BrokerId(2), BrokerId(3)];
        assert_eq!(last(kafka(), &[]).await, every, "nobody is known to have all records");
        let refused = crate::clients::kafka::KafkaError::broker(29, None);
        let silent = kafka().failing(Call::DescribeTopicPartitions, 1, refused);
        assert_eq!(last(silent, &[2]).await, every, "what can't be read counts as the last one");
        let old = Memory::zookeeper(3).topic("orders", &[&[1, 2, 3]]);
        assert_eq!(last(old, &[]).await, every);
    }

    #[test]
    fn the_other_pods_and_claims_of_a_stateful_set_are_named_by_their_ordinals() {
        let found = siblings("kafka-map1-1", 3);
        assert_eq!(found.iter().map(|it| it.pod.as_str()).collect::<Vec<_>>(), ["kafka-map1-0", "kafka-map1-2"]);
        assert_eq!(found[1].claim("data-kafka-map1-1").as_deref(), Some("data-kafka-map1-2"));
        assert_eq!(found[1].claim("mine"), None);
        assert!(siblings("kafka", 3).is_empty() && siblings("kafka-01", 3).is_empty());
    }

    #[tokio::test]
    async fn a_cluster_in_sync_is_not_asked_for_eligible_leaders() {
        let kafka = Arc::new(Memory::kraft(3).topic("orders", &[&[1, 2, 3]]));
        let reader = Reader { kubernetes: None, kafka: Some(Arc::clone(&kafka) as Arc<dyn Kafka>), until: None };
        assert!(matches!(reader.cluster().await, ClusterSeen::Known(_)));
        assert_eq!(kafka.calls(), [Call::Metadata]);
    }
}
