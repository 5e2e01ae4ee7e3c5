//! `toolbox rbac`: what a command needs to be allowed in Kubernetes, as manifests.

pub mod command;
