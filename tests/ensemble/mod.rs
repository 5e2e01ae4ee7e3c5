//! `toolbox ensemble`: whole commands against scripted servers and real ones.

mod agents;
mod bed;
mod clocks;
mod controller_answers;
mod controller_kills;
mod controllers;
mod ensembles;
mod faults;
mod guard;
mod in_kubernetes;
mod kills;
mod late;
mod live;
mod membership;
mod on_a_node;
mod prestart;
mod quorum;
mod rivals;
mod scripted;
mod sightings;
mod trouble;

use crate::support::toolbox::{Ran, Toolbox};

/// Runs `ensemble status` with these servers named.
fn status(toolbox: &Toolbox, servers: &str, what: &[&str]) -> Ran {
    toolbox.run(&[&["ensemble", "status", "--zookeeper", servers], what].concat())
}
