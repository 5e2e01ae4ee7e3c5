//! Where the moves lead that run on a topic now. A run that was ended before them may have begun them, or somebody
//! else; what leads to the declared replication factor is left to go on.

use std::collections::BTreeMap;

use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::Reassignment;
use crate::cluster::topic::{Topic, TopicName, TopicPartition};
use crate::commands::mapping::observe::ObservedPartition;
use crate::commands::topics::observe::Observed;

/// Where the moves of a topic lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// None of them changes how many replicas there are.
    Nowhere,
    /// To the declared replication factor.
    Toward {
        /// The fewest replicas that one of the moving partitions had.
        from: usize,
        /// How many partitions get there by a move.
        partitions: usize,
    },
    /// At least one to another replication factor.
    Elsewhere,
}

/// Where they lead.
pub fn running(topic: &Topic, moves: Option<&BTreeMap<i32, Reassignment>>, desired: usize) -> Running {
    let (mut from, mut partitions) = (usize::MAX, 0);
    let numbers = topic.partitions.iter().map(|partition| partition.partition);
    for one in numbers.filter_map(|number| moves?.get(&number)) {
        let before = one.replicas.len().saturating_sub(one.adding.len());
        let after = one.replicas.len().saturating_sub(one.removing.len());
        if after != desired {
            return Running::Elsewhere;
        }
        if before != desired {
            from = from.min(before);
            partitions += 1;
        }
    }
    if partitions == 0 { Running::Nowhere } else { Running::Toward { from, partitions } }
}

/// The moves of a topic that run now, as plans have them: whoever carries out the rest of them follows these, too.
pub fn moves(observed: &Observed, name: &TopicName) -> Vec<PartitionMove> {
    let placed = observed.placement.as_ref().and_then(|placement| placement.topics.get(name));
    let size = |partition: i32| {
        let placed = placed.and_then(|topic| topic.partitions.get(usize::try_from(partition).ok()?));
        placed.map_or(0, ObservedPartition::size)
    };
    let without = |one: &Reassignment, gone: &[BrokerId]| -> Vec<BrokerId> {
        one.replicas.iter().filter(|broker| !gone.contains(broker)).copied().collect()
    };
    let one = |(partition, one): (&i32, &Reassignment)| PartitionMove {
        partition: TopicPartition { topic: name.clone(), partition: *partition },
        from: without(one, &one.adding),
        to: without(one, &one.removing),
        bytes: size(*partition),
    };
    observed.moves.get(name).into_iter().flatten().map(one).collect()
}
