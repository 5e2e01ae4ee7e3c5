//! Any bytes as Java client properties and as a JAAS text in them: read or refused, never a panic.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::properties));
