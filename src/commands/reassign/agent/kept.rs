//! The record of an execution while it runs: which moves have begun, and which of them somebody else cancelled. A run that
//! takes over after a crash learns from it what it may not begin again.

use std::collections::BTreeSet;

use crate::cluster::topic::TopicPartition;
use crate::commands::reassign::command::record::Record;
use crate::commands::reassign::plan::lost::Lost;
use crate::commands::reassign::plan::tick::Memory;
use crate::output;
use crate::state::document::Document;

/// A record and where it is kept.
#[derive(Debug)]
pub(in crate::commands::reassign) struct KeptRecord {
    document: Document,
    record: Record,
    /// Whether it was said that it can't be kept.
    is_said: bool,
}

impl KeptRecord {
    /// A record that was kept a moment ago.
    pub(in crate::commands::reassign) fn new(document: Document, record: Record) -> Self {
        Self { document, record, is_said: false }
    }

    /// Whether all of it could be kept when that was tried last.
    pub(super) fn is_kept(&self) -> bool {
        !self.is_said
    }

    /// What the execution begins with.
    pub(super) fn memory(&self) -> Memory {
        Memory::of_record(self.record.begun_moves(), self.record.topic_ids.clone())
    }

    /// Keeps what is new in the memory. Where that fails, the execution goes on and ends with 1: only a later run that takes over would
    /// begin a move again that somebody cancelled.
    pub(super) async fn keep(&mut self, memory: &Memory) {
        let begun = self.record.begun_of(&memory.begun);
        let cancelled = memory.lost.iter().filter(|(_, why)| **why == Lost::Cancelled);
        let cancelled: BTreeSet<TopicPartition> = cancelled.map(|(partition, _)| partition.clone()).collect();
        if begun == self.record.begun
            && cancelled.is_subset(&self.record.cancelled)
            && memory.topic_ids == self.record.topic_ids
        {
            return;
        }
        self.record.begun = begun;
        self.record.cancelled.extend(cancelled);
        self.record.topic_ids.clone_from(&memory.topic_ids);
        self.save().await;
    }

    /// Forgets which moves have begun, once all are done: the same plan may be carried out again some day.
    pub(super) async fn forget_begun(&mut self) {
        self.record.begun.clear();
        self.record.topic_ids.clear();
        self.save().await;
    }

    async fn save(&mut self) {
        match self.document.save(&self.record).await {
            Ok(()) => self.is_said = false,
            Err(error) if !self.is_said => {
                self.is_said = true;
                output::complain(&format!(
                    "which moves have begun can't be kept in {} ({error:#}): a run that takes over may begin a move again \
                     that somebody cancelled",
                    self.document.place()
                ));
            }
            Err(_) => {}
        }
    }
}
