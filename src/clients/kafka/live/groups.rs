//! Consumer groups that have members now: asked of every broker, since each one knows the groups that it coordinates.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Buf;
use bytes::Bytes;
use futures_util::future::try_join_all;
use kafka_protocol::messages::ConsumerGroupDescribeRequest;
use kafka_protocol::messages::ConsumerProtocolAssignment;
use kafka_protocol::messages::ConsumerProtocolSubscription;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::ListGroupsRequest;
use kafka_protocol::messages::ShareGroupDescribeRequest;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup as NewGroup;
use kafka_protocol::messages::consumer_group_describe_response::Member;
use kafka_protocol::messages::describe_groups_response::DescribedGroup as ClassicGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::share_group_describe_response::DescribedGroup as ShareGroup;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Message;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::patience::Patience;
use crate::cluster::broker::BrokerId;
use crate::cluster::group::LiveGroup;
use crate::cluster::topic::TopicName;

/// Groups in one request.
const GROUPS_MAX: usize = 500;

/// All live groups, ordered by id. Groups move from broker to broker; while they do, all brokers are asked again, since
/// a list with a hole would call a group dead that is not.
pub(super) async fn live(cluster: &Cluster) -> Result<Vec<LiveGroup>, KafkaError> {
    let deadline = cluster.deadline();
    let mut patience = Patience::until(deadline);
    loop {
        match everywhere(cluster, deadline).await {
            Ok(groups) => return Ok(groups.into_values().collect()),
            Err(error) if is_unsettled(&error) && patience.pause().await => cluster.refresh(deadline).await?,
            Err(error) => return Err(error),
        }
    }
}

fn is_unsettled(error: &KafkaError) -> bool {
    let codes = [
        codes::BROKER_NOT_AVAILABLE,
        codes::COORDINATOR_LOAD_IN_PROGRESS,
        codes::COORDINATOR_NOT_AVAILABLE,
        codes::NOT_COORDINATOR,
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

async fn everywhere(cluster: &Cluster, deadline: Instant) -> Result<BTreeMap<String, LiveGroup>, KafkaError> {
    let brokers = cluster.know_brokers(deadline).await?;
    let asked = brokers.into_iter().map(|broker| of_broker(cluster, broker, deadline));
    let groups = try_join_all(asked).await?.into_iter().flatten();
    Ok(groups.map(|group| (group.id.clone(), group)).collect())
}

/// The live groups that one broker coordinates.
async fn of_broker(cluster: &Cluster, broker: BrokerId, deadline: Instant) -> Result<Vec<LiveGroup>, KafkaError> {
    let (listed, _) = cluster.read(Target::Broker(broker), |_| ListGroupsRequest::default(), deadline).await?;
    if listed.error_code != 0 {
        return Err(KafkaError::broker(listed.error_code, Some("ListGroups failed")));
    }
    // Before Kafka 2.6 the list has no states; then each group is described. Before 3.8 it has no types.
    let dead = |group: &ListedGroup| matches!(group.group_state.as_str(), "Empty" | "Dead");
    let mut by_type: BTreeMap<String, Vec<ListedGroup>> = BTreeMap::new();
    for group in listed.groups.into_iter().filter(|group| !dead(group)) {
        by_type.entry(group.group_type.to_ascii_lowercase()).or_default().push(group);
    }
    let mut of_type = |name: &str| by_type.remove(name).unwrap_or_default();
    let mut live: Vec<_> = of_type("streams").iter().map(hidden_group).collect();
    for some in of_type("share").chunks(GROUPS_MAX) {
        live.extend(describe_share(cluster, broker, some, deadline).await?);
    }
    let new = of_type("consumer");
    let mut classic: Vec<_> = by_type.into_values().flatten().collect();
    for some in new.chunks(GROUPS_MAX) {
        let (groups, refused) = describe_new(cluster, broker, some, deadline).await?;
        live.extend(groups);
        classic.extend(refused);
    }
    for some in classic.chunks(GROUPS_MAX) {
        live.extend(describe_classic(cluster, broker, some, deadline).await?);
    }
    Ok(live)
}

/// Share groups (KIP-932).
async fn describe_share(
    cluster: &Cluster,
    broker: BrokerId,
    listed: &[ListedGroup],
    deadline: Instant,
) -> Result<Vec<LiveGroup>, KafkaError> {
    let ids: Vec<GroupId> = listed.iter().map(|group| group.group_id.clone()).collect();
    let make = |_| ShareGroupDescribeRequest::default().with_group_ids(ids.clone());
    let answer = match cluster.read(Target::Broker(broker), make, deadline).await {
        Ok((answer, _)) => answer,
        // Kafka 4.0 has them as an early access, with a request of their own.
        Err(KafkaError::Unsupported { .. }) => return Ok(listed.iter().map(hidden_group).collect()),
        Err(error) => return Err(error),
    };
    let told =
        answer.groups.iter().map(|one| told((one.error_code, &one.group_id, &one.error_message), || share_group(one)));
    told.filter_map(Result::transpose).collect()
}

/// Groups of the new protocol (KIP-848), and those that turned out to be none.
async fn describe_new(
    cluster: &Cluster,
    broker: BrokerId,
    listed: &[ListedGroup],
    deadline: Instant,
) -> Result<(Vec<LiveGroup>, Vec<ListedGroup>), KafkaError> {
    let ids: Vec<GroupId> = listed.iter().map(|group| group.group_id.clone()).collect();
    let make = |_| ConsumerGroupDescribeRequest::default().with_group_ids(ids.clone());
    let answer = match cluster.read(Target::Broker(broker), make, deadline).await {
        Ok((answer, _)) => answer,
        Err(KafkaError::Unsupported { .. }) => return Ok((Vec::new(), listed.to_vec())),
        Err(error) => return Err(error),
    };
    let mut live = Vec::new();
    let mut refused = Vec::new();
    for group in answer.groups {
        match group.error_code {
            0 => live.extend(new_group(&group)),
            codes::GROUP_ID_NOT_FOUND | codes::UNSUPPORTED_VERSION => {
                refused.extend(listed.iter().filter(|one| one.group_id == group.group_id).cloned());
            }
            code => return Err(group_error(code, group.group_id.as_str(), group.error_message.as_deref())),
        }
    }
    Ok((live, refused))
}

async fn describe_classic(
    cluster: &Cluster,
    broker: BrokerId,
    listed: &[ListedGroup],
    deadline: Instant,
) -> Result<Vec<LiveGroup>, KafkaError> {
    let ids: Vec<GroupId> = listed.iter().map(|group| group.group_id.clone()).collect();
    let make = |_| DescribeGroupsRequest::default().with_groups(ids.clone());
    let (answer, _) = cluster.read(Target::Broker(broker), make, deadline).await?;
    let told = answer
        .groups
        .iter()
        .map(|one| told((one.error_code, &one.group_id, &one.error_message), || classic_group(one)));
    told.filter_map(Result::transpose).collect()
}

/// What an answer tells of one group, by its code, id and message; none of one that ended between the two requests.
fn told(
    (code, id, message): (i16, &GroupId, &Option<StrBytes>),
    live: impl FnOnce() -> Option<LiveGroup>,
) -> Result<Option<LiveGroup>, KafkaError> {
    match code {
        0 => Ok(live()),
        codes::GROUP_ID_NOT_FOUND => Ok(None),
        code => Err(group_error(code, id.as_str(), message.as_deref())),
    }
}

fn group_error(code: i16, group: &str, message: Option<&str>) -> KafkaError {
    let message = message.filter(|text| !text.is_empty()).unwrap_or("it can't be described");
    KafkaError::broker(code, Some(&format!("group {group}: {message}")))
}

fn new_group(group: &NewGroup) -> Option<LiveGroup> {
    let assigned = |member: &Member| {
        let both = member.assignment.topic_partitions.iter().chain(&member.target_assignment.topic_partitions);
        both.map(|topic| topic.topic_name.to_string()).collect::<Vec<_>>()
    };
    let names = group.members.iter().flat_map(|member| {
        let subscribed = member.subscribed_topic_names.iter().map(|name| name.to_string());
        subscribed.chain(assigned(member)).collect::<Vec<_>>()
    });
    (!group.members.is_empty()).then(|| LiveGroup {
        id: group.group_id.to_string(),
        protocol_type: "consumer".to_owned(),
        state: group.group_state.to_string(),
        members: group.members.len(),
        topics: names.filter_map(|name| TopicName::new(name).ok()).collect(),
        hides_topics: false,
    })
}

fn share_group(group: &ShareGroup) -> Option<LiveGroup> {
    let names = group.members.iter().flat_map(|member| {
        let assigned = member.assignment.topic_partitions.iter().map(|topic| &topic.topic_name);
        member.subscribed_topic_names.iter().chain(assigned)
    });
    (!group.members.is_empty()).then(|| LiveGroup {
        id: group.group_id.to_string(),
        protocol_type: "share".to_owned(),
        state: group.group_state.to_string(),
        members: group.members.len(),
        topics: names.filter_map(|name| TopicName::new(name.as_str()).ok()).collect(),
        hides_topics: false,
    })
}

/// A group that is live by its state, and of which no request that we speak tells more.
fn hidden_group(group: &ListedGroup) -> LiveGroup {
    LiveGroup {
        id: group.group_id.to_string(),
        protocol_type: group.group_type.to_ascii_lowercase(),
        state: group.group_state.to_string(),
        members: 1,
        topics: BTreeSet::new(),
        hides_topics: true,
    }
}

fn classic_group(group: &ClassicGroup) -> Option<LiveGroup> {
    let consumers = group.protocol_type.as_str() == "consumer";
    let members = group.members.iter().filter(|_| consumers);
    let topics: BTreeSet<TopicName> = members
        .flat_map(|member| [subscribed(&member.member_metadata), assigned(&member.member_assignment)])
        .flatten()
        .collect();
    (!group.members.is_empty()).then(|| LiveGroup {
        id: group.group_id.to_string(),
        protocol_type: group.protocol_type.to_string(),
        state: group.group_state.to_string(),
        members: group.members.len(),
        topics,
        hides_topics: false,
    })
}

/// Topics in the bytes that a member joined with. A member that joins for the first time has none yet.
fn subscribed(bytes: &Bytes) -> Vec<TopicName> {
    let subscription: Option<ConsumerProtocolSubscription> = embedded(bytes);
    let topics = subscription.map(|subscription| subscription.topics).unwrap_or_default();
    topics.iter().filter_map(|name| TopicName::new(name.as_str()).ok()).collect()
}

/// Topics in the bytes that the group's leader gave a member. They are empty while the group rebalances.
fn assigned(bytes: &Bytes) -> Vec<TopicName> {
    let assignment: Option<ConsumerProtocolAssignment> = embedded(bytes);
    let topics = assignment.map(|assignment| assignment.assigned_partitions).unwrap_or_default();
    topics.iter().filter_map(|topic| TopicName::new(topic.topic.as_str()).ok()).collect()
}

/// Reads what clients put into a group's bytes: a version, then fields. Later versions only add fields at the end.
fn embedded<T: Decodable + Message>(bytes: &Bytes) -> Option<T> {
    let mut bytes = bytes.clone();
    let version = bytes.try_get_i16().ok().filter(|version| *version >= 0)?;
    T::decode(&mut bytes, version.min(T::VERSIONS.max)).ok()
}
