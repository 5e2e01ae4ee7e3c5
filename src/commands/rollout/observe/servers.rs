//! One look at a ZooKeeper ensemble, as `ensemble status` has it.

use crate::commands::ensemble::observe::pass::views;
use crate::commands::ensemble::observe::servers::Look;
use crate::commands::ensemble::observe::sessions::Connections;
use crate::context::{Context, ZooKeeperFlags};
use crate::exit::Stop;

/// Asks every server of the ensemble, within some seconds: by four-letter words, and by a session for its own configuration.
pub async fn look(context: &Context, zookeeper: &ZooKeeperFlags) -> Result<Look, Stop> {
    let look = views(&Connections::new(context.zookeeper_settings(zookeeper)?), None).await;
    look.notes.iter().for_each(|note| tracing::warn!("{note}"));
    Ok(look)
}
