//! Consumer groups that have members now: asked of every broker, since each one knows the groups that it coordinates.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use kafka_protocol::messages::ConsumerGroupDescribeRequest;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::ListGroupsRequest;
use kafka_protocol::messages::ShareGroupDescribeRequest;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup as NewGroup;
use kafka_protocol::messages::consumer_group_describe_response::Member;
use kafka_protocol::messages::describe_groups_response::DescribedGroup as ClassicGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::share_group_describe_response::DescribedGroup as ShareGroup;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::member_bytes::assigned;
use crate::clients::kafka::live::member_bytes::subscribed;
use crate::clients::kafka::patience::Patience;
use crate::cluster::broker::BrokerId;
use crate::cluster::group::LOCK_PROTOCOL_TYPE;
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
    let unanswered = unanswered(listed, answer.groups.iter().map(|one| &one.group_id));
    told.filter_map(Result::transpose).chain(unanswered.into_iter().map(Ok)).collect()
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
    let mut live = unanswered(listed, answer.groups.iter().map(|one| &one.group_id));
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
    let unanswered = unanswered(listed, answer.groups.iter().map(|one| &one.group_id));
    told.filter_map(Result::transpose).chain(unanswered.into_iter().map(Ok)).collect()
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
    let partitions_of = |member: &Member| {
        let both = member.assignment.topic_partitions.iter().chain(&member.target_assignment.topic_partitions);
        both.map(|topic| topic.topic_name.to_string()).collect::<Vec<_>>()
    };
    let names = group.members.iter().flat_map(|member| {
        let subscribed = member.subscribed_topic_names.iter().map(|name| name.to_string());
        subscribed.chain(partitions_of(member)).collect::<Vec<_>>()
    });
    // Which topics a pattern means is known once their partitions are assigned.
    let has_pattern = group
        .members
        .iter()
        .any(|member| member.subscribed_topic_regex.as_ref().is_some_and(|pattern| !pattern.is_empty()));
    let is_assigned = group.members.iter().any(|member| !partitions_of(member).is_empty());
    (!group.members.is_empty()).then(|| LiveGroup {
        id: group.group_id.to_string(),
        protocol_type: "consumer".to_owned(),
        state: group.group_state.to_string(),
        members: group.members.len(),
        topics: names.filter_map(|name| TopicName::new(name).ok()).collect(),
        hides_topics: has_pattern && !(is_assigned && group.group_state.as_str() == "Stable"),
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
    let (topics, hides_topics) = match group.protocol_type.as_str() {
        "consumer" => read_by(group),
        // Workers of Kafka Connect and schema registries, which elect a leader, and our own locks.
        "connect" | "sr" | LOCK_PROTOCOL_TYPE => (BTreeSet::new(), false),
        _ => (BTreeSet::new(), true),
    };
    (!group.members.is_empty()).then(|| LiveGroup {
        id: group.group_id.to_string(),
        protocol_type: group.protocol_type.to_string(),
        state: group.group_state.to_string(),
        members: group.members.len(),
        topics,
        hides_topics,
    })
}

/// What the members of a classic group of consumers read, and whether that may be more: brokers show the bytes of members
/// only while the group is stable, and do not check them.
fn read_by(group: &ClassicGroup) -> (BTreeSet<TopicName>, bool) {
    let of_members = group
        .members
        .iter()
        .flat_map(|member| [subscribed(&member.member_metadata), assigned(&member.member_assignment)]);
    let (known, unknown): (Vec<_>, Vec<_>) = of_members.partition(Option::is_some);
    (known.into_iter().flatten().flatten().collect(), !unknown.is_empty())
}

/// Groups that were listed, but that an answer does not name: they are live, and nothing else is known of them.
fn unanswered<'a>(listed: &[ListedGroup], answered: impl Iterator<Item = &'a GroupId>) -> Vec<LiveGroup> {
    let answered: BTreeSet<&str> = answered.map(|id| id.as_str()).collect();
    listed.iter().filter(|group| !answered.contains(group.group_id.as_str())).map(hidden_group).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;

    use super::*;

    const ORDERS: &[u8] = b"\0\x01\0\0\0\x01\0\x06orders\0\0\0\0\0\0\0\0";

    fn classic(protocol_type: &'static str, members: &[(&'static [u8], &'static [u8])]) -> LiveGroup {
        let members = members.iter().map(|(metadata, assignment)| {
            DescribedGroupMember::default()
                .with_member_metadata(Bytes::from_static(metadata))
                .with_member_assignment(Bytes::from_static(assignment))
        });
        let group = ClassicGroup::default()
            .with_protocol_type(StrBytes::from_static_str(protocol_type))
            .with_members(members.collect());
        classic_group(&group).unwrap()
    }

    fn reads(group: &LiveGroup) -> (Vec<&str>, bool) {
        (group.topics.iter().map(TopicName::as_str).collect(), group.hides_topics)
    }

    #[test]
    fn members_whose_bytes_can_be_read_hide_nothing() {
        assert_eq!(reads(&classic("consumer", &[(ORDERS, b"")])), (vec!["orders"], false));
        assert_eq!(reads(&classic("consumer", &[(ORDERS, b""), (ORDERS, b"\0\0\0\0\0\0")])), (vec!["orders"], false));
    }

    #[test]
    fn a_member_whose_bytes_can_not_be_read_may_read_anything() {
        let strange: [(&[u8], &[u8]); 4] = [(b"?", b""), (ORDERS, b"?"), (b"", b""), (b"\0\x01\x7f\xff\xff\xff", b"")];
        for bytes in strange {
            assert!(classic("consumer", &[(ORDERS, b""), bytes]).hides_topics, "{bytes:?}");
        }
    }

    #[test]
    fn workers_of_connect_registries_and_our_locks_read_nothing_whatever_their_bytes() {
        for protocol_type in ["connect", "sr", "toolbox-lock"] {
            assert_eq!(reads(&classic(protocol_type, &[(b"?", b"?"), (b"", b"")])), (vec![], false), "{protocol_type}");
        }
    }

    #[test]
    fn a_group_of_a_protocol_that_is_not_known_may_read_anything() {
        for protocol_type in ["", "Consumer", "connect-2", "of-our-own", "share"] {
            assert!(classic(protocol_type, &[(ORDERS, b"")]).hides_topics, "{protocol_type}");
        }
    }

    #[test]
    fn a_group_that_an_answer_leaves_out_may_read_anything() {
        let id = |id: &'static str| GroupId(StrBytes::from_static_str(id));
        let listed = ["a", "b"].map(|one| ListedGroup::default().with_group_id(id(one)));
        let left_out = unanswered(&listed, [id("a")].iter());
        assert_eq!(
            left_out.iter().map(|group| (group.id.as_str(), group.hides_topics)).collect::<Vec<_>>(),
            [("b", true)]
        );
    }

    #[test]
    fn a_pattern_whose_topics_are_not_assigned_yet_may_mean_any_topic() {
        let text = StrBytes::from_static_str;
        let member = Member::default().with_subscribed_topic_regex(Some(text("ord.*")));
        let group = |state, member: &Member| {
            let group = NewGroup::default().with_group_state(text(state)).with_members(vec![member.clone()]);
            new_group(&group).unwrap().hides_topics
        };
        assert!(group("Stable", &member));
        let mut assigned = member.clone();
        let topic = kafka_protocol::messages::consumer_group_describe_response::TopicPartitions::default();
        assigned.assignment.topic_partitions = vec![topic.with_topic_name(text("orders").into())];
        assert!(!group("Stable", &assigned));
        assert!(group("Assigning", &assigned));
        assert!(!group("Assigning", &Member::default().with_subscribed_topic_names(vec![text("orders").into()])));
    }
}
