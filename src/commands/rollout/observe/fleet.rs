//! The servers of a roll, looked at once: who they are (named, or the pods of StatefulSets), and how each stands.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::Context as _;
use futures_util::future::join_all;

use crate::clients::kafka::Kafka;
use crate::clients::kubernetes::{ObjectName, PodState, StatefulSet, Strategy};
use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::quorum::NodeId;
use crate::commands::rollout::observe::brokers::{Ask, look_for};
use crate::commands::rollout::observe::{Observed, Subject, look};
use crate::commands::rollout::plan::record::Record;
use crate::commands::rollout::plan::standing::{Standing, of_broker, of_controller, of_server};
use crate::commands::rollout::plan::{PodSeen, Unit};
use crate::commands::rollout::verdict::seen::Sample;
use crate::context::{Context, ControllerArgs, ZooKeeperFlags};
use crate::exit::Stop;

/// Annotation of a StatefulSet that pauses its roll; its value says why.
pub const PAUSED: &str = "kafka-toolbox/rollout-paused";

/// The kinds of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Kafka brokers
    Broker,
    /// KRaft controllers
    Controller,
    /// ZooKeeper servers
    Server,
}

impl Kind {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Controller => "controller",
            Self::Server => "server",
        }
    }
}

/// Which servers are rolled.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Their kind.
    pub kind: Kind,
    /// Their ids, outside Kubernetes.
    pub ids: BTreeSet<i32>,
    /// Their StatefulSets, in Kubernetes.
    pub sets: Vec<ObjectName>,
    /// How a pod's id is found.
    pub ids_by: IdsBy,
    /// Controllers to ask directly.
    pub controllers: ControllerArgs,
    /// How the ZooKeeper ensemble is reached.
    pub zookeeper: ZooKeeperFlags,
}

/// How the id of a pod's server is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdsBy {
    /// A label of the pod.
    Label(String),
    /// The pod's ordinal and this number.
    Ordinal(i32),
}

/// One look at a fleet.
#[derive(Debug, Clone)]
pub struct Pass {
    /// Every server.
    pub units: Vec<Unit>,
    /// What was seen of the cluster.
    pub observed: Observed,
    /// Why nothing may be stopped whatever the units are like: the roll is paused, or a pod is not there.
    pub held: Option<String>,
    /// The pods and their StatefulSets, by the server's id.
    pub pods: BTreeMap<i32, (PodState, StatefulSet)>,
    /// Names of the pods that are not there now, as of one that is being replaced.
    pub missing: Vec<String>,
}

impl Fleet {
    /// The server as the subject of a verdict.
    pub fn subject(&self, id: i32) -> Subject {
        match self.kind {
            Kind::Broker => Subject::Broker(BrokerId(id)),
            Kind::Controller => Subject::Controller(NodeId(id)),
            Kind::Server => {
                Subject::Server { id: ServerId(i64::from(id)), zookeeper: Box::new(self.zookeeper.clone()) }
            }
        }
    }

    /// Looks at all servers once.
    pub async fn look(&self, context: &Context, record: Option<&Record>, turn: usize) -> anyhow::Result<Pass> {
        let Found { mut units, held, pods, missing } = match &self.sets[..] {
            [] => Found { units: self.named(record), ..Found::default() },
            _ => self.in_kubernetes(context).await?,
        };
        let observed = self.observed(context, &units, turn).await?;
        let stands = self.standings(context, &units, &observed).await?;
        for (unit, (standing, is_active)) in units.iter_mut().zip(stands) {
            unit.standing = standing;
            unit.is_active = is_active;
        }
        Ok(Pass { units, observed, held, pods, missing })
    }

    /// Looks again for one server: with the eyes of another one.
    pub async fn look_for(&self, context: &Context, id: i32, turn: usize) -> anyhow::Result<Observed> {
        look(context, &self.subject(id), &self.controllers, turn).await
    }

    async fn observed(&self, context: &Context, units: &[Unit], turn: usize) -> anyhow::Result<Observed> {
        if self.kind != Kind::Broker {
            let id = units.first().map_or(0, |unit| unit.id);
            return look(context, &self.subject(id), &self.controllers, turn).await;
        }
        let kafka = context.kafka().await?;
        let hosts: Vec<_> = units.iter().map(|unit| BrokerId(unit.id)).collect();
        let ask = Ask { not: None, hosts: &hosts, turn };
        Ok(Observed::Brokers(Box::new(look_for(kafka.as_ref(), ask, context.steady().now()).await?)))
    }

    async fn standings(
        &self,
        context: &Context,
        units: &[Unit],
        observed: &Observed,
    ) -> anyhow::Result<Vec<(Standing, bool)>> {
        Ok(match observed {
            Observed::Brokers(sample) => {
                let kafka = context.kafka().await?;
                let own = join_all(units.iter().map(|unit| own(kafka.as_ref(), sample, BrokerId(unit.id)))).await;
                let stands = |(unit, own): (&Unit, &Result<bool, String>)| {
                    let id = BrokerId(unit.id);
                    let own = own.as_ref().map(|lists| *lists).map_err(String::as_str);
                    (of_broker(id, sample, own), sample.controller() == Some(id))
                };
                units.iter().zip(&own).map(stands).collect()
            }
            Observed::Quorum { quorum, .. } => {
                let stands = |unit: &Unit| {
                    let id = NodeId(unit.id);
                    (of_controller(id, quorum), quorum.leader == Some(id))
                };
                units.iter().map(stands).collect()
            }
            Observed::Ensemble { look, .. } => {
                let stands = |unit: &Unit| {
                    let id = ServerId(i64::from(unit.id));
                    (of_server(id, &look.seen), look.seen.leader() == Some(id))
                };
                units.iter().map(stands).collect()
            }
        })
    }

    /// The servers that were named, and what the record says of them.
    fn named(&self, record: Option<&Record>) -> Vec<Unit> {
        let is_done = |id: i32| record.is_some_and(|record| record.done.contains_key(&id));
        let unit = |id: &i32| Unit {
            id: *id,
            name: format!("{} {id}", self.kind.word()),
            set: String::new(),
            is_done: is_done(*id),
            standing: Standing::Complete,
            is_active: false,
            pod: None,
        };
        self.ids.iter().map(unit).collect()
    }

    /// The pods of the StatefulSets.
    async fn in_kubernetes(&self, context: &Context) -> anyhow::Result<Found> {
        let kubernetes = context.kubernetes().await?;
        let mut found = Found::default();
        for name in &self.sets {
            let set = kubernetes.stateful_set(name).await.context("failed to read the StatefulSet")?;
            let set = set.ok_or_else(|| Stop::usage(format!("there is no StatefulSet {name}")))?;
            found.held = found.held.or_else(|| held_by(&set));
            let pods = kubernetes.pods(&name.namespace, &set.selector).await.context("failed to read the pods")?;
            let pods: BTreeMap<u32, PodState> = pods
                .into_iter()
                .filter(|pod| pod.controller_uid.as_ref() == Some(&set.uid))
                .filter_map(|pod| Some((pod.ordinal()?, pod)))
                .collect();
            anyhow::ensure!(set.replicas <= FLEET_MAX, "StatefulSet {name} has {} pods", set.replicas);
            found.missing.extend(missing(&set, &pods));
            found.held = found.held.or_else(|| incomplete(&set, &pods));
            for (ordinal, pod) in pods {
                let unit = self.unit_of(&set, &pod, ordinal)?;
                if let Some((other, _)) = found.pods.insert(unit.id, (pod.clone(), set.clone())) {
                    let (id, kind) = (unit.id, self.kind.word());
                    let words = format!("two pods have {kind} id {id}: {} and {}", other.name, pod.name);
                    return Err(Stop::refused(words).into());
                }
                found.units.push(unit);
            }
        }
        Ok(found)
    }

    fn unit_of(&self, set: &StatefulSet, pod: &PodState, ordinal: u32) -> Result<Unit, Stop> {
        let id = match &self.ids_by {
            IdsBy::Label(label) => pod.labels.get(label).and_then(|id| id.parse().ok()).filter(|id| *id >= 0),
            IdsBy::Ordinal(first) => i32::try_from(ordinal).ok().and_then(|ordinal| first.checked_add(ordinal)),
        };
        let id = id.ok_or_else(|| {
            let how = match &self.ids_by {
                IdsBy::Label(label) => format!("its label {label} holds none"),
                IdsBy::Ordinal(_) => "its ordinal is too large".to_owned(),
            };
            let words = format!("the id of pod {} is not known: {how}; see --id-label and --first-id", pod.name);
            Stop::refused(words)
        })?;
        let is_done = pod.revision() == Some(&set.update_revision);
        let place = ordinal.saturating_sub(set.first_ordinal);
        let stepped = matches!(set.strategy, Strategy::Partition(_)).then_some(place);
        // Its StatefulSet may replace it already, and does so at any moment.
        let is_leaving = matches!(set.strategy, Strategy::Partition(from) if from <= place) && !is_done;
        Ok(Unit {
            id,
            name: format!("pod {} ({} {id})", pod.name.name, self.kind.word()),
            set: set.name.name.clone(),
            is_done,
            standing: Standing::Complete,
            is_active: false,
            pod: Some(PodSeen {
                uid: Some(pod.uid.clone()),
                node: pod.node.clone(),
                is_deleting: pod.is_deleting || is_leaving,
                is_ready: pod.is_ready,
                stuck: pod.stuck.clone(),
                stepped,
            }),
        })
    }
}

/// Why no pod of a StatefulSet may be stopped.
fn held_by(set: &StatefulSet) -> Option<String> {
    let name = &set.name;
    if !set.is_observed {
        return Some(format!("the controller of StatefulSet {name} has not seen its last change yet"));
    }
    let why = set.annotations.get(PAUSED).filter(|why| *why != "false")?;
    Some(format!("the roll is paused: StatefulSet {name} has the annotation {PAUSED}: {why}"))
}

/// The ordinals of a set's pods.
fn ordinals(set: &StatefulSet) -> Range<u32> {
    set.first_ordinal..set.first_ordinal.saturating_add(set.replicas)
}

/// The names of the pods that a StatefulSet lacks.
fn missing(set: &StatefulSet, pods: &BTreeMap<u32, PodState>) -> Vec<String> {
    let lacking = ordinals(set).filter(|ordinal| !pods.contains_key(ordinal));
    lacking.map(|ordinal| format!("{}-{ordinal}", set.name.name)).collect()
}

/// Why no pod of a StatefulSet may be stopped: one is missing, or one is there that the set does not have any more.
fn incomplete(set: &StatefulSet, pods: &BTreeMap<u32, PodState>) -> Option<String> {
    if let Some(name) = missing(set, pods).first() {
        return Some(format!("pod {name} is not there now"));
    }
    let surplus = pods.keys().find(|ordinal| !ordinals(set).contains(*ordinal))?;
    let (pod, set) = (format!("{}-{surplus}", set.name.name), &set.name);
    Some(format!("pod {pod} is one more than StatefulSet {set} is to have: it is being removed"))
}

/// Most servers of one StatefulSet.
const FLEET_MAX: u32 = 1_000;

/// Who the servers are.
#[derive(Debug, Default)]
struct Found {
    units: Vec<Unit>,
    held: Option<String>,
    pods: BTreeMap<i32, (PodState, StatefulSet)>,
    missing: Vec<String>,
}

/// Whether a broker answers and lists itself. One that others do not list is not asked: nobody knows where it would be.
async fn own(kafka: &dyn Kafka, sample: &Sample, broker: BrokerId) -> Result<bool, String> {
    if !sample.live().contains(&broker) {
        return Err("it is not listed".to_owned());
    }
    match kafka.metadata_of(broker, TopicSelection::None).await {
        Ok(view) => Ok(view.brokers.contains_key(&broker)),
        Err(error) => Err(error.to_string()),
    }
}
