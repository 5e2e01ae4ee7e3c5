//! Which server, and what is taken for granted: flags that several verbs have.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use crate::cluster::broker::{BrokerId, BrokerRange};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::quorum::NodeId;
use crate::cluster::topic::TopicName;
use crate::commands::rollout::observe::Subject;
use crate::commands::rollout::verdict::Terms;
use crate::context::{ZooKeeperFlags, duration};
use crate::exit::Stop;

/// Which server.
#[derive(Debug, Clone, Args)]
pub(super) struct WhichArgs {
    /// A broker, by its id
    #[arg(long, value_name = "ID", required_unless_present_any = ["controller", "server"])]
    broker: Option<BrokerId>,

    /// A KRaft controller, by its node id
    #[arg(long, value_name = "ID", conflicts_with_all = ["broker", "server"])]
    controller: Option<BrokerId>,

    /// A ZooKeeper server, by its id (`myid`)
    #[arg(long, value_name = "ID", conflicts_with = "broker")]
    server: Option<ServerId>,

    #[command(flatten)]
    zookeeper: ZooKeeperFlags,
}

impl WhichArgs {
    /// The server that is named.
    pub(super) fn subject(&self) -> Result<Subject, Stop> {
        match (self.broker, self.controller, self.server) {
            (Some(broker), ..) => Ok(Subject::Broker(broker)),
            (None, Some(controller), _) => Ok(Subject::Controller(NodeId(controller.0))),
            (None, None, Some(id)) => Ok(Subject::Server { id, zookeeper: Box::new(self.zookeeper.clone()) }),
            _ => Err(Stop::usage("which server? give --broker, --controller, or --server with --zookeeper")),
        }
    }
}

/// What is taken for granted.
#[derive(Debug, Clone, Args)]
pub(super) struct RuleArgs {
    /// Accept that partitions with a single replica have no leader, or that a quorum of one or two has no majority, while
    /// the server is out
    #[arg(long, env = "TOOLBOX_ROLLOUT_ACCEPT_UNAVAILABLE", help_heading = "Rules")]
    accept_unavailable: bool,

    /// Accept it for the partitions of this topic; may be repeated
    #[arg(long, value_name = "TOPIC", help_heading = "Rules")]
    accept_topic: Vec<TopicName>,

    /// Brokers that must be registered, as `1001-1006,2001`, beside those that have replicas
    #[arg(long, value_name = "BROKERS", value_delimiter = ',', help_heading = "Rules")]
    expect_brokers: Vec<BrokerRange>,

    /// Brokers that are gone for good, as `1001,1005`: they need not be registered although they have replicas
    #[arg(long, value_name = "BROKERS", value_delimiter = ',', help_heading = "Rules")]
    ignore_brokers: Vec<BrokerRange>,

    /// How many partition moves may be running
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = "Rules")]
    moves_max: usize,

    /// Time between two looks that must both allow a stop
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, help_heading = "Rules")]
    apart: Duration,
}

impl RuleArgs {
    /// The same for a verdict.
    pub(super) fn terms(&self) -> Terms {
        let ids = |ranges: &[BrokerRange]| ranges.iter().flat_map(BrokerRange::ids).collect::<BTreeSet<_>>();
        Terms {
            expected: ids(&self.expect_brokers),
            ignored: ids(&self.ignore_brokers),
            moves_max: self.moves_max,
            accepts_unavailable: self.accept_unavailable,
            accepted_topics: self.accept_topic.iter().cloned().collect(),
            is_process_gone: false,
        }
    }

    /// Time between two looks that must agree.
    pub(super) fn apart(&self) -> Duration {
        self.apart
    }
}
