//! Any bytes as an answer of a token endpoint, and as a token: never a panic.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::tokens));
