//! `toolbox probe`: whole commands against scripted peers and processes, its HTTP form, and real servers.

mod brokers;
mod ensemble;
mod http;
mod live;
mod processes;
mod scripted;
mod storm;

use crate::support::toolbox::{Ran, Toolbox};

/// Runs a probe of a subject at an address.
fn probe(toolbox: &Toolbox, what: &[&str], address: &str) -> Ran {
    toolbox.run(&[&["probe"], what, &["--address", address]].concat())
}
