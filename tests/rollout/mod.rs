//! `toolbox rollout`: checks, waits and rolls in memory, and rolls of real servers.

mod acceptance;
mod bed;
mod checking;
mod in_kubernetes;
mod live;
mod running;
