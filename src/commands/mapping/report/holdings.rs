//! [`Holdings`]: who holds what now, how uneven that is, and what would fail if a broker or a rack were lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::broker::BrokerId;
use crate::cluster::log_dirs::offline;
use crate::cluster::map::{Capacity, Maps};
use crate::cluster::size::Bytes;
use crate::cluster::topic::TopicName;
use crate::cluster::visible;
use crate::commands::mapping::observe::{Observed, ObservedPartition};
use crate::commands::mapping::report::load::{self, CapacityFrom, share};
use crate::commands::mapping::report::text::{Table, count, percent};

/// Who holds what.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "What toolbox mapping show prints")]
pub struct Holdings {
    /// The cluster's id.
    pub cluster_id: String,
    /// When it was looked at, RFC 3339.
    pub observed_at: String,
    /// Where the sizes come from.
    pub sizes_from: String,
    /// How many topics were asked for.
    pub topics: usize,
    /// How many partitions they have.
    pub partitions: usize,
    /// Bytes of all their replicas.
    pub bytes: u64,
    /// Their trouble now.
    pub now: Trouble,
    /// Brokers by id.
    pub brokers: Vec<Holder>,
    /// Racks by name; brokers without a rack are left out.
    pub racks: Vec<RackHolder>,
    /// How much the fullest live broker has over the mean of all.
    pub skew: Skew,
    /// Topics that belong to no map, or to two, in words; internal topics need none.
    pub strays: Vec<String>,
}

/// Trouble of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Trouble {
    /// Partitions without a leader: they can be neither read nor written.
    pub offline: usize,
    /// Partitions with a leader but fewer replicas in sync than `min.insync.replicas`: writes with acks=all fail.
    pub under_min_isr: usize,
    /// Partitions with a replica that is not in sync.
    pub under_replicated: usize,
    /// Partitions that are being moved.
    pub moving: usize,
}

/// What fails when something is lost, beyond what fails already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Loss {
    /// Partitions that go offline.
    pub offline: usize,
    /// Partitions to which producers with acks=all can't write any more.
    pub under_min_isr: usize,
}

/// What one broker holds of the topics that were asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Holder {
    /// Its id.
    #[schemars(with = "i32")]
    pub broker: BrokerId,
    /// Its rack.
    pub rack: Option<String>,
    /// Whether it is live.
    pub live: bool,
    /// Why its sizes are not known, where they are not.
    pub missing: Option<String>,
    /// Which of its log dirs is offline while others work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<String>,
    /// Bytes of its disks, where that is known.
    pub capacity: Option<u64>,
    /// Where that is known from.
    pub capacity_from: Option<CapacityFrom>,
    /// Bytes of the replicas of all topics.
    pub bytes_of_all_topics: u64,
    /// Bytes of its replicas.
    pub bytes: u64,
    /// How many replicas it holds.
    pub replicas: usize,
    /// How many partitions it leads now.
    pub leaders: usize,
    /// How many partitions it is the preferred leader of.
    pub preferred_leaders: usize,
    /// What fails if it is lost.
    pub if_lost: Loss,
}

/// What one rack holds of the topics that were asked for.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RackHolder {
    /// Its name.
    pub rack: String,
    /// Its live brokers.
    pub brokers: Vec<i32>,
    /// Bytes of its replicas.
    pub bytes: u64,
    /// How many replicas it holds.
    pub replicas: usize,
    /// How many partitions are led in it now.
    pub leaders: usize,
    /// What fails if it is lost.
    pub if_lost: Loss,
}

/// By how much the most loaded live broker lies above the mean, as a fraction: 0 is even, 1 is twice the mean.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, JsonSchema)]
pub struct Skew {
    /// Of bytes.
    pub storage: f64,
    /// Of replicas.
    pub replicas: f64,
    /// Of leaders now.
    pub leaders: f64,
}

impl Holdings {
    /// What these topics have where.
    pub fn of(observed: &Observed, topics: &BTreeSet<TopicName>, known: &BTreeMap<BrokerId, Capacity>) -> Self {
        let chosen = || observed.topics.iter().filter(|(name, _)| topics.contains(*name));
        let mut found = Self::empty(observed, known);
        for (_, topic) in chosen() {
            let least = topic.min_insync_replicas.unwrap_or(1);
            found.topics += 1;
            for partition in &topic.partitions {
                found.add(observed, partition, least);
            }
        }
        for partition in observed.topics.values().flat_map(|topic| &topic.partitions) {
            for (broker, bytes) in partition.replicas.iter().zip(&partition.bytes) {
                if let Some(holder) = found.holder(*broker) {
                    holder.bytes_of_all_topics = holder.bytes_of_all_topics.saturating_add(*bytes);
                }
            }
        }
        found.sum_racks();
        found.skew = skew(&found.brokers);
        found
    }

    fn empty(observed: &Observed, known: &BTreeMap<BrokerId, Capacity>) -> Self {
        let holder = |(id, broker): (&BrokerId, &crate::commands::mapping::observe::ObservedBroker)| {
            let capacity = load::capacity(Some(broker), known.get(id));
            Holder {
                broker: *id,
                rack: broker.rack.as_ref().map(ToString::to_string),
                live: broker.live,
                missing: broker.missing.clone(),
                offline: offline(&broker.log_dirs),
                capacity: capacity.map(|(bytes, _)| bytes),
                capacity_from: capacity.map(|(_, from)| from),
                bytes_of_all_topics: 0,
                bytes: 0,
                replicas: 0,
                leaders: 0,
                preferred_leaders: 0,
                if_lost: Loss::default(),
            }
        };
        let brokers: Vec<_> = observed.brokers.iter().map(holder).collect();
        let names: BTreeSet<_> = brokers.iter().filter_map(|holder| holder.rack.clone()).collect();
        let rack = |rack: String| RackHolder {
            brokers: brokers
                .iter()
                .filter(|holder| holder.live && holder.rack.as_ref() == Some(&rack))
                .map(|holder| holder.broker.0)
                .collect(),
            rack,
            bytes: 0,
            replicas: 0,
            leaders: 0,
            if_lost: Loss::default(),
        };
        Self {
            cluster_id: observed.cluster_id.clone(),
            observed_at: observed.observed_at.clone(),
            sizes_from: observed.sizes_from.clone(),
            topics: 0,
            partitions: 0,
            bytes: 0,
            now: Trouble::default(),
            racks: names.into_iter().map(rack).collect(),
            brokers,
            skew: Skew::default(),
            strays: Vec::new(),
        }
    }

    fn holder(&mut self, id: BrokerId) -> Option<&mut Holder> {
        let at = self.brokers.binary_search_by_key(&id, |holder| holder.broker).ok()?;
        self.brokers.get_mut(at)
    }

    fn add(&mut self, observed: &Observed, partition: &ObservedPartition, least: usize) {
        self.partitions += 1;
        for (slot, broker) in partition.replicas.iter().enumerate() {
            let bytes = partition.bytes.get(slot).copied().unwrap_or(0);
            self.bytes = self.bytes.saturating_add(bytes);
            if let Some(holder) = self.holder(*broker) {
                holder.bytes = holder.bytes.saturating_add(bytes);
                holder.replicas += 1;
                holder.preferred_leaders += usize::from(slot == 0);
            }
        }
        if let Some(leader) = partition.leader.and_then(|leader| self.holder(leader)) {
            leader.leaders += 1;
        }
        self.add_trouble(observed, partition, least);
    }

    fn add_trouble(&mut self, observed: &Observed, partition: &ObservedPartition, least: usize) {
        let is_live = |id: &&BrokerId| observed.brokers.get(id).is_some_and(|broker| broker.live);
        let in_sync: Vec<_> =
            partition.replicas.iter().filter(|id| !partition.out_of_sync.contains(id)).filter(is_live).collect();
        let is_offline = partition.leader.is_none();
        let is_under = !is_offline && in_sync.len() < least;
        self.now.offline += usize::from(is_offline);
        self.now.under_min_isr += usize::from(is_under);
        self.now.under_replicated += usize::from(!partition.out_of_sync.is_empty());
        self.now.moving += usize::from(partition.moving);
        if is_offline {
            return;
        }
        let loss = |left: usize| Loss {
            offline: usize::from(left == 0),
            under_min_isr: usize::from(left > 0 && left < least && !is_under),
        };
        let mut by_rack: BTreeMap<&str, usize> = BTreeMap::new();
        for id in &in_sync {
            let loss = loss(in_sync.len() - 1);
            if let Some(holder) = self.holder(**id) {
                holder.if_lost.offline += loss.offline;
                holder.if_lost.under_min_isr += loss.under_min_isr;
            }
            if let Some(rack) = observed.brokers.get(id).and_then(|broker| broker.rack.as_ref()) {
                *by_rack.entry(&rack.0).or_default() += 1;
            }
        }
        for (rack, held) in by_rack {
            let loss = loss(in_sync.len() - held);
            if let Some(holder) = self.racks.iter_mut().find(|holder| holder.rack == rack) {
                holder.if_lost.offline += loss.offline;
                holder.if_lost.under_min_isr += loss.under_min_isr;
            }
        }
    }

    fn sum_racks(&mut self) {
        for rack in &mut self.racks {
            for holder in self.brokers.iter().filter(|holder| holder.rack.as_ref() == Some(&rack.rack)) {
                rack.bytes = rack.bytes.saturating_add(holder.bytes);
                rack.replicas += holder.replicas;
                rack.leaders += holder.leaders;
            }
        }
    }

    /// For a terminal; `age` is how long ago the cluster was looked at, where that is known.
    pub fn text(&self, age: Option<&str>, table: Table) -> String {
        let age = age.map_or(", read just now".to_owned(), |age| format!(", read {age} ago"));
        let mut parts = vec![format!(
            "cluster {}; sizes from {}{age}\n{}, {}, {} in all replicas\n",
            visible::value(&self.cluster_id),
            visible::value(&self.sizes_from),
            count(self.topics, "topic"),
            count(self.partitions, "partition"),
            Bytes(self.bytes)
        )];
        parts.push(self.trouble());
        parts.push(self.brokers_table(table));
        parts.push(self.racks_table(table));
        parts.push(format!(
            "the most loaded broker above the mean: storage {}, replicas {}, leaders {}\n",
            percent(self.skew.storage),
            percent(self.skew.replicas),
            percent(self.skew.leaders)
        ));
        parts.retain(|part| !part.is_empty());
        parts.join("\n")
    }

    fn trouble(&self) -> String {
        let Trouble { offline, under_min_isr, under_replicated, moving } = self.now;
        let words = [
            (offline, "without a leader"),
            (under_min_isr, "under min.insync.replicas: writes with acks=all fail"),
            (under_replicated, "with a replica that is not in sync"),
            (moving, "being moved"),
        ];
        let line = |(number, what): &(usize, &str)| format!("! {} {what}\n", count(*number, "partition"));
        let mut text: String = words.iter().filter(|(number, _)| *number > 0).map(line).collect();
        for stray in &self.strays {
            let _ = writeln!(text, "! {stray}");
        }
        for holder in &self.brokers {
            if let Some(missing) = &holder.missing {
                let _ = writeln!(text, "! broker {}: its sizes are not known: {missing}", holder.broker);
            }
            if let Some(offline) = &holder.offline {
                let _ = writeln!(text, "! broker {}: {offline}", holder.broker);
            }
        }
        text
    }

    fn brokers_table(&self, table: Table) -> String {
        let has_shares = self.brokers.iter().any(|holder| holder.capacity.is_some());
        let has_more = self.brokers.iter().any(|holder| holder.bytes_of_all_topics != holder.bytes);
        let mut head = vec!["BROKER", "RACK", "STORAGE"];
        head.extend(has_more.then_some("OF ALL TOPICS"));
        head.extend(has_shares.then_some("SHARE OF DISK"));
        head.extend(["REPLICAS", "LEADERS", "PREFERRED", "IF LOST"]);
        let row = |holder: &Holder| {
            let used = holder.bytes_of_all_topics;
            let mut cells = vec![
                holder.broker.to_string(),
                holder.rack.clone().unwrap_or_else(|| "-".into()),
                Bytes(holder.bytes).to_string(),
            ];
            cells.extend(has_more.then(|| Bytes(used).to_string()));
            cells.extend(has_shares.then(|| holder.capacity.map_or("?".into(), |whole| percent(share(used, whole)))));
            let if_lost = if holder.live { lost(holder.if_lost) } else { "it is gone".into() };
            cells.extend([
                holder.replicas.to_string(),
                holder.leaders.to_string(),
                holder.preferred_leaders.to_string(),
                if_lost,
            ]);
            cells
        };
        table(&head, &self.brokers.iter().map(row).collect::<Vec<_>>())
    }

    fn racks_table(&self, table: Table) -> String {
        let row = |rack: &RackHolder| {
            vec![
                rack.rack.clone(),
                rack.brokers.len().to_string(),
                Bytes(rack.bytes).to_string(),
                rack.replicas.to_string(),
                rack.leaders.to_string(),
                lost(rack.if_lost),
            ]
        };
        let rows: Vec<_> = self.racks.iter().map(row).collect();
        if rows.is_empty() {
            String::new()
        } else {
            table(&["RACK", "BROKERS", "STORAGE", "REPLICAS", "LEADERS", "IF LOST"], &rows)
        }
    }
}

/// The JSON schema of [`Holdings`].
pub fn schema() -> Value {
    schemars::schema_for!(Holdings).into()
}

/// Topics that belong to no map, or to two. Kafka's own need none.
pub fn strays(observed: &Observed, topics: &BTreeSet<TopicName>, maps: &Maps) -> Vec<String> {
    let is_internal = |name: &TopicName| observed.topics.get(name).is_some_and(|topic| topic.internal);
    let is_bare = |name: &TopicName| is_internal(name) && !maps.0.iter().any(|map| map.holds(name));
    topics.iter().filter(|name| !is_bare(name)).filter_map(|name| maps.of(name).err()).collect()
}

fn lost(loss: Loss) -> String {
    let parts = [(loss.offline, "offline"), (loss.under_min_isr, "under min ISR")];
    let shown: Vec<_> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    if shown.is_empty() { "nothing fails".into() } else { shown.join(", ") }
}

fn skew(brokers: &[Holder]) -> Skew {
    let live = || brokers.iter().filter(|holder| holder.live);
    let of = |amount: fn(&Holder) -> u64| {
        let count = u64::try_from(live().count()).unwrap_or(u64::MAX);
        let (sum, most) =
            live().map(amount).fold((0_u64, 0_u64), |(sum, most), one| (sum.saturating_add(one), most.max(one)));
        if sum == 0 { 0.0 } else { share(most.saturating_mul(count), sum) - 1.0 }
    };
    Skew {
        storage: of(|holder| holder.bytes),
        replicas: of(|holder| holder.replicas as u64),
        leaders: of(|holder| holder.leaders as u64),
    }
}
