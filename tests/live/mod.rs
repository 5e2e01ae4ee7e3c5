//! Real servers for tests and for hands.

pub(crate) mod kubernetes;
mod security;
