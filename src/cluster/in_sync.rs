//! Which replicas of one broker are in sync, which are not, and which of those the broker cannot mend by itself: what a
//! readiness probe waits for, and what a rolling restart looks at before it stops the next one.
//!
//! A broker's own metric of under-replicated partitions counts those that it leads, and one that came back leads nothing:
//! so every partition that lists the broker as a replica is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::{Metadata, Reassignment};
use crate::cluster::topic::{Partition, TopicName, TopicPartition};

/// Most partitions that are named one by one; the others are counted.
pub const NAMED_MAX: usize = 100;

/// What is known beside the metadata.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Moves that are running now. None where they could not be asked for.
    pub moves: Option<BTreeMap<TopicPartition, Reassignment>>,
    /// Replicas that can be elected though the ISR is empty (KIP-966), by partition.
    pub eligible: BTreeMap<TopicPartition, Vec<BrokerId>>,
    /// Topics that are being deleted.
    pub deleted: BTreeSet<TopicName>,
}

/// How one replica stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "standing")]
pub enum Standing {
    /// It is in sync.
    InSync,
    /// It is not, and should be.
    Missing {
        /// Why.
        why: Lack,
    },
    /// It is not, and the broker cannot change that.
    Excused {
        /// Why.
        why: Excuse,
    },
}

/// Why a replica is not in sync that should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Lack {
    /// It copies from this leader.
    Behind {
        /// The leader.
        leader: BrokerId,
    },
    /// The broker is up, and its copy is offline: its log dir failed.
    Offline,
    /// There is no leader, and this replica may be elected: that should happen soon.
    Elected,
}

/// Why a replica that is not in sync is not waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Excuse {
    /// A running move adds it: it is copied at the pace of the move.
    Adding,
    /// The topic is being deleted.
    Deleted,
    /// There is no leader, because the replicas that may be elected are down.
    WaitsFor {
        /// They: the eligible ones where the ISR is empty, else the ISR.
        brokers: Vec<BrokerId>,
    },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { leader } => write!(f, "behind leader {leader}"),
            Self::Offline => f.write_str("offline on this broker: its log dir failed"),
            Self::Elected => f.write_str("not elected yet"),
        }
    }
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adding => f.write_str("added by a running move"),
            Self::Deleted => f.write_str("of a topic that is being deleted"),
            Self::WaitsFor { brokers } if brokers.is_empty() => f.write_str("without a leader, with an empty ISR"),
            Self::WaitsFor { brokers } => {
                let brokers: Vec<_> = brokers.iter().map(ToString::to_string).collect();
                write!(f, "without a leader, waits for {}", brokers.join(", "))
            }
        }
    }
}

/// How the replicas of one broker stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Replicas {
    /// How many there are.
    pub hosted: usize,
    /// How many are not in sync and should be.
    pub missing: usize,
    /// The first of them, at most [`NAMED_MAX`].
    pub named: Vec<(TopicPartition, Lack)>,
    /// How many are not in sync and are not waited for.
    pub excused: usize,
    /// The first of those, at most [`NAMED_MAX`].
    pub named_excused: Vec<(TopicPartition, Excuse)>,
}

impl Replicas {
    /// Whether every replica is in sync that the broker can bring there.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The topics of the missing replicas that are named, each once.
    pub fn topics(&self) -> BTreeSet<TopicName> {
        self.named.iter().map(|(partition, _)| partition.topic.clone()).collect()
    }
}

/// How the replicas of a broker stand in one broker's view of the cluster. The brokers of the view are those that are
/// registered and not fenced.
pub fn replicas_of(broker: BrokerId, view: &Metadata, beside: &Beside) -> Replicas {
    let mut replicas = Replicas::default();
    for topic in view.topics.values() {
        for partition in &topic.partitions {
            // Most partitions of a large cluster are elsewhere or in sync: no key is made for them.
            if !partition.replicas.contains(&broker) {
                continue;
            }
            replicas.hosted += 1;
            if is_in_sync(broker, partition) {
                continue;
            }
            let key = TopicPartition { topic: topic.name.clone(), partition: partition.partition };
            match standing(broker, &key, partition, view, beside) {
                Standing::InSync => {}
                Standing::Missing { why } => {
                    replicas.missing += 1;
                    if replicas.named.len() < NAMED_MAX {
                        replicas.named.push((key, why));
                    }
                }
                Standing::Excused { why } => {
                    replicas.excused += 1;
                    if replicas.named_excused.len() < NAMED_MAX {
                        replicas.named_excused.push((key, why));
                    }
                }
            }
        }
    }
    replicas
}

fn is_in_sync(broker: BrokerId, partition: &Partition) -> bool {
    partition.isr.contains(&broker) && !partition.offline.contains(&broker)
}

/// How one replica of a broker stands; [`Standing::InSync`] where it has none of the partition.
pub fn standing(
    broker: BrokerId,
    key: &TopicPartition,
    partition: &Partition,
    view: &Metadata,
    beside: &Beside,
) -> Standing {
    let is_live = |broker: &BrokerId| view.brokers.contains_key(broker);
    if !partition.replicas.contains(&broker) || is_in_sync(broker, partition) {
        return Standing::InSync;
    }
    if beside.deleted.contains(&key.topic) {
        return Standing::Excused { why: Excuse::Deleted };
    }
    let moved = beside.moves.as_ref().and_then(|moves| moves.get(key));
    if moved.is_some_and(|moved| moved.adding.contains(&broker)) {
        return Standing::Excused { why: Excuse::Adding };
    }
    if partition.offline.contains(&broker) && is_live(&broker) {
        return Standing::Missing { why: Lack::Offline };
    }
    // A leader that the view does not list is on its way out.
    if let Some(leader) = partition.leader.filter(is_live) {
        return Standing::Missing { why: Lack::Behind { leader } };
    }
    let eligible = beside.eligible.get(key).filter(|_| partition.isr.is_empty());
    let electable = eligible.unwrap_or(&partition.isr);
    if electable.contains(&broker) {
        return Standing::Missing { why: Lack::Elected };
    }
    Standing::Excused { why: Excuse::WaitsFor { brokers: electable.clone() } }
}

/// How many replicas must be in sync for a write with `acks=all`: what is configured, at most as many as there are (Kafka
/// 3.7 and newer cap it; older ones refuse such writes for ever, so that there is nothing to wait for either). At least 1.
pub fn minimum_in_sync(configured: usize, replicas: usize) -> usize {
    configured.min(replicas).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::broker::Broker;
    use crate::cluster::topic::Topic;

    const ME: BrokerId = BrokerId(1);

    fn ids(ids: &[i32]) -> Vec<BrokerId> {
        ids.iter().copied().map(BrokerId).collect()
    }

    fn partition(leader: i32, replicas: &[i32], isr: &[i32], offline: &[i32]) -> Partition {
        Partition {
            partition: 0,
            leader: (leader >= 0).then_some(BrokerId(leader)),
            replicas: ids(replicas),
            isr: ids(isr),
            offline: ids(offline),
        }
    }

    fn view(live: &[i32], partitions: Vec<Partition>) -> Metadata {
        let broker = |id: BrokerId| (id, Broker { id, host: "h".to_owned(), port: 1, rack: None });
        let partitions = (0..).zip(partitions).map(|(partition, one)| Partition { partition, ..one }).collect();
        let name = TopicName::new("t").unwrap();
        let topic = Topic { name: name.clone(), internal: false, id: None, partitions };
        Metadata {
            brokers: ids(live).into_iter().map(broker).collect(),
            topics: [(name, topic)].into(),
            ..Metadata::default()
        }
    }

    fn key(partition: i32) -> TopicPartition {
        TopicPartition { topic: TopicName::new("t").unwrap(), partition }
    }

    /// How broker 1 stands in one partition of a cluster where these brokers live.
    fn stands(live: &[i32], one: &Partition, beside: &Beside) -> Standing {
        let view = view(live, vec![one.clone()]);
        standing(ME, &key(0), one, &view, beside)
    }

    #[test]
    fn a_follower_that_copies_is_missing_and_one_in_the_isr_is_not() {
        let beside = Beside::default();
        let behind = stands(&[1, 2, 3], &partition(2, &[1, 2, 3], &[2, 3], &[]), &beside);
        assert_eq!(behind, Standing::Missing { why: Lack::Behind { leader: BrokerId(2) } });
        assert_eq!(stands(&[1, 2], &partition(2, &[1, 2], &[2, 1], &[]), &beside), Standing::InSync);
        assert_eq!(stands(&[1], &partition(1, &[1], &[1], &[]), &beside), Standing::InSync, "a factor of 1");
        assert_eq!(stands(&[2, 3], &partition(2, &[2, 3], &[2], &[]), &beside), Standing::InSync, "none is hosted");
    }

    #[test]
    fn a_failed_log_dir_is_missing_even_where_the_isr_still_has_it() {
        let offline = stands(&[1, 2], &partition(2, &[1, 2], &[1, 2], &[1]), &Beside::default());
        assert_eq!(offline, Standing::Missing { why: Lack::Offline });
        let alone = stands(&[1, 2], &partition(-1, &[1], &[1], &[1]), &Beside::default());
        assert_eq!(alone, Standing::Missing { why: Lack::Offline });
    }

    #[test]
    fn a_replica_that_a_running_move_adds_is_excused_and_one_that_was_there_before_is_not() {
        let moved = Reassignment { replicas: ids(&[2, 3, 1]), adding: ids(&[1]), removing: ids(&[3]) };
        let beside = Beside { moves: Some([(key(0), moved)].into()), ..Beside::default() };
        let one = partition(2, &[2, 3, 1], &[2, 3], &[]);
        assert_eq!(stands(&[1, 2, 3], &one, &beside), Standing::Excused { why: Excuse::Adding });
        let moved = Reassignment { replicas: ids(&[2, 3, 1]), adding: ids(&[3]), removing: ids(&[]) };
        let beside = Beside { moves: Some([(key(0), moved)].into()), ..Beside::default() };
        assert!(matches!(stands(&[1, 2, 3], &one, &beside), Standing::Missing { .. }));
    }

    #[test]
    fn a_partition_without_a_leader_waits_for_those_that_can_be_elected() {
        let waits = |brokers: &[i32]| Standing::Excused { why: Excuse::WaitsFor { brokers: ids(brokers) } };
        let none = Beside::default();
        assert_eq!(stands(&[1], &partition(-1, &[1, 2, 3], &[2], &[2, 3]), &none), waits(&[2]));
        assert_eq!(stands(&[1], &partition(2, &[1, 2, 3], &[2], &[]), &none), waits(&[2]), "the leader is not live");
        assert_eq!(stands(&[1], &partition(-1, &[1, 2, 3], &[], &[]), &none), waits(&[]));
        let eligible = |brokers: &[i32]| Beside { eligible: [(key(0), ids(brokers))].into(), ..Beside::default() };
        assert_eq!(stands(&[1], &partition(-1, &[1, 2, 3], &[], &[]), &eligible(&[2, 3])), waits(&[2, 3]));
        let mine = stands(&[1], &partition(-1, &[1, 2, 3], &[], &[]), &eligible(&[1, 3]));
        assert_eq!(mine, Standing::Missing { why: Lack::Elected });
    }

    #[test]
    fn a_topic_that_is_being_deleted_is_excused() {
        let beside = Beside { deleted: [TopicName::new("t").unwrap()].into(), ..Beside::default() };
        let gone = stands(&[1, 2], &partition(2, &[1, 2], &[2], &[]), &beside);
        assert_eq!(gone, Standing::Excused { why: Excuse::Deleted });
    }

    #[test]
    fn a_minimum_is_capped_by_the_number_of_replicas_and_never_0() {
        assert_eq!(
            [(2, 3), (3, 2), (5, 1), (0, 3), (2, 0)].map(|(min, replicas)| minimum_in_sync(min, replicas)),
            [2, 2, 1, 1, 1]
        );
    }

    #[test]
    fn many_missing_replicas_are_counted_and_the_first_named() {
        let many = vec![partition(2, &[1, 2], &[2], &[]); NAMED_MAX + 50];
        let replicas = replicas_of(ME, &view(&[1, 2], many), &Beside::default());
        assert_eq!((replicas.hosted, replicas.missing, replicas.named.len()), (150, 150, NAMED_MAX));
        assert!(!replicas.is_complete() && replicas.topics().len() == 1);
    }

    fn any_partition() -> impl Strategy<Value = Partition> {
        let some = || proptest::collection::btree_set(1_i32..5, 0..4);
        (some(), some(), some(), -1_i32..5).prop_map(|(replicas, isr, offline, leader)| {
            let of = |set: BTreeSet<i32>| set.into_iter().collect::<Vec<_>>();
            let replicas = of(replicas);
            let within = |set| of(set).into_iter().filter(|id| replicas.contains(id)).collect::<Vec<_>>();
            partition(leader, &replicas, &within(isr), &within(offline))
        })
    }

    proptest! {
        /// Every hosted replica is in sync, missing or excused; what is in sync is neither of the others.
        #[test]
        fn hosted_replicas_are_counted_once(
            partitions in proptest::collection::vec(any_partition(), 0..30),
            live in proptest::collection::btree_set(1_i32..5, 0..4),
        ) {
            let live: Vec<_> = live.into_iter().collect();
            let view = view(&live, partitions.clone());
            let replicas = replicas_of(ME, &view, &Beside::default());
            let hosted: Vec<_> = partitions.iter().filter(|one| one.replicas.contains(&ME)).collect();
            let in_sync = hosted.iter().filter(|one| is_in_sync(ME, one)).count();
            prop_assert_eq!(replicas.hosted, hosted.len());
            prop_assert_eq!(replicas.hosted, in_sync + replicas.missing + replicas.excused);
        }

        /// Whoever lives and leads excuses nobody: a replica that could copy is waited for.
        #[test]
        fn a_replica_with_a_live_leader_is_never_excused(one in any_partition()) {
            let leads = one.leader.is_some_and(|leader| leader.0 > 0);
            let standing = stands(&[1, 2, 3, 4], &one, &Beside::default());
            let is_excused = matches!(standing, Standing::Excused { .. });
            prop_assert!(!(leads && is_excused));
        }
    }
}
