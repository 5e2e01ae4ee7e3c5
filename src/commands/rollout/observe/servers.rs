//! One look at a ZooKeeper ensemble, as `ensemble status` has it.

use crate::commands::ensemble::observe::servers::{Look, SERVER_LIMIT, look_at};
use crate::context::Context;
use crate::exit::Stop;

/// Asks every server of the ensemble, within some two seconds. `servers` is `HOST:PORT,HOST:PORT,…`; what stands behind a
/// `/` is left out.
pub async fn look(context: &Context, servers: &str) -> Result<Look, Stop> {
    let servers = servers.split('/').next().unwrap_or_default();
    let limit = context.flags.timeout.unwrap_or(SERVER_LIMIT).min(SERVER_LIMIT);
    let settings = context.settings_of(servers, limit)?;
    let named = settings.bootstrap.clone();
    let look = look_at(&settings, &named, limit).await;
    look.notes.iter().for_each(|note| tracing::warn!("{note}"));
    Ok(look)
}
