//! `toolbox throttle`: whole commands on memory twins, its port, and its load sources.

mod agent;
mod port;
mod sources;
mod verbs;
