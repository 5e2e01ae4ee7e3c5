//! Patience with the API server while a pod starts: many pods start at once, and none of them is in a hurry.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::clients::kubernetes::KubernetesError;
use crate::state::document::Document;

/// Longest pause between two tries; a part of it by chance, so that many pods do not keep step.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// The document, read again and again while the API server is in trouble, until the deadline. `what` names it in the log.
pub async fn load<D: DeserializeOwned>(
    document: &mut Document,
    what: &str,
    deadline: Instant,
) -> anyhow::Result<Option<D>> {
    loop {
        match document.load::<D>().await {
            Ok(found) => return Ok(found),
            Err(error) if is_passing(&error) && Instant::now() < deadline => {
                tracing::info!("the {what} is read again: {error:#}");
                sleep(pause()).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the API server may answer otherwise soon.
pub fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<KubernetesError>().is_some_and(|error| {
            error.is_passing()
                || matches!(error, KubernetesError::Conflict { .. } | KubernetesError::AlreadyExists { .. })
        })
    })
}

/// A pause of half the longest to the longest. The end of a UUIDv7 is random.
pub fn pause() -> Duration {
    let [.., chance] = Uuid::now_v7().into_bytes();
    PAUSE_MAX / 2 + PAUSE_MAX / 2 * u32::from(chance) / 255
}
