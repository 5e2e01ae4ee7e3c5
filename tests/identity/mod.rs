//! `toolbox identity`, whole commands.

mod files;
mod in_kubernetes;
mod kafka;
mod manifests;
mod pods;
mod racing;
pub(crate) mod scripted;
mod trouble;
mod zones;
