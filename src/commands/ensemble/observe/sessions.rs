//! Sessions with the servers of an ensemble: what each has as configuration, the ensemble's id, and what the quorum has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sha2::{Digest as _, Sha256};

use crate::clients::kafka::settings::Settings as Words;
use crate::clients::zookeeper::live::Live;
use crate::clients::zookeeper::settings::Settings;
use crate::clients::zookeeper::{Refusal, ZooKeeper, ZooKeeperError};
use crate::cluster::address::Address;
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::{EnsembleConfig, Membership};
use crate::commands::ensemble::observe::clusters;
use crate::commands::ensemble::plan::served::Served;
use crate::formats::ensemble_config::read;

/// Below this node is all that the toolbox keeps in an ensemble.
pub const FOLDER: &str = "/kafka-toolbox";

/// The node that holds the ensemble's id.
pub const ID_PATH: &str = "/kafka-toolbox/ensemble-id";

/// The node that is written after each change: only an ordinary write makes the new configuration active.
pub const CHANGES_PATH: &str = "/kafka-toolbox/changes";

/// Longest id of an ensemble, in bytes.
const ID_BYTES_MAX: usize = 256;

/// How the servers of an ensemble are reached.
#[derive(Debug, Clone)]
pub struct Connections {
    settings: Settings,
    chroot: String,
}

/// What one server has, without `sync`.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    /// The configuration.
    pub(super) config: Option<EnsembleConfig>,
    /// The ensemble's id.
    pub(super) ensemble_id: Option<String>,
    /// Why that could not be read.
    pub(super) id_unread: Option<String>,
}

impl Connections {
    /// With these settings; a chroot counts only for finding the clusters that the ensemble serves.
    pub fn new(settings: Settings) -> Self {
        let chroot = settings.chroot.clone();
        Self { settings: Settings { chroot: String::new(), ..settings }, chroot }
    }

    /// The servers that were named.
    pub fn named(&self) -> &[Address] {
        &self.settings.addresses
    }

    /// The settings for four-letter words.
    pub fn words(&self, limit: Duration) -> Words {
        self.settings.of_words(limit)
    }

    /// The longest call: `--timeout`.
    pub fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// A session with the first of these servers that gives one. Connecting, and each call, take as long as `limit` at most.
    pub async fn session(&self, addresses: &[Address], limit: Duration) -> Result<Live, ZooKeeperError> {
        let (addresses, timeout) = (addresses.to_vec(), limit.min(self.settings.timeout));
        Live::connect(Settings { addresses, timeout, ..self.settings.clone() }).await
    }

    /// What the quorum has, by way of one of these servers: read after `sync`.
    pub async fn quorum(&self, addresses: &[Address], limit: Duration) -> Result<EnsembleConfig, String> {
        let session = self.session(addresses, limit).await.map_err(|error| error.to_string())?;
        let config = match session.sync("/").await {
            Ok(()) => config(&session).await,
            Err(error) => Err(error.to_string()),
        };
        leave(&session).await;
        config
    }

    /// What one of these servers has, without `sync`.
    pub async fn unsynced(&self, addresses: &[Address], limit: Duration) -> Result<EnsembleConfig, String> {
        let session = self.session(addresses, limit).await.map_err(|error| error.to_string())?;
        let config = config(&session).await;
        leave(&session).await;
        config
    }

    /// What each of these servers has itself.
    pub(super) async fn own(&self, servers: &BTreeMap<ServerId, Address>, limit: Duration) -> Vec<(ServerId, Own)> {
        let one = async |id: ServerId, address: Address| {
            let session = match self.session(&[address], limit).await {
                Ok(session) => session,
                Err(error) => return (id, Own { id_unread: Some(error.to_string()), ..Own::default() }),
            };
            let config = config(&session).await.ok();
            let (ensemble_id, id_unread) = match id_of(&session).await {
                Ok(found) => (found, None),
                Err(error) => (None, Some(error.to_string())),
            };
            leave(&session).await;
            (id, Own { config, ensemble_id, id_unread })
        };
        let asked: FuturesUnordered<_> = servers.iter().map(|(id, address)| one(*id, address.clone())).collect();
        asked.collect().await
    }

    /// Whether the ensemble has Kafka's node `/migration` beside those of a cluster, at the chroot that was named or at the root:
    /// then that cluster's migration to KRaft was begun, and Kafka leaves the node behind. By way of one of these servers.
    pub async fn migrates(&self, addresses: &[Address], limit: Duration) -> Result<bool, String> {
        let session = self.session(addresses, limit).await.map_err(|error| error.to_string())?;
        let roots = BTreeSet::from([self.chroot.as_str(), ""]);
        let mut found = Ok(false);
        for root in roots {
            found = match found {
                Ok(false) => is_migrating(&session, root).await.map_err(|error| error.to_string()),
                known => known,
            };
        }
        leave(&session).await;
        found
    }

    /// The ensemble's id; none where it has none yet.
    pub async fn ensemble_id(&self, addresses: &[Address], limit: Duration) -> Result<Option<String>, String> {
        let session = self.session(addresses, limit).await.map_err(|error| error.to_string())?;
        let id = id_of(&session).await.map_err(|error| error.to_string());
        leave(&session).await;
        id
    }

    /// The ensemble's id, and its configuration, as the quorum has them by way of one of these servers: read after `sync`. None where
    /// there is no id, and where the configuration can't be read.
    pub async fn identity(
        &self,
        addresses: &[Address],
        limit: Duration,
    ) -> Result<(Option<String>, Option<EnsembleConfig>), String> {
        let session = self.session(addresses, limit).await.map_err(|error| error.to_string())?;
        let id = match session.sync("/").await {
            Ok(()) => id_of(&session).await,
            Err(error) => Err(error),
        };
        let config = config(&session).await.ok();
        leave(&session).await;
        Ok((id.map_err(|error| error.to_string())?, config))
    }

    /// What locks know the ensemble by: its id, however it is addressed. One that was never adopted has none yet, and is known by
    /// its members.
    pub async fn lock_id(&self, limit: Duration) -> Result<String, String> {
        let session = self.session(self.named(), limit).await.map_err(|error| error.to_string())?;
        let id = match id_of(&session).await {
            Ok(Some(id)) => Ok(id),
            Ok(None) => config(&session).await.map(|config| members_id(&config.membership)),
            Err(error) => Err(error.to_string()),
        };
        leave(&session).await;
        id
    }

    /// The Kafka clusters that the ensemble serves: at its root, at the chroot that was named, and at chroots one or two levels
    /// below the root.
    pub async fn kafka_clusters(&self, limit: Duration) -> Result<Served, NotSeen> {
        let session = self.session(self.named(), limit).await.map_err(|error| NotSeen::NoSession(error.to_string()))?;
        let found = clusters::served(&session, &self.chroot).await;
        leave(&session).await;
        found.map_err(NotSeen::Unread)
    }
}

/// Why the Kafka clusters of an ensemble are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSeen {
    /// No server gives a session.
    NoSession(String),
    /// A question was not answered, or the answer can't be understood.
    Unread(String),
}

/// Ends a session whose work is done. That fails where the server is gone; the session then ends by itself.
pub async fn leave(session: &Live) {
    if let Err(error) = session.close().await {
        tracing::debug!(%error, "a session could not be closed; it ends by itself");
    }
}

/// Members as an id: the same for everybody who reads the same configuration.
fn members_id(membership: &Membership) -> String {
    let mut hash = Sha256::new();
    for (id, line) in &membership.servers {
        hash.update(format!("server.{id}={line}\n"));
    }
    let id = hash.finalize().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
    format!("members-{id:016x}")
}

/// The configuration that the server of a session has.
async fn config(session: &Live) -> Result<EnsembleConfig, String> {
    let text = session.configuration().await.map_err(|error| error.to_string())?.text;
    read("/zookeeper/config", &text).map(|read| read.config).map_err(|faults| faults.to_string())
}

/// Whether a Kafka cluster is there that began to move to KRaft.
async fn is_migrating(session: &Live, root: &str) -> Result<bool, ZooKeeperError> {
    let has_mark = session.stat(&format!("{root}/migration")).await?.is_some();
    Ok(has_mark && session.stat(&format!("{root}/brokers")).await?.is_some())
}

async fn id_of(session: &Live) -> Result<Option<String>, ZooKeeperError> {
    match session.get(ID_PATH).await {
        Ok(node) => {
            let text = String::from_utf8(node.data).ok().filter(|text| text.len() <= ID_BYTES_MAX);
            let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
            // What can't be read is another ensemble's.
            Ok(Some(text.filter(|text| text.chars().all(is_legal)).unwrap_or_else(|| "not-readable".to_owned())))
        }
        Err(error) if error.refusal() == Some(Refusal::NoNode) => Ok(None),
        Err(error) => Err(error),
    }
}
