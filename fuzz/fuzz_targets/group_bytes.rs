//! Any bytes as what a member puts into its consumer group: topics or unknown, never a panic.
#![no_main]

use kafka_toolbox_fuzz::topics_of_member;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for topics in topics_of_member(bytes).into_iter().flatten() {
        assert!(topics <= bytes.len());
    }
});
