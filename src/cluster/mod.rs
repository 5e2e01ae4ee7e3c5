//! Nouns: what Kafka is made of, as plain, serialisable data. Pure: no I/O, no libraries of outside systems.

pub mod address;
pub mod assignment;
pub mod broker;
pub mod config;
pub mod ensemble;
pub mod four_letter;
pub mod group;
pub mod handover;
pub mod in_order;
pub mod in_sync;
pub mod internal;
pub mod log_dirs;
pub mod map;
pub mod metadata;
pub mod offset;
pub mod overrides;
pub mod quorum;
pub mod reaction;
pub mod readings;
pub mod records;
pub mod size;
pub mod throttle;
pub mod topic;
pub mod visible;
