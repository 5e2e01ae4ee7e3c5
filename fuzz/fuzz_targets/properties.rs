//! Any bytes as Java client properties and as a JAAS text in them: read or refused, never a panic.
#![no_main]

use kafka_toolbox_fuzz::formats::properties;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(faults) = properties::parse("fuzz", bytes) {
        assert!(!faults.to_string().is_empty());
    }
    let _ = kafka_toolbox_fuzz::is_jaas(&String::from_utf8_lossy(bytes));
});
