//! The overrides, kept beside the record of throttles: they outlive a restart, and `throttle set` in another pod reaches
//! the agent through them.

use crate::cluster::overrides::Overrides;
use crate::context::Context;
use crate::state::document::Document;
use crate::state::identity::Purpose;

/// The overrides of one cluster.
#[derive(Debug)]
pub struct KeptOverrides {
    document: Document,
    /// What holds.
    pub value: Overrides,
}

impl KeptOverrides {
    /// Reads them.
    pub async fn open(context: &Context, cluster_id: &str) -> anyhow::Result<Self> {
        let mut document = context.document(&context.identity(Purpose::Overrides, cluster_id)).await?;
        let value = document.load().await?.unwrap_or_default();
        Ok(Self { document, value })
    }

    /// Reads them again: somebody else may have changed them. Whether they are others than before.
    pub async fn reload(&mut self) -> anyhow::Result<bool> {
        let value = self.document.load().await?.unwrap_or_default();
        let is_changed = value != self.value;
        self.value = value;
        Ok(is_changed)
    }

    /// Keeps others in place of those that were read last; fails where somebody else changed them since.
    pub async fn keep(&mut self, value: Overrides) -> anyhow::Result<()> {
        if value != self.value {
            self.document.save(&value).await?;
            self.value = value;
        }
        Ok(())
    }

    /// Changes what holds, whatever others have made of it meanwhile.
    pub async fn change(&mut self, change: impl FnMut(Overrides) -> Overrides) -> anyhow::Result<()> {
        self.value = self.document.update(change).await?;
        Ok(())
    }
}
