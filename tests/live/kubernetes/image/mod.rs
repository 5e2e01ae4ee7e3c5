//! Container images for the node: our own, as the Dockerfile makes them, and the one that holds a pod together.

pub(crate) mod pause;
