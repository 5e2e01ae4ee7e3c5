//! A ZooKeeper ensemble as plain data: servers and their addresses, membership and its version, what each server answers,
//! how many failures it survives, and what is desired of it. Pure.
//!
//! Terms are ZooKeeper's: a *server* has an id (`myid`), a *participant* votes, an *observer* does not, and the
//! *configuration* (`/zookeeper/config`) lists the members with their addresses and a version.

pub mod controllers;
pub mod desired;
pub mod gone;
pub mod member;
pub mod membership;
pub mod pods;
pub mod server_line;
pub mod sightings;
pub mod tolerance;
pub mod view;
