//! The whole look of a pass over a quorum: what its leader says, what each controller says of itself, who is registered, how joiners
//! keep up, and whether the leader was the same all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::clients::kafka::{Kafka, KafkaError, codes};
use crate::cluster::address::{Address, show_address};
use crate::cluster::broker::BrokerId;
use crate::cluster::config::{ConfigEntry, ConfigResource};
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::quorum::{Controllers, Endpoint, Features, NodeId, QuorumState};
use crate::cluster::reaction::Reaction;
use crate::cluster::visible;
use crate::commands::ensemble::plan::kraft::change::{Advice, Known, known};
use crate::commands::ensemble::plan::kraft::seen::{FETCH_TIMEOUT, SAMPLES_MIN, SeenQuorum};

/// How long one controller may take to say what it is.
const CONTROLLER_LIMIT: Duration = Duration::from_secs(2);

/// The time between two samples of a joiner.
const SAMPLE_EVERY: Duration = Duration::from_secs(2);

/// Most looks within a quarter more than [`FETCH_TIMEOUT`] at a voter whose directory is not the recorded one.
const DISK_LOOKS: u32 = 3;

/// Most controllers that are asked at once.
const CONTROLLERS_MAX: usize = 32;

/// Whether a controller joins the quorum by itself.
const AUTO_JOIN: &str = "controller.quorum.auto.join.enable";

/// The first level of `metadata.version` that Kafka 3.9 does not have: 4.0-IV0.
const KAFKA_4: i16 = 22;

/// Whether a node is broker, controller, or both.
const ROLES: &str = "process.roles";

/// What is answered while no controller leads.
const LEADERLESS: [i16; 4] =
    [codes::LEADER_NOT_AVAILABLE, codes::NOT_LEADER_OR_FOLLOWER, codes::REQUEST_TIMED_OUT, codes::NOT_CONTROLLER];

/// What a controller says of itself.
#[derive(Debug, Clone, Default)]
struct Own {
    features: Option<Features>,
    configs: Option<Vec<ConfigEntry>>,
}

/// Looks at everything that a pass goes by. `kafka` reaches the controllers themselves; what only they say stays unknown where
/// it reaches brokers.
pub async fn observe(kafka: &dyn Kafka, desired: Option<&DesiredQuorum>) -> Result<SeenQuorum, KafkaError> {
    kafka.begin_look();
    let quorum = described(kafka).await?;
    let first = (quorum.leader, quorum.leader_epoch);
    let mut seen = SeenQuorum { quorum, ..SeenQuorum::default() };
    if let Some(controllers) = registered(kafka).await? {
        seen.registered = endpoints(&seen.quorum, &controllers);
        seen.cluster_id = cluster_id(&controllers);
        let mut nodes: BTreeSet<NodeId> = seen.registered.keys().copied().collect();
        nodes.extend(seen.quorum.voters.iter().map(|voter| voter.key.id));
        let nodes: Vec<_> = nodes.into_iter().take(CONTROLLERS_MAX).collect();
        let said = join_all(nodes.iter().map(|node| own(kafka, *node))).await;
        take_over(&mut seen, &nodes.into_iter().zip(said).collect());
        ports(kafka, &controllers, &mut seen).await;
    }
    if seen.migrates.is_none() {
        // Where nobody could be asked who would know, what holds in the cluster may exclude it.
        let features = timeout(CONTROLLER_LIMIT, kafka.features(None)).await;
        seen.migrates = features.ok().and_then(Result::ok).filter(is_beyond_zookeeper).map(|_| false);
    }
    if let Some(desired) = desired {
        settle_disks(desired, &mut seen, async || kafka.quorum().await).await?;
        samples(kafka, desired, &mut seen).await?;
    }
    if first.0.is_some() {
        let last = kafka.quorum().await?;
        seen.leader_changed = first != (last.leader, last.leader_epoch);
    }
    Ok(seen)
}

/// The quorum. Where controllers answer and none of them reaches a leader in time, there is none.
async fn described(kafka: &dyn Kafka) -> Result<QuorumState, KafkaError> {
    let error = match kafka.quorum().await {
        Ok(quorum) => return Ok(quorum),
        Err(error) => error,
    };
    let is_silent =
        matches!(error, KafkaError::Unreachable { .. } | KafkaError::AnswerLost { .. } | KafkaError::TimedOut { .. });
    let is_leaderless = is_silent || error.code().is_some_and(|code| LEADERLESS.contains(&code));
    match kafka.controllers().await {
        Ok(_) if is_leaderless => Ok(QuorumState::default()),
        _ => Err(error),
    }
}

/// The controllers that are registered; none where brokers were asked, or controllers before Kafka 3.7.
async fn registered(kafka: &dyn Kafka) -> Result<Option<Controllers>, KafkaError> {
    match kafka.controllers().await {
        Ok(controllers) => Ok(Some(controllers)),
        Err(KafkaError::Unsupported { .. }) => Ok(None),
        Err(error) if error.code() == Some(codes::MISMATCHED_ENDPOINT_TYPE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where each registered controller listens, by the name that the voters have for the listener that was asked.
pub(super) fn endpoints(quorum: &QuorumState, controllers: &Controllers) -> BTreeMap<NodeId, Option<Endpoint>> {
    let name_of = |(node, endpoints): (&NodeId, &Vec<Endpoint>)| {
        let at = controllers.nodes.get(node)?;
        endpoints.iter().find(|it| it.host == at.host && it.port == at.port).map(|it| it.listener.clone())
    };
    let names: BTreeSet<String> = quorum.endpoints.iter().filter_map(name_of).collect();
    // Controllers that name one listener differently can't say how the joiner's is called.
    let name = names.first().filter(|_| names.len() == 1);
    let endpoint =
        |host: &str, port| name.map(|listener| Endpoint { listener: listener.clone(), host: host.to_owned(), port });
    controllers.nodes.iter().map(|(node, at)| (*node, endpoint(&at.host, at.port))).collect()
}

/// The cluster's id, where a controller shows one.
pub(super) fn cluster_id(controllers: &Controllers) -> Option<String> {
    Some(controllers.cluster_id.clone()).filter(|id| !id.is_empty())
}

async fn own(kafka: &dyn Kafka, node: NodeId) -> Own {
    let features = async { timeout(CONTROLLER_LIMIT, kafka.features(Some(node))).await.ok()?.ok() };
    let resource = [ConfigResource::Broker(BrokerId(node.0))];
    let keys = [AUTO_JOIN, ROLES];
    let configs = async {
        let answer = timeout(CONTROLLER_LIMIT, kafka.configs(&resource, Some(&keys))).await.ok()?;
        answer.ok()?.remove(&resource[0])?.ok()
    };
    let (features, configs) = tokio::join!(features, configs);
    Own { features, configs }
}

fn take_over(seen: &mut SeenQuorum, said: &BTreeMap<NodeId, Own>) {
    let value = |own: &Own, key: &str| {
        let entry = own.configs.as_ref()?.iter().find(|entry| entry.name == key)?;
        entry.value.clone()
    };
    seen.answers = said.iter().map(|(node, own)| (*node, own.features.is_some())).collect();
    let lacks = |features: &Features| features.supported.get("kraft.version").is_none_or(|levels| levels.max < 1);
    seen.without_kraft_version =
        said.iter().filter(|(_, own)| own.features.as_ref().is_some_and(lacks)).map(|(node, _)| *node).collect();
    let is_both =
        |own: &Own| value(own, ROLES).is_some_and(|roles| roles.split(',').any(|role| role.trim() == "broker"));
    seen.combined = said.iter().filter(|(_, own)| is_both(own)).map(|(node, _)| *node).collect();
    let features: BTreeMap<_, _> =
        said.iter().filter_map(|(node, own)| Some((*node, own.features.as_ref()?))).collect();
    seen.migrates = migrates(&features, seen.quorum.leader);
    seen.auto_join = auto_join(seen, said, value);
}

/// Whether a migration from ZooKeeper runs, by what controllers say of themselves. That some do not say so excludes it only where the
/// leader, which would carry it out, is one of them, or where nothing in the cluster knows ZooKeeper any more.
fn migrates(said: &BTreeMap<NodeId, &Features>, leader: Option<NodeId>) -> Option<bool> {
    if said.values().any(|features| features.zk_migration_ready) {
        return Some(true);
    }
    let is_excluded = said.values().any(|features| is_beyond_zookeeper(features))
        || leader.is_some_and(|leader| said.contains_key(&leader));
    is_excluded.then_some(false)
}

/// Whether a level of metadata.version holds that only Kafka 4.0 and later have, which have no ZooKeeper mode.
fn is_beyond_zookeeper(features: &Features) -> bool {
    features.level("metadata.version") >= KAFKA_4
}

/// What the ports of controllers show that gave no answer.
async fn ports(kafka: &dyn Kafka, controllers: &Controllers, seen: &mut SeenQuorum) {
    let silent = seen.answers.iter().filter(|(_, answers)| !**answers).map(|(node, _)| *node);
    let of_voter = |node: NodeId| {
        let endpoint = seen.quorum.endpoints.get(&node)?.first()?;
        Some(Address::new(&endpoint.host, endpoint.port))
    };
    let address = |node: NodeId| controllers.nodes.get(&node).cloned().or_else(|| of_voter(node));
    let asked: Vec<_> = silent.filter_map(|node| Some((node, address(node)?))).collect();
    let greeted = asked.into_iter().map(async |(node, at)| {
        let reaction = kafka.reaction(&at, CONTROLLER_LIMIT).await;
        (node, at, reaction)
    });
    let reactions = join_all(greeted).await;
    for (node, at, reaction) in reactions {
        match reaction {
            Reaction::Refused(why) => {
                let address = show_address(&visible::value(&at.host), at.port);
                seen.stopped.insert(node, format!("nothing listens on {address}: {why}"));
            }
            Reaction::Answered | Reaction::OtherAnswer | Reaction::HungUp | Reaction::Silent => {
                seen.hangs.insert(node);
            }
            // The machine may be gone, or cut off.
            Reaction::NotAccepted | Reaction::NoWay(_) => {}
        }
    }
}

/// On if any controller says so; off only if every voter that follows said so, or has a version without the key (before 4.2).
fn auto_join(
    seen: &SeenQuorum,
    said: &BTreeMap<NodeId, Own>,
    value: impl Fn(&Own, &str) -> Option<String>,
) -> Option<bool> {
    if said.values().any(|own| value(own, AUTO_JOIN).as_deref() == Some("true")) {
        return Some(true);
    }
    let runs = |node: NodeId| seen.answers.get(&node) == Some(&true);
    let mut running = seen.quorum.voters.iter().filter(|voter| seen.is_caught_up(voter) || runs(voter.key.id));
    let has_said = |node: NodeId| said.get(&node).is_some_and(|own| own.configs.is_some());
    (!seen.quorum.voters.is_empty() && running.all(|voter| has_said(voter.key.id))).then_some(false)
}

/// Looks again at voters whose directory is not the recorded one. The leader shows a process that ended a moment ago as one that
/// fetches, for as long as [`FETCH_TIMEOUT`]: two disks claim one id only if both are in use after that.
async fn settle_disks(
    desired: &DesiredQuorum,
    seen: &mut SeenQuorum,
    look: impl AsyncFn() -> Result<QuorumState, KafkaError>,
) -> Result<(), KafkaError> {
    let claims = |seen: &SeenQuorum| {
        let is_claimed =
            |(node, known): (&NodeId, &Known)| known.advice == Advice::IdConflict && seen.quorum.voter(*node).is_some();
        known(desired, seen).iter().any(is_claimed)
    };
    for _ in 0..DISK_LOOKS {
        if !claims(seen) {
            break;
        }
        sleep(FETCH_TIMEOUT.mul_f64(1.25) / DISK_LOOKS).await;
        seen.quorum = look().await?;
    }
    Ok(())
}

/// Looks again at controllers that could become voters: each must be caught up in every sample.
async fn samples(kafka: &dyn Kafka, desired: &DesiredQuorum, seen: &mut SeenQuorum) -> Result<(), KafkaError> {
    let joins = known(desired, seen).into_iter().filter(|(_, it)| it.advice == Advice::Add).map(|(node, _)| node);
    let is_caught_up = |seen: &SeenQuorum, node: NodeId| {
        let recorded = desired.members.get(&node).and_then(|member| member.directory);
        let mut replicas = seen.quorum.observers.iter();
        replicas.any(|it| it.key.id == node && it.key.directory == recorded && seen.is_caught_up(it))
    };
    let mut left: BTreeSet<NodeId> = joins.collect();
    seen.samples = left.iter().map(|node| (*node, 0)).collect();
    for sample in 1..=SAMPLES_MIN {
        left.retain(|node| is_caught_up(seen, *node));
        if left.is_empty() {
            break;
        }
        for node in &left {
            seen.samples.insert(*node, sample);
        }
        if sample < SAMPLES_MIN {
            sleep(SAMPLE_EVERY).await;
            seen.quorum = kafka.quorum().await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use jiff::{SignedDuration, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::cluster::ensemble::controllers::Controller;
    use crate::cluster::ensemble::desired::MemberState;
    use crate::cluster::quorum::{DirectoryId, QuorumReplica, ReplicaKey};

    fn directory(number: u128) -> DirectoryId {
        DirectoryId::of(Uuid::from_u128(number)).unwrap()
    }

    fn replica(node: i32, disk: u128, last_fetch: Timestamp) -> QuorumReplica {
        let key = ReplicaKey { id: NodeId(node), directory: Some(directory(disk)) };
        QuorumReplica { key, log_end_offset: Some(10), last_fetch: Some(last_fetch), last_caught_up: None }
    }

    /// Controller 2 runs with disk 22, which is recorded. Its old disk 2 fetched last this long before the leader's present time.
    fn with_new_disk(ago: SignedDuration) -> QuorumState {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        QuorumState {
            leader: Some(NodeId(1)),
            high_watermark: 10,
            voters: vec![replica(1, 1, now), replica(2, 2, now - ago), replica(3, 3, now)],
            observers: vec![replica(2, 22, now)],
            ..QuorumState::default()
        }
    }

    /// What is advised for controller 2 in the end, and after how many more looks. `ages`: when its old disk fetched last.
    async fn advised(ages: impl Fn(i64) -> i64) -> (Advice, i64) {
        let voter = |node: i32, disk| (NodeId(node), Controller::new(MemberState::Voter, Some(directory(disk))));
        let members = [voter(1, 1), voter(2, 22), voter(3, 3)].into();
        let desired = DesiredQuorum { size: 3, members, ..DesiredQuorum::default() };
        let at = |look| with_new_disk(SignedDuration::from_millis(ages(look)));
        let mut seen = SeenQuorum { quorum: at(0), ..SeenQuorum::default() };
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            Ok(at(looks.get()))
        };
        settle_disks(&desired, &mut seen, look).await.unwrap();
        (known(&desired, &seen)[&NodeId(2)].advice, looks.get())
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_disk_that_fetched_a_moment_ago_is_looked_at_until_it_is_known_whether_it_is_in_use() {
        assert_eq!(
            advised(|look| 900 + look * 850).await,
            (Advice::ForgetDisk, 2),
            "its process was stopped 900 ms ago"
        );
        assert_eq!(advised(|_| 300).await, (Advice::IdConflict, 3), "two processes run with one id");
        assert_eq!(advised(|_| 60_000).await, (Advice::ForgetDisk, 0), "nothing is in doubt");
    }

    fn said(node: i32, level: i16, ready: bool) -> (NodeId, Features) {
        let finalized = [("metadata.version".to_owned(), level)].into();
        (NodeId(node), Features { finalized, zk_migration_ready: ready, ..Features::default() })
    }

    fn judged(all: &[(NodeId, Features)]) -> Option<bool> {
        migrates(&all.iter().map(|(node, features)| (*node, features)).collect(), Some(NodeId(1)))
    }

    #[test]
    fn a_migration_is_excluded_by_the_leader_or_by_levels_without_zookeeper_and_by_nobody_else() {
        assert_eq!(judged(&[]), None, "nobody said anything");
        assert_eq!(judged(&[said(2, 21, false), said(3, 21, false)]), None, "the leader may migrate");
        assert_eq!(judged(&[said(1, 21, false)]), Some(false));
        assert_eq!(judged(&[said(1, 21, false), said(2, 21, true)]), Some(true));
        assert_eq!(judged(&[said(2, 22, false)]), Some(false), "Kafka 4.0 has no ZooKeeper mode");
    }
}
