//! The controller quorum in memory: what its leader answers, codes and words included.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::Quorum;
use crate::clients::kafka::codes;
use crate::clients::kafka::memory::Call;
use crate::clients::kafka::memory::Memory;
use crate::clients::kafka::memory::Model;
use crate::clients::kafka::memory::shown::unsupported;
use crate::cluster::address::Address;
use crate::cluster::broker::BrokerId;
use crate::cluster::quorum::Controllers;
use crate::cluster::quorum::DirectoryId;
use crate::cluster::quorum::Endpoint;
use crate::cluster::quorum::Features;
use crate::cluster::quorum::Levels;
use crate::cluster::quorum::NewVoter;
use crate::cluster::quorum::NodeId;
use crate::cluster::quorum::QuorumReplica;
use crate::cluster::quorum::QuorumState;
use crate::cluster::quorum::ReplicaKey;
use crate::cluster::reaction::Reaction;

/// The offset after the last record of the metadata log.
const END: i64 = 1_000;

/// The ids of the controllers that a new model has.
const CONTROLLERS: [i32; 3] = [101, 102, 103];

/// A quorum of the controllers 101, 102 and 103, led by the first; the directory of each is its id.
pub(super) fn three_voters() -> QuorumState {
    QuorumState {
        leader: Some(NodeId(CONTROLLERS[0])),
        leader_epoch: 1,
        high_watermark: END,
        voters: CONTROLLERS.map(|id| replica(id, u128::from(id.unsigned_abs()))).to_vec(),
        observers: Vec::new(),
        endpoints: CONTROLLERS.map(|id| (NodeId(id), vec![endpoint(id)])).into(),
    }
}

/// The same controllers, registered.
pub(super) fn three_controllers() -> BTreeMap<NodeId, Address> {
    CONTROLLERS.map(|id| (NodeId(id), Address { host: "127.0.0.1".to_owned(), port: port(id) })).into()
}

/// What stands in their files.
pub(super) fn files() -> BTreeMap<NodeId, BTreeMap<String, String>> {
    let file = [("process.roles", "controller"), ("controller.quorum.auto.join.enable", "false")];
    let file: BTreeMap<_, _> = file.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    CONTROLLERS.map(|id| (NodeId(id), file.clone())).into()
}

/// What a node of Kafka 4.3 says of a dynamic quorum.
pub(super) fn features() -> Features {
    let supported = [("metadata.version", (7, 30)), ("kraft.version", (0, 1)), ("group.version", (0, 1))];
    let finalized = [("metadata.version", 30), ("kraft.version", 1), ("group.version", 1)];
    Features {
        supported: supported.map(|(name, (min, max))| (name.to_owned(), Levels { min, max })).into(),
        finalized: finalized.map(|(name, level)| (name.to_owned(), level)).into(),
        finalized_at: Some(END),
        zk_migration_ready: false,
    }
}

/// A replica at the end of the log.
fn replica(id: i32, directory: u128) -> QuorumReplica {
    QuorumReplica {
        key: ReplicaKey { id: NodeId(id), directory: DirectoryId::of(Uuid::from_u128(directory)) },
        log_end_offset: Some(END),
        last_fetch: None,
        last_caught_up: None,
    }
}

fn endpoint(id: i32) -> Endpoint {
    Endpoint { listener: "CONTROLLER".to_owned(), host: "127.0.0.1".to_owned(), port: port(id) }
}

fn port(id: i32) -> u16 {
    u16::try_from(9_092 + id).unwrap_or(u16::MAX)
}

impl Memory {
    fn change<T>(
        &self,
        call: Call,
        item: &T,
        change: impl Fn(&mut Model, &T) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        let results = match self.refused(Mode::Apply, 1) {
            Some(refused) => refused,
            None => self.write(call, std::slice::from_ref(item), |_| String::new(), change),
        };
        results.into_iter().next().unwrap_or(Ok(()))
    }
}

#[async_trait]
impl Quorum for Memory {
    async fn quorum(&self) -> Result<QuorumState, KafkaError> {
        self.read(Call::DescribeQuorum, |model| {
            if model.kraft { Ok(model.quorum.clone()) } else { Err(unsupported("DescribeQuorum", "3.3")) }
        })
    }

    async fn add_voter(&self, voter: &NewVoter) -> Result<(), KafkaError> {
        self.change(Call::AddRaftVoter, voter, add)
    }

    async fn remove_voter(&self, voter: ReplicaKey) -> Result<(), KafkaError> {
        self.change(Call::RemoveRaftVoter, &voter, remove)
    }

    async fn unregister_broker(&self, broker: BrokerId) -> Result<(), KafkaError> {
        self.change(Call::UnregisterBroker, &broker, |model, broker| forget_broker(model, *broker))
    }

    async fn unregister_controller(&self, controller: NodeId) -> Result<(), KafkaError> {
        self.change(Call::UnregisterController, &controller, |model, controller| forget_controller(model, *controller))
    }

    async fn controllers(&self) -> Result<Controllers, KafkaError> {
        self.read(Call::DescribeControllers, |model| {
            if !model.kraft {
                return Err(unsupported("DescribeCluster of controllers", "3.7"));
            }
            if !model.is_controllers {
                return Err(KafkaError::broker(
                    codes::MISMATCHED_ENDPOINT_TYPE,
                    Some("this listener belongs to a broker"),
                ));
            }
            let (cluster_id, nodes) = (model.cluster_id.clone(), model.controllers.clone());
            Ok(Controllers { cluster_id, active: model.quorum.leader, nodes })
        })
    }

    async fn features(&self, node: Option<NodeId>) -> Result<Features, KafkaError> {
        self.read(Call::ApiVersions, |model| match node {
            Some(node) if model.is_controllers && !model.controller_files.contains_key(&node) => {
                let message = format!("controller {node} does not answer");
                Err(KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some(&message)))
            }
            _ => Ok(model.features.clone()),
        })
    }

    async fn reaction(&self, at: &Address, _: Duration) -> Reaction {
        self.look(|model| {
            let node = model.controllers.iter().find(|(_, address)| *address == at).map(|(node, _)| *node);
            match node {
                Some(node) if model.frozen_controllers.contains(&node) => Reaction::Silent,
                Some(node) if model.controller_files.contains_key(&node) => Reaction::Answered,
                None if model.brokers.values().any(|it| it.host == at.host && it.port == at.port) => Reaction::Answered,
                _ => Reaction::Refused("connection refused".to_owned()),
            }
        })
    }
}

/// Refuses what a cluster can't do whose voters can't be changed.
fn check_dynamic(model: &Model, request: &'static str, verb: &str) -> Result<(), KafkaError> {
    if !model.kraft {
        return Err(unsupported(request, "3.9"));
    }
    if !model.quorum.is_dynamic() {
        let message = format!("Cluster doesn't support {verb} voter because the kraft.version feature is 0");
        return Err(KafkaError::broker(codes::UNSUPPORTED_VERSION, Some(&message)));
    }
    Ok(())
}

fn add(model: &mut Model, new: &NewVoter) -> Result<(), KafkaError> {
    check_dynamic(model, "AddRaftVoter", "adding")?;
    let key = ReplicaKey { id: new.id, directory: Some(new.directory) };
    let quorum = &mut model.quorum;
    if quorum.voter(new.id).is_some() {
        let message = format!("The voter id for {key} is already part of the set of voters");
        return Err(KafkaError::broker(codes::DUPLICATE_VOTER, Some(&message)));
    }
    let Some(at) = quorum.observers.iter().position(|observer| observer.key == key) else {
        let why = "REQUEST_TIMED_OUT (7): Aborted add voter operation since it is lagging behind".to_owned();
        return Err(KafkaError::AnswerLost { request: "AddRaftVoter".to_owned(), why });
    };
    let observer = quorum.observers.remove(at);
    quorum.voters.push(observer);
    quorum.endpoints.insert(new.id, new.endpoints.clone());
    Ok(())
}

fn remove(model: &mut Model, key: &ReplicaKey) -> Result<(), KafkaError> {
    check_dynamic(model, "RemoveRaftVoter", "removing")?;
    let quorum = &mut model.quorum;
    let at = quorum.voters.iter().position(|voter| voter.key == *key).filter(|_| quorum.voters.len() > 1);
    let Some(at) = at else {
        let message = format!("Cannot remove voter {key} from the set of voters");
        return Err(KafkaError::broker(codes::VOTER_NOT_FOUND, Some(&message)));
    };
    let voter = quorum.voters.remove(at);
    quorum.observers.push(voter);
    quorum.endpoints.remove(&key.id);
    if quorum.leader == Some(key.id) {
        quorum.leader = quorum.voters.first().map(|voter| voter.key.id);
        quorum.leader_epoch += 1;
    }
    Ok(())
}

fn forget_broker(model: &mut Model, broker: BrokerId) -> Result<(), KafkaError> {
    if !model.kraft {
        return Err(unsupported("UnregisterBroker", "2.8"));
    }
    if model.brokers.remove(&broker).is_none() && model.stopped.remove(&broker).is_none() {
        let message = format!("Broker ID {broker} is not currently registered");
        return Err(KafkaError::broker(codes::BROKER_ID_NOT_REGISTERED, Some(&message)));
    }
    Ok(())
}

/// As Kafka 4.4 does it; without its feature level the request is not understood.
fn forget_controller(model: &mut Model, controller: NodeId) -> Result<(), KafkaError> {
    if !model.kraft || model.features.level("metadata.version") < 33 {
        return Err(unsupported("UnregisterController", "4.4"));
    }
    if model.quorum.leader == Some(controller) {
        return Err(KafkaError::broker(codes::INVALID_REQUEST, Some("The active controller can't be unregistered")));
    }
    if model.controllers.remove(&controller).is_none() {
        let message = format!("Controller ID {controller} is not currently registered");
        return Err(KafkaError::broker(codes::CONTROLLER_ID_NOT_REGISTERED, Some(&message)));
    }
    Ok(())
}
