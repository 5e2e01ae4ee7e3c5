//! Real servers for tests and for hands.

mod harness;
pub(crate) mod kafka;
pub(crate) mod kubernetes;
pub(crate) mod security;
