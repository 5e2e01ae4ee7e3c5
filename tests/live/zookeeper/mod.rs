//! Real ZooKeeper ensembles on loopback: [`Ensemble`] starts, disturbs and ends their servers.
//!
//! In goes a [`Shape`]: how many servers, how many more that a test starts by itself, four-letter words, passwords, TLS. Servers have
//! client, quorum and election ports of their own and a dynamic configuration; jars, archive of classes and the process
//! that ends all of them are those of the Kafka clusters.

mod ensemble;
mod harness;
mod shape;

pub(crate) use ensemble::{Ensemble, LIMIT, super_digest};
pub(crate) use shape::{Role, SUPER_PASSWORD, Shape};
