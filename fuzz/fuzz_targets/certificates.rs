//! Any bytes as the certificate that a broker shows: what messages say of it is text that a terminal shows, never a panic.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::certificates));
