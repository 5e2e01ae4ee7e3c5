//! A document that one run writes and another one reads again and again: overrides of throttles, moves that come next.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::handover::Handover;
use crate::cluster::overrides::Overrides;
use crate::context::Context;
use crate::state::document::Document;
use crate::state::identity::Purpose;

/// Rates that people asked for, of one cluster.
pub type KeptOverrides = Watched<Overrides>;

/// How `reassign execute` tells a running `throttle run` which moves come next. Whether their throttles are in force is
/// seen in the cluster itself.
pub type KeptHandover = Watched<Handover>;

/// A document, and what it held when it was read or written last.
#[derive(Debug)]
pub struct Watched<D> {
    document: Document,
    /// What holds; the default where there is no document.
    pub value: D,
}

impl KeptOverrides {
    /// Reads them.
    pub async fn open(context: &Context, cluster_id: &str) -> anyhow::Result<Self> {
        Self::read(context, Purpose::Overrides, cluster_id).await
    }
}

impl KeptHandover {
    /// Reads it.
    pub async fn open(context: &Context, cluster_id: &str) -> anyhow::Result<Self> {
        Self::read(context, Purpose::Handover, cluster_id).await
    }
}

impl<D: Serialize + DeserializeOwned + Default + PartialEq + Clone> Watched<D> {
    async fn read(context: &Context, purpose: Purpose, cluster_id: &str) -> anyhow::Result<Self> {
        let mut document = context.document(&context.identity(purpose, cluster_id)).await?;
        let value = document.load().await?.unwrap_or_default();
        Ok(Self { document, value })
    }

    /// Reads it again: somebody else may have changed it. Whether it is another one than before.
    pub async fn reload(&mut self) -> anyhow::Result<bool> {
        let value = self.document.load().await?.unwrap_or_default();
        let is_changed = value != self.value;
        self.value = value;
        Ok(is_changed)
    }

    /// Writes another one in place of the one that was read last; fails where somebody else changed it since.
    pub async fn keep(&mut self, value: D) -> anyhow::Result<()> {
        if value != self.value {
            self.document.save(&value).await?;
            self.value = value;
        }
        Ok(())
    }

    /// Changes what holds, whatever others have made of it meanwhile.
    pub async fn change(&mut self, change: impl FnMut(D) -> D) -> anyhow::Result<()> {
        self.value = self.document.update(change).await?;
        Ok(())
    }
}
