//! Any bytes as a broker's answer of any kind and version: what passes our check of its shape, the codec reads without a
//! panic and without much memory. The first two bytes choose kind and version.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::answers));
