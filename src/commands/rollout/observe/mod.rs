//! Reads what a verdict needs: one look at a cluster ([`brokers`]), at its quorum, or at an ensemble ([`servers`]).

pub mod back;
pub mod brokers;
pub mod fleet;
pub mod pod;
pub mod servers;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::quorum::{NodeId, QuorumState};
use crate::commands::ensemble::observe::servers::Look;
use crate::commands::rollout::verdict::seen::Sample;
use crate::commands::rollout::verdict::{ReasonCode, Terms, Verdict, broker, controller, server};
use crate::context::{Context, ControllerArgs, ZooKeeperFlags};

/// Which server may stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A broker.
    Broker(BrokerId),
    /// A KRaft controller.
    Controller(NodeId),
    /// A ZooKeeper server.
    Server {
        /// Its id.
        id: ServerId,
        /// How its ensemble is reached.
        zookeeper: Box<ZooKeeperFlags>,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::Controller(id) => write!(f, "controller {id}"),
            Self::Server { id, .. } => write!(f, "server {id}"),
        }
    }
}

/// One look, as `--save-observed` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// At a cluster, for a broker.
    Brokers(Box<Sample>),
    /// At a quorum of controllers.
    Quorum {
        /// When.
        at: Timestamp,
        /// The quorum.
        quorum: Box<QuorumState>,
    },
    /// At a ZooKeeper ensemble.
    Ensemble {
        /// When.
        at: Timestamp,
        /// The servers.
        look: Box<Look>,
    },
}

impl Observed {
    /// When it was made.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Brokers(sample) => sample.at,
            Self::Quorum { at, .. } | Self::Ensemble { at, .. } => *at,
        }
    }

    /// Whether a server may stop by this look.
    pub fn judge(&self, subject: &Subject, terms: &Terms) -> Verdict {
        match (self, subject) {
            (Self::Brokers(sample), Subject::Broker(broker)) => broker::may_stop(*broker, sample, terms),
            (Self::Quorum { quorum, .. }, Subject::Controller(node)) => controller::may_stop(*node, quorum),
            (Self::Ensemble { look, .. }, Subject::Server { id, .. }) => server::may_stop(*id, &look.seen, terms),
            _ => {
                let mut verdict = Verdict::default();
                verdict.refuses(ReasonCode::NotKnown, format!("what was observed is not about {subject}"));
                verdict
            }
        }
    }
}

/// Looks once. `turn` says with which of the other brokers to begin.
pub async fn look(
    context: &Context,
    subject: &Subject,
    controllers: &ControllerArgs,
    turn: usize,
) -> anyhow::Result<Observed> {
    match subject {
        Subject::Broker(id) => {
            let kafka = context.kafka().await?;
            Ok(Observed::Brokers(Box::new(brokers::look(kafka.as_ref(), *id, turn, context.steady().now()).await?)))
        }
        Subject::Controller(_) => {
            let quorum = context.quorum(controllers).await?;
            quorum.begin_look();
            Ok(Observed::Quorum { at: context.steady().now(), quorum: Box::new(quorum.quorum().await?) })
        }
        Subject::Server { zookeeper, .. } => {
            let look = servers::look(context, zookeeper).await?;
            Ok(Observed::Ensemble { at: context.steady().now(), look: Box::new(look) })
        }
    }
}
