//! A real Kubernetes that the tests start themselves, and what it says.
//!
//! [`control_plane::ControlPlane`] is etcd, API server, controllers and scheduler of a pinned version, on loopback
//! addresses of its own.

mod address;
mod certificates;
pub(crate) mod control_plane;
mod program;
mod supervisor;

/// The control plane itself: starts, answers, ends without a trace.
mod harness;
