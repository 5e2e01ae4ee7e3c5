//! Datadog as a sink, over HTTP or by DogStatsD.

use std::sync::Arc;

use async_trait::async_trait;

use crate::clients::datadog::{Datadog, DatadogError};
use crate::recorders::datadog::render;
use crate::recorders::sink::{Message, Sink, Verdict};

/// Late records in one HTTP message: as many as have room for a line each.
const LATE_OVER_HTTP: usize = 15;

/// Late records in one datagram.
const LATE_IN_A_DATAGRAM: usize = 4;

/// One of Datadog's two intakes.
pub struct DatadogSink {
    name: &'static str,
    door: Arc<dyn Datadog>,
    parallel: usize,
    late_group: usize,
    /// Tags of this process: `env:`, `service:`, `version:`.
    tags: Vec<String>,
}

impl DatadogSink {
    /// Datadog's HTTP API: it answers, so several messages are under way at once.
    pub fn http(door: Arc<dyn Datadog>, tags: Vec<String>) -> Self {
        Self { name: "datadog", door, parallel: 8, late_group: LATE_OVER_HTTP, tags }
    }

    /// The agent's DogStatsD socket.
    pub fn dogstatsd(door: Arc<dyn Datadog>, tags: Vec<String>) -> Self {
        Self { name: "dogstatsd", door, parallel: 1, late_group: LATE_IN_A_DATAGRAM, tags }
    }
}

#[async_trait]
impl Sink for DatadogSink {
    fn name(&self) -> &'static str {
        self.name
    }

    fn parallel(&self) -> usize {
        self.parallel
    }

    fn late_group(&self) -> usize {
        self.late_group
    }

    async fn deliver(&self, message: &Message<'_>) -> Verdict {
        let Some(event) = render(message, &self.tags) else { return Verdict::Taken };
        match self.door.post(&event).await {
            Ok(()) => Verdict::Taken,
            Err(error) => verdict(&error),
        }
    }
}

fn verdict(error: &DatadogError) -> Verdict {
    let why = error.to_string();
    match error {
        DatadogError::Unreachable { .. } | DatadogError::Garbage { .. } => Verdict::Later { after: None, why },
        DatadogError::Busy { after, .. } => Verdict::Later { after: *after, why },
        DatadogError::TooLarge(_) => Verdict::TooLarge(why),
        DatadogError::Malformed(_) => Verdict::Malformed(why),
        DatadogError::Refused(_) => Verdict::Stop(why),
    }
}
