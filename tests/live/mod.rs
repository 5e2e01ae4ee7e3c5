//! Real servers for tests and for hands.

mod kubernetes;
mod security;
