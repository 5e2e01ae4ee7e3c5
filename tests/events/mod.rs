//! `toolbox events`, the outbox, Datadog.

mod audit;
mod bounds;
mod bulk;
mod contract;
mod crash;
mod deliver;
mod dogstatsd;
mod double;
mod kubernetes;
mod late;
mod rooms;
mod secrets;
mod tls;
mod toolbox;
