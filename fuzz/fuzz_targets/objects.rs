//! Any bytes as an answer of the Kubernetes API server: plain data or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| kafka_toolbox_fuzz::read_object(bytes));
