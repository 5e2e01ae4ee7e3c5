//! What two looks at a cluster say of its load: what is copied is no client's, however short a move was.

use std::collections::{BTreeMap, BTreeSet};

use super::cases::at;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::broker::{Broker, BrokerId};
use crate::cluster::metadata::{Metadata, Reassignment, ReplicaSize};
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::throttle::{Side, Sides};
use crate::cluster::topic::{Partition, Topic, TopicName, TopicPartition};
use crate::commands::throttle::plan::look::{Known, Look, own_readings, snapshot};

const MB: u64 = 1_000_000;

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn key(partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicName::new("t").unwrap(), partition }
}

/// Replicas of a partition, the leader first, and those of them that are in sync.
type Row<'a> = (&'a [i32], &'a [i32]);

/// A look at brokers 1 to 4 after so many seconds; sizes are (partition, broker, MB).
fn look(seconds: i64, rows: &[Row<'_>], adding: &[(i32, i32)], sizes: &[(i32, i32, u64)]) -> Look {
    let partition = |(number, (replicas, isr)): (usize, &Row<'_>)| Partition {
        partition: i32::try_from(number).unwrap(),
        leader: replicas.first().copied().map(BrokerId),
        replicas: ids(replicas),
        isr: ids(isr),
        offline: Vec::new(),
    };
    let name = TopicName::new("t").unwrap();
    let partitions = rows.iter().enumerate().map(partition).collect();
    let topic = Topic { name: name.clone(), internal: false, id: None, partitions };
    let mut look = Look { at: at(seconds), ..Look::default() };
    look.metadata = Metadata {
        brokers: ids(&[1, 2, 3, 4])
            .into_iter()
            .map(|id| (id, Broker { id, host: "h".into(), port: 1, rack: None }))
            .collect(),
        topics: BTreeMap::from([(name, topic)]),
        ..Metadata::default()
    };
    look.sized = look.metadata.brokers.keys().copied().collect::<BTreeSet<_>>();
    for (number, to) in adding {
        let replicas = ids(rows[usize::try_from(*number).unwrap()].0);
        look.moves.insert(key(*number), Reassignment { replicas, adding: ids(&[*to]), removing: Vec::new() });
    }
    for (number, broker, mb) in sizes {
        let replica =
            ReplicaSize { broker: BrokerId(*broker), bytes: mb * MB, offset_lag: 0, log_dir: 0, is_future: false };
        look.sizes.entry(key(*number)).or_default().push(replica);
    }
    look
}

/// What is left of a broker's load without the copying, in MB/s, where the brokers measure it themselves.
fn clients(before: &Look, now: &Look, broker: i32) -> Option<Sides<u64>> {
    let readings = own_readings(Some(before), now);
    let load = snapshot(Some(before), now, &readings, &Known::default()).brokers[&BrokerId(broker)].clone();
    let left = |side: Side| load.used.map(|used| used.of(side).0 - load.moving.of(side).0);
    Some(Sides { leader: left(Side::Leader)? / MB, follower: left(Side::Follower)? / MB })
}

#[test]
fn a_move_that_ended_since_the_last_look_is_not_taken_for_clients() {
    // Partition 0 gets a long copy on 3; 1 had one on 3 that ended; 2 got one that began and ended meanwhile, and its
    // new replica leads already; 3 is written to at 2 MB/s.
    let before = look(
        0,
        &[(&[1, 2, 3], &[1, 2]), (&[1, 2, 3], &[1, 2]), (&[1, 2], &[1, 2]), (&[1, 2], &[1, 2])],
        &[(0, 3), (1, 3)],
        &[
            (0, 1, 900),
            (0, 2, 900),
            (1, 1, 100),
            (1, 2, 100),
            (1, 3, 10),
            (2, 1, 70),
            (2, 2, 70),
            (3, 1, 50),
            (3, 2, 50),
        ],
    );
    let now = look(
        10,
        &[(&[1, 2, 3], &[1, 2]), (&[1, 3], &[1, 3]), (&[3, 2], &[3, 2]), (&[1, 2], &[1, 2])],
        &[(0, 3)],
        &[
            (0, 1, 900),
            (0, 2, 900),
            (0, 3, 60),
            (1, 1, 100),
            (1, 3, 100),
            (2, 3, 70),
            (2, 2, 70),
            (3, 1, 70),
            (3, 2, 70),
        ],
    );
    let read = own_readings(Some(&before), &now);
    let used = |broker: i32, side: Side| read.used[&BrokerId(broker)].of(side).unwrap().0;
    assert_eq!(used(3, Side::Follower), ByteRate(22 * MB), "60, 90 and 70 MB came within 10 s");
    assert_eq!(used(1, Side::Leader), ByteRate(24 * MB), "all of it from broker 1, and 20 MB to its follower");
    assert_eq!(clients(&before, &now, 3), Some(Sides { leader: 0, follower: 0 }));
    assert_eq!(clients(&before, &now, 1), Some(Sides { leader: 2, follower: 2 }));
}

#[test]
fn what_a_broker_that_was_down_holds_is_no_load() {
    let rows: &[Row<'_>] = &[(&[1, 2, 3], &[1, 2]), (&[4, 1], &[4, 1])];
    let mut before = look(0, rows, &[(0, 3)], &[(0, 1, 900), (0, 2, 900), (0, 3, 0), (1, 1, 900_000)]);
    before.sized.remove(&BrokerId(4));
    let sizes = [(0, 1, 900), (0, 2, 900), (0, 3, 50), (1, 1, 900_000), (1, 4, 900_000)];
    let now = look(10, rows, &[(0, 3)], &sizes);
    let read = own_readings(Some(&before), &now);
    assert_eq!(read.used[&BrokerId(4)], Sides::default(), "nobody knows yet");
    assert_eq!(clients(&before, &now, 1), Some(Sides { leader: 0, follower: 0 }));
}

#[test]
fn a_move_that_is_handed_over_is_paced_before_it_is_submitted() {
    let coming = PartitionMove { partition: key(0), from: ids(&[1, 2]), to: ids(&[3, 2]), bytes: 0 };
    let now =
        look(0, &[(&[1, 2], &[1, 2])], &[], &[(0, 1, 900), (0, 2, 900)]).with_coming(std::slice::from_ref(&coming));
    let seen = snapshot(None, &now, &own_readings(None, &now), &Known::default());
    let [moving] = &seen.moving[..] else { panic!("{seen:?}") };
    assert_eq!((moving.leader, &moving.sources), (Some(BrokerId(1)), &ids(&[1, 2])));
    assert_eq!(moving.adding, [(BrokerId(3), Bytes(900 * MB))]);
    assert_eq!(now.clone().with_coming(&[coming]).metadata, now.metadata, "once is enough");
}
