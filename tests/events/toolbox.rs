//! What tests of events do with the binary beyond running it.

use std::collections::BTreeMap;

use kafka_toolbox::change::event::Event;
use uuid::Uuid;

pub(crate) use crate::support::toolbox::{Ran, Toolbox, audited};

impl Toolbox {
    /// A toolbox whose events go to a double of Datadog.
    pub(crate) fn for_datadog(url: &str) -> Self {
        Self::alone().with("DD_API_KEY", super::double::KEY).with("TOOLBOX_DATADOG_URL", url)
    }

    /// Records something with a title, and prints the result.
    pub(crate) fn send(&self, title: &str) -> Ran {
        self.run(&["events", "send", "--title", title])
    }

    /// How many files a folder of the state folder has.
    pub(crate) fn files(&self, folder: &str) -> usize {
        std::fs::read_dir(self.state().join(folder)).map_or(0, Iterator::count)
    }
}

/// That no event has two intents or two outcomes, and each intent has an outcome.
pub(crate) fn assert_each_ended_once(events: &[Event]) {
    let mut counts: BTreeMap<Uuid, (usize, usize)> = BTreeMap::new();
    for event in events {
        let count = counts.entry(event.event_id).or_default();
        if event.is_intent() { count.0 += 1 } else { count.1 += 1 }
    }
    for (id, (intents, outcomes)) in counts {
        assert!(intents <= 1 && outcomes == 1, "event {id}: {intents} intents, {outcomes} outcomes");
    }
}
