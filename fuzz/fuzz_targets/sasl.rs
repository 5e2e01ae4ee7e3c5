//! Any bytes as a broker's two messages of SCRAM, with the client's nonce where they say NONCE: what passes our check of
//! their shape makes the library neither panic nor believe it.
#![no_main]

use kafka_toolbox_fuzz::{targets, within_cpu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| within_cpu(bytes, targets::sasl));
