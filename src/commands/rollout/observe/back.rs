//! Whether a server that was stopped is back: it runs, and lacks nothing.

use crate::cluster::metadata::TopicSelection;
use crate::commands::rollout::observe::{Observed, Subject, look};
use crate::commands::rollout::plan::standing::{Standing, of_broker, of_controller, of_server};
use crate::context::{Context, ControllerArgs};

/// Looks once whether a server is back. `turn` says with which of the other brokers to begin.
pub async fn is_back(
    context: &Context,
    subject: &Subject,
    controllers: &ControllerArgs,
    turn: usize,
) -> anyhow::Result<bool> {
    let standing = match (subject, look(context, subject, controllers, turn).await?) {
        (Subject::Broker(id), Observed::Brokers(sample)) => {
            let own = context.kafka().await?.metadata_of(*id, TopicSelection::None).await;
            let own = own.map(|own| own.brokers.contains_key(id)).map_err(|error| error.to_string());
            of_broker(*id, &sample, own.as_ref().copied().map_err(String::as_str))
        }
        (Subject::Controller(id), Observed::Quorum { quorum, .. }) => of_controller(*id, &quorum),
        (Subject::Server { id, .. }, Observed::Ensemble { look, .. }) => of_server(*id, &look.seen),
        _ => return Ok(false),
    };
    Ok(standing == Standing::Complete)
}
