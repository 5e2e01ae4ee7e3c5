//! `toolbox ensemble prestart`: real servers that start from what it wrote, an API server in trouble, real controllers.

mod acceptance;
mod controller;
mod faults;
mod files;
mod manifests;
mod persisted;
mod servers;
mod trouble;

use crate::support::toolbox::Toolbox;

/// One who runs commands, with a toolbox.yaml that knows the cluster `main`.
fn named() -> Toolbox {
    let toolbox = Toolbox::alone();
    toolbox.file("toolbox.yaml", "clusters: {main: {}}\n");
    toolbox
}
