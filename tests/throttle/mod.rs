//! `toolbox throttle`: whole commands on memory twins, its port, its load sources, and real servers.

mod agent;
mod in_kubernetes;
mod lists;
mod live;
mod outages;
mod port;
mod prometheus;
mod sources;
mod verbs;
