//! The real thing: our own thin admin connection to a cluster, on the messages of `kafka-protocol`.
//!
//! From the socket up: [`wire`] carries frames, [`versions`] and [`calls`] say what is spoken, [`connection`] is one
//! broker that answers, [`cluster`] knows them all, [`reading`] and [`writing`] decide who is asked and what happens when
//! no answer comes. On top there is one file for each kind of question.

mod admission;
mod calls;
mod cluster;
mod configs;
mod connection;
mod door;
mod early;
mod groups;
mod keys;
mod lock_group;
mod log_dirs;
mod losses;
mod member_bytes;
mod offsets;
mod one_node;
mod partitions;
mod quorum;
mod reading;
mod reassignments;
mod registrations;
mod schemas;
mod shape;
mod shapes;
mod topics;
mod versions;
mod wire;
mod writing;

pub use door::Live;
pub use one_node::{Nodes, OneNode};
