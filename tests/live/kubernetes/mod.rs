//! A real Kubernetes that the tests start themselves, and what it says.
//!
//! [`control_plane::ControlPlane`] is etcd, API server, controllers and scheduler of a pinned version, on loopback
//! addresses of its own; [`node::Node`] is a node that runs pods.

mod address;
mod certificates;
pub(crate) mod control_plane;
pub(crate) mod image;
pub(crate) mod node;
mod program;
pub(crate) mod supervisor;

/// The control plane itself: starts, answers, ends without a trace.
mod harness;
/// The project's own manifests, and what their ServiceAccounts may do.
pub(crate) mod manifests;
/// The images and manifests on a real node.
mod pods;
/// README's lines, as a newcomer types them.
mod readme;
