//! Any text as what is shown: nothing hidden is left, and JSON stays JSON that means the same.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::visible));
