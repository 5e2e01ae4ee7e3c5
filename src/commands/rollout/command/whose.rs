//! Whose servers a roll restarts, and which locks keep everybody else from stopping some of them meanwhile: that of the Kafka
//! cluster; for ZooKeeper servers that of their ensemble, and of the Kafka clusters that it is known to serve, if any.

use anyhow::Context as _;

use crate::cluster::metadata::TopicSelection;
use crate::cluster::visible;
use crate::commands::ensemble::observe::sessions::Connections;
use crate::commands::rollout::command::run::RunArgs;
use crate::commands::rollout::observe::fleet::Kind;
use crate::context::{Context, ZooKeeperFlags};
use crate::exit::Stop;
use crate::state::identity::{Identity, Purpose};

/// Whose servers are restarted.
#[derive(Debug)]
pub(super) struct Whose {
    /// The id by which names of objects and rights are found: the Kafka cluster's, else the ensemble's.
    pub(super) id: String,
    /// The locks, in the order in which they are taken.
    pub(super) locks: Vec<Identity>,
    /// What the roll's record belongs to.
    pub(super) record: Identity,
}

impl Whose {
    /// Asks the Kafka cluster, or the ensemble. Remembers whose servers they are, for the events.
    ///
    /// # Errors
    ///
    /// It does not answer; or it is not the one that is expected (`--cluster-id`).
    pub(super) async fn find(context: &mut Context, args: &RunArgs) -> anyhow::Result<Self> {
        if args.kind == Kind::Server {
            return of_ensemble(context, &args.zookeeper).await;
        }
        let id = match &args.controllers.bootstrap_controller {
            Some(_) if args.kind == Kind::Controller => {
                let controllers = context.quorum(&args.controllers).await?;
                controllers.controllers().await.context("failed to read the cluster's id")?.cluster_id
            }
            _ => cluster_id(context).await?,
        };
        context.is_cluster(&id)?;
        let record = context.identity(Purpose::Disruption, &id);
        Ok(Self { id, locks: vec![record.clone()], record })
    }
}

/// The id of the Kafka cluster that the flags name.
async fn cluster_id(context: &Context) -> anyhow::Result<String> {
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    Ok(metadata.cluster_id)
}

async fn of_ensemble(context: &mut Context, zookeeper: &ZooKeeperFlags) -> anyhow::Result<Whose> {
    if !context.names_zookeeper(zookeeper) {
        return Err(Stop::usage("--kind server needs --zookeeper HOST:PORT").into());
    }
    let connections = Connections::new(context.zookeeper_settings(zookeeper)?);
    let served = connections.kafka_id(connections.timeout()).await;
    let served = served.context("failed to read which Kafka cluster the ensemble serves")?;
    let clusters = clusters(context, served).await?;
    let ensemble = connections.lock_id(connections.timeout()).await;
    let ensemble = ensemble.map_err(|why| anyhow::anyhow!("failed to read which ensemble this is: {why}"))?;
    let id = clusters.first().unwrap_or(&ensemble).clone();
    let name = context.cluster_ref(&id).name.unwrap_or_else(|| id.clone());
    if clusters.is_empty() {
        context.is_ensemble(&name, Some(&ensemble));
    } else {
        context.is_cluster(&id)?;
    }
    // The ensemble's first, as `ensemble apply` takes them.
    let mut locks = vec![Identity::of_ensemble_lock(&ensemble, &name)];
    locks.extend(clusters.iter().map(|id| context.identity(Purpose::Disruption, id)));
    let record = locks.get(1).unwrap_or(&locks[0]).clone();
    Ok(Whose { id, locks, record })
}

/// The ids of the Kafka clusters that the ensemble serves, as far as they are known: of the one that the flags name, and of the one
/// that the ensemble names (`served`). A named cluster need not answer where its id is known without it.
async fn clusters(context: &Context, served: Option<String>) -> anyhow::Result<Vec<String>> {
    let expected = context.flags.cluster_id.clone();
    let mut ids = Vec::new();
    if context.names_kafka() {
        match (cluster_id(context).await, served.as_ref().or(expected.as_ref())) {
            (Ok(id), _) => ids.push(id),
            (Err(error), Some(known)) => {
                tracing::warn!(
                    "the Kafka cluster does not answer; the lock of {} is taken: {error:#}",
                    visible::value(known)
                );
            }
            (Err(error), None) => return Err(error),
        }
    }
    if let Some(served) = served
        && !ids.contains(&served)
    {
        ids.push(served);
    }
    if ids.is_empty() {
        ids.extend(expected);
    }
    Ok(ids)
}
