//! Any bytes as what a ZooKeeper server sends: answers of nodes and of several operations, a challenge of SASL, and the texts of
//! four-letter words. Plain data or an error, never a panic.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::zookeeper));
