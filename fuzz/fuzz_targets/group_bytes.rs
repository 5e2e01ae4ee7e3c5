//! Any bytes as what a member puts into its consumer group: topics or unknown, never a panic.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::group_bytes));
