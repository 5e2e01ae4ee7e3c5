//! Whose servers a roll restarts, and which locks keep everybody else from stopping some of them meanwhile: that of the Kafka
//! cluster; for ZooKeeper servers that of their ensemble, and of the Kafka clusters that it is known to serve, if any.

use anyhow::Context as _;

use crate::cluster::metadata::TopicSelection;
use crate::commands::ensemble::observe::sessions::{Connections, NotSeen};
use crate::commands::ensemble::plan::served::{self, Served};
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
    let served = connections.kafka_clusters(connections.timeout()).await.map_err(|why| match why {
        NotSeen::NoSession(why) => anyhow::anyhow!("failed to read which Kafka clusters the ensemble serves: {why}"),
        NotSeen::Unread(why) => Stop::refused(served::unknown(&why).to_string()).into(),
    })?;
    let named = named(context, &served).await?;
    let clusters = served::locked(&served, named.as_deref()).map_err(|refusal| Stop::refused(refusal.to_string()))?;
    let ensemble = connections.lock_id(connections.timeout()).await;
    let ensemble = ensemble.map_err(|why| anyhow::anyhow!("failed to read which ensemble this is: {why}"))?;
    let main = named.or_else(|| clusters.first().cloned());
    let id = main.clone().unwrap_or_else(|| ensemble.clone());
    let name = context.cluster_ref(&id).name.unwrap_or_else(|| id.clone());
    let own = Identity::of_ensemble_lock(&ensemble, &name);
    let record = if let Some(main) = &main {
        context.is_cluster(main)?;
        context.identity(Purpose::Disruption, main)
    } else {
        context.is_ensemble(&name, Some(&ensemble));
        own.clone()
    };
    // The ensemble's first, as `ensemble apply` takes them. The name of --cluster is that of one cluster.
    let of_cluster = |cluster: &String| {
        if main.as_ref() == Some(cluster) {
            record.clone()
        } else {
            context.identity_beside(Purpose::Disruption, cluster)
        }
    };
    let locks = std::iter::once(own).chain(clusters.iter().map(of_cluster)).collect();
    Ok(Whose { id, locks, record })
}

/// The id of the Kafka cluster that the flags name; none where they name none. It need not answer where its id is known without it.
async fn named(context: &Context, served: &Served) -> anyhow::Result<Option<String>> {
    let expected = context.flags.cluster_id.clone();
    if !context.names_kafka() {
        return Ok(expected);
    }
    match cluster_id(context).await {
        Ok(id) => Ok(Some(id)),
        Err(error) if expected.is_some() || !served.ids.is_empty() => {
            tracing::warn!(
                "the Kafka cluster does not answer; the clusters that the ensemble serves are locked: {error:#}"
            );
            Ok(expected)
        }
        Err(error) => Err(error),
    }
}
