//! `toolbox rollout`: checks, waits and rolls in memory, and rolls of real servers; the guard of node
//! drains and the manifests of a cluster, on a real API server and on a real node.

mod acceptance;
mod bed;
mod checking;
mod clusters;
mod draining;
mod ensembles;
mod guarded;
mod guarding;
mod in_kubernetes;
mod live;
mod on_a_node;
mod port;
mod running;
mod servers;
