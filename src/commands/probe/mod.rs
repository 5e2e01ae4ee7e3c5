//! `toolbox probe`: liveness and readiness of one ZooKeeper server, broker or controller, for a kubelet: as a process that
//! ends with an exit code, or over HTTP. It asks one server, changes nothing, and needs no API server.

pub mod agent;
pub mod command;
pub mod observe;
pub mod report;
pub mod verdict;
