//! How `reassign execute` tells a running `throttle run` which moves come next: a document that one writes and the other
//! reads. Whether the throttles are in force is seen in the cluster itself.

use crate::cluster::handover::Handover;
use crate::context::Context;
use crate::state::document::Document;
use crate::state::identity::Purpose;

/// The hand-over of one cluster.
#[derive(Debug)]
pub struct KeptHandover {
    document: Document,
    /// What was read or written last.
    pub value: Handover,
}

impl KeptHandover {
    /// Reads it.
    pub async fn open(context: &Context, cluster_id: &str) -> anyhow::Result<Self> {
        let mut document = context.document(&context.identity(Purpose::Handover, cluster_id)).await?;
        let value = document.load().await?.unwrap_or_default();
        Ok(Self { document, value })
    }

    /// Reads it again. Whether it is another one than before.
    pub async fn reload(&mut self) -> anyhow::Result<bool> {
        let value = self.document.load().await?.unwrap_or_default();
        let is_changed = value != self.value;
        self.value = value;
        Ok(is_changed)
    }

    /// Writes another one in its place, whoever wrote it: only the run that has the lock of moves calls this.
    pub async fn announce(&mut self, value: Handover) -> anyhow::Result<()> {
        self.value = self.document.update(|_| value.clone()).await?;
        Ok(())
    }
}
