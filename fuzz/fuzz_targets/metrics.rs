//! Any bytes as an answer of Prometheus and of Datadog: samples or a sentence, never a panic.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::metrics));
