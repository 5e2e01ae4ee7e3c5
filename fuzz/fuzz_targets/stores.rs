//! Any bytes as a key store or trust store, with and without a password: certificates and keys, or an error, never a panic. The first
//! byte chooses the form that the settings name, and whether there is a password.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::stores));
