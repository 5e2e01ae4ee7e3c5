//! Any bytes as a reassignment of Kafka's or a plan of ours: read or refused, never a panic; what was read can be written
//! and read again.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::moves));
