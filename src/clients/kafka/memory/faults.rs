//! What can go wrong on demand: the n-th call of a kind fails, or is carried out and its answer is lost.

use std::collections::BTreeMap;
use std::fmt;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::memory::Model;

/// The calls of the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `metadata`
    Metadata,
    /// `configs`
    DescribeConfigs,
    /// `create_topics`, also when it only asks
    CreateTopics,
    /// `create_partitions`, also when it only asks
    CreatePartitions,
    /// `delete_topics`
    DeleteTopics,
    /// `alter_configs`, also when it only asks
    AlterConfigs,
    /// `reassignments`
    ListReassignments,
    /// `alter_reassignments`
    AlterReassignments,
    /// `elect_leaders`
    ElectLeaders,
    /// `replica_sizes`
    DescribeLogDirs,
    /// `fenced_brokers`
    DescribeCluster,
    /// `catch_up`, `quorum`
    DescribeQuorum,
    /// `add_voter`
    AddRaftVoter,
    /// `remove_voter`
    RemoveRaftVoter,
    /// `unregister_broker`
    UnregisterBroker,
    /// `unregister_controller`
    UnregisterController,
    /// `controllers`
    DescribeControllers,
    /// `features`
    ApiVersions,
    /// `describe_partitions`
    DescribeTopicPartitions,
    /// `offsets`
    ListOffsets,
    /// `live_groups`
    ListGroups,
    /// `coordinator`
    FindCoordinator,
    /// `confirmed_coordinator`
    ConfirmCoordinator,
    /// `describe_lock`
    DescribeGroup,
    /// `join`, with and without a member id
    JoinGroup,
    /// `sync`
    SyncGroup,
    /// `heartbeat`
    Heartbeat,
    /// `leave`
    LeaveGroup,
}

impl Call {
    /// Whether the call may change the cluster.
    pub fn writes(self) -> bool {
        match self {
            Self::CreateTopics
            | Self::CreatePartitions
            | Self::DeleteTopics
            | Self::AlterConfigs
            | Self::AlterReassignments
            | Self::ElectLeaders
            | Self::AddRaftVoter
            | Self::RemoveRaftVoter
            | Self::UnregisterBroker
            | Self::UnregisterController => true,
            Self::Metadata
            | Self::DescribeConfigs
            | Self::ListReassignments
            | Self::DescribeLogDirs
            | Self::DescribeCluster
            | Self::DescribeQuorum
            | Self::DescribeControllers
            | Self::ApiVersions
            | Self::DescribeTopicPartitions
            | Self::ListOffsets
            | Self::ListGroups
            | Self::FindCoordinator
            | Self::ConfirmCoordinator
            | Self::DescribeGroup
            | Self::JoinGroup
            | Self::SyncGroup
            | Self::Heartbeat
            | Self::LeaveGroup => false,
        }
    }
}

type Edit = Box<dyn FnOnce(&mut Model) + Send>;

/// What happens at one call.
pub(super) enum Fault {
    /// It fails with this and nothing happens.
    Fail(KafkaError),
    /// It is carried out; its answer is lost.
    LoseAnswer,
    /// It is not carried out; nobody can tell.
    LoseRequest,
    /// Someone else changes the cluster just before.
    Before(Edit),
    /// Someone else changes the cluster just after.
    After(Edit),
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail(_) => "Fail",
            Self::LoseAnswer => "LoseAnswer",
            Self::LoseRequest => "LoseRequest",
            Self::Before(_) => "Before",
            Self::After(_) => "After",
        })
    }
}

/// Faults to come and calls so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// By call and its number, from 1.
    planned: BTreeMap<(Call, usize), Vec<Fault>>,
    /// Items that a broker refuses whenever they are written, by their name.
    refused: BTreeMap<(Call, String), KafkaError>,
    /// Whether no broker can be reached.
    pub(super) away: bool,
    /// All calls so far.
    pub(super) calls: Vec<Call>,
}

impl Faults {
    /// Plans a fault for the n-th call of a kind, counted from the twin's beginning.
    pub(super) fn plan(&mut self, call: Call, nth: usize, fault: Fault) {
        self.planned.entry((call, nth)).or_default().push(fault);
    }

    /// Lets one item fail always.
    pub(super) fn refuse(&mut self, call: Call, item: &str, error: KafkaError) {
        self.refused.insert((call, item.to_owned()), error);
    }

    /// Counts a call; gives what is planned for it.
    pub(super) fn begin(&mut self, call: Call) -> Vec<Fault> {
        self.calls.push(call);
        let nth = self.calls.iter().filter(|one| **one == call).count();
        self.planned.remove(&(call, nth)).unwrap_or_default()
    }

    /// Why an item is refused.
    pub(super) fn refusal(&self, call: Call, item: &str) -> Option<KafkaError> {
        self.refused.get(&(call, item.to_owned())).cloned()
    }
}
