//! The overrides, kept beside the record of throttles: they outlive a restart, and `throttle set` in another pod reaches
//! the agent through them.

use crate::cluster::overrides::Overrides;
use crate::context::{Context, Kept, Scope};

/// The overrides of one cluster.
#[derive(Debug)]
pub struct KeptOverrides {
    kept: Kept,
    /// What holds.
    pub value: Overrides,
}

impl KeptOverrides {
    /// Reads them.
    pub async fn open(context: &Context, cluster_id: &str) -> anyhow::Result<Self> {
        let scope = Scope { spec: "its overrides".into(), ..context.throttle_scope(cluster_id) };
        let mut kept = context.kept(&scope, cluster_id).await?;
        let value = kept.load().await?.unwrap_or_default();
        Ok(Self { kept, value })
    }

    /// Reads them again: somebody else may have changed them. Whether they are others than before.
    pub async fn reload(&mut self) -> anyhow::Result<bool> {
        let value = self.kept.load().await?.unwrap_or_default();
        let is_changed = value != self.value;
        self.value = value;
        Ok(is_changed)
    }

    /// Keeps others.
    pub async fn keep(&mut self, value: Overrides) -> anyhow::Result<()> {
        if value != self.value {
            self.kept.save(&value).await?;
            self.value = value;
        }
        Ok(())
    }
}
