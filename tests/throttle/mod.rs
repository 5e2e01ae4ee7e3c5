//! `toolbox throttle`: whole commands on memory twins, its port, its load sources, and real servers.

mod after_load;
mod agent;
mod in_kubernetes;
mod lists;
mod live;
mod outages;
mod overrides;
mod port;
mod prometheus;
mod sources;
mod verbs;
