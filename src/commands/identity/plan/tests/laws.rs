//! Laws: deterministic, never one id for two pods, never over a disk's id.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A pod that starts again and again, on disks that are exchanged and lost.
#[derive(Debug, Clone)]
struct Start {
    pod: usize,
    /// The disk that it is given: its own, another pod's, or a new one.
    disk: Option<usize>,
    is_written: bool,
    allocation: Allocation,
    replaced: Replaced,
    minutes: i64,
}

fn start() -> impl Strategy<Value = Start> {
    let allocation = prop_oneof![3 => Just(Allocation::Ordinal), 3 => Just(Allocation::FirstFree), 1 => (1001..1008).prop_map(|id| Allocation::Given(BrokerId(id)))];
    let replaced = prop_oneof![Just(Replaced::Refuse), Just(Replaced::SameId), Just(Replaced::NewId)];
    (0..5usize, prop::option::of(0..5usize), any::<bool>(), allocation, replaced, 0..20_000i64).prop_map(
        |(pod, disk, is_written, allocation, replaced, minutes)| Start {
            pod,
            disk,
            is_written,
            allocation,
            replaced,
            minutes,
        },
    )
}

/// The disks of a small world: which id each holds.
#[derive(Debug, Default)]
struct World {
    registry: Registry,
    disks: BTreeMap<usize, i32>,
    minutes: i64,
}

impl World {
    fn seen(&self, start: &Start, cluster: ClusterSeen) -> Seen {
        let volume = start.disk.map_or_else(|| format!("new-{}", self.minutes), |disk| format!("v{disk}"));
        let holds = match start.disk.and_then(|disk| self.disks.get(&disk)) {
            Some(id) => Holds::Id(DiskId { directory_id: None, ..disk(*id) }),
            None => Holds::Nothing,
        };
        let mut seen = Seen {
            me: Me { pod: format!("kafka-{}", start.pod), uid: Some(format!("u{}", self.minutes)), ..Me::default() },
            folders: vec![folder("/data", holds)],
            claim: Some(Claim { name: "c".into(), volume: Some(volume), broker_id: None }),
            registry: self.registry.clone(),
            cluster,
            traces: Traces::Nothing,
            ..Seen::default()
        };
        // One starts at a time: the others do not run.
        seen.pods = (0..5).map(|pod| (format!("kafka-{pod}"), PodSeen::Gone)).collect();
        seen
    }
}

proptest! {
    #[test]
    fn no_two_pods_ever_have_one_id_and_no_disk_gets_another(starts in prop::collection::vec(start(), 1..40)) {
        let mut world = World::default();
        for start in starts {
            world.minutes += start.minutes + 1;
            let time = now().checked_add(SignedDuration::from_mins(world.minutes)).unwrap();
            let terms = Terms { allocation: start.allocation, replaced: start.replaced, now: time, ..terms() };
            let listed = world.disks.values().copied().collect::<Vec<_>>();
            let known = ClusterSeen::Known(replaced::cluster(&[], &listed));
            let seen = world.seen(&start, if start.is_written { known } else { ClusterSeen::NotConfigured });
            let decided = decide(&terms, &seen);
            prop_assert_eq!(&decided, &decide(&terms, &seen), "the same input gives the same");
            prop_assert!(!matches!(decided, Err(Halt::Ask(_))), "{:?}", decided);
            let Ok(decision) = decided else { continue };
            prop_assert!(terms.ids.contains(&decision.id));
            if let Some(held) = start.disk.and_then(|disk| world.disks.get(&disk)) {
                prop_assert_eq!(BrokerId(*held), decision.id);
            }
            let mut pods = BTreeSet::new();
            for entry in decision.registry.ids.values().filter(|entry| entry.state == State::Assigned) {
                prop_assert!(pods.insert(entry.pod.clone()), "{} has two ids", entry.pod);
            }
            prop_assert_eq!(decision.registry.of_pod(&seen.me.pod).map(|(id, _)| id), Some(decision.id));
            let again = decide(&terms, &Seen { registry: decision.registry.clone(), ..seen.clone() });
            prop_assert_eq!(again.map(|again| (again.id, again.registry)), Ok((decision.id, decision.registry.clone())));
            world.registry = decision.registry;
            if let Some(disk) = start.disk.filter(|_| start.is_written) {
                world.disks.insert(disk, decision.id.0);
            }
        }
    }
}
