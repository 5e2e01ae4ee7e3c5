//! Any text as a toolbox.yaml and as maps of their own: read or refused, never a panic.
#![no_main]

use kafka_toolbox_fuzz::formats::source::Source;
use kafka_toolbox_fuzz::formats::{maps, toolbox_file};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(faults) = maps::parse(&[Source::new("fuzz", bytes)]) {
        assert!(!faults.to_string().is_empty());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(faults) = toolbox_file::parse("fuzz", text) {
        assert!(!faults.to_string().is_empty());
    }
});
