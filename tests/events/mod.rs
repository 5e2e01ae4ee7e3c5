//! `toolbox events`, the outbox, Datadog.

mod audit;
mod bounds;
mod bulk;
mod contract;
mod crash;
mod damage;
mod deliver;
mod dogstatsd;
pub(crate) mod double;
mod files;
mod killed;
mod kinds;
mod kubernetes;
mod late;
mod outage;
mod rooms;
mod rotation;
mod secrets;
mod settled;
mod tls;
mod toolbox;
mod truth;
