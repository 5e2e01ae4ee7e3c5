//! The agent: looks, decides and sets at every tick; shows what it does on a port, and takes overrides there.

pub mod http;
pub mod metrics;
pub mod tick;
pub mod view;
