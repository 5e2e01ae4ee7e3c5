//! `toolbox ensemble`: whole commands against scripted servers and real ones.

mod bed;
mod controllers;
mod ensembles;
mod faults;
mod in_kubernetes;
mod live;
mod membership;
mod prestart;
mod quorum;
mod scripted;
mod trouble;

use crate::support::toolbox::{Ran, Toolbox};

/// Runs `ensemble status` with these servers named.
fn status(toolbox: &Toolbox, servers: &str, what: &[&str]) -> Ran {
    toolbox.run(&[&["ensemble", "status", "--zookeeper", servers], what].concat())
}
