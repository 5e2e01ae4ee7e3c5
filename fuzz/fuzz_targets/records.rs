//! Any bytes as a journal, as a line of the audit log, and as what runs keep of each other: never a panic.
#![no_main]

use kafka_toolbox_fuzz::cluster::handover::Handover;
use kafka_toolbox_fuzz::cluster::overrides::Overrides;
use kafka_toolbox_fuzz::cluster::throttle::ThrottleRecord;
use kafka_toolbox_fuzz::contents::Contents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let contents = Contents::read(bytes);
    let _ = (contents.unmatched().len(), contents.pending().count());
    for damaged in &contents.damaged {
        let _ = contents.may_hide_a_change(damaged);
    }
    let _ = serde_json::from_slice::<ThrottleRecord>(bytes);
    let _ = serde_json::from_slice::<Overrides>(bytes);
    let _ = serde_json::from_slice::<Handover>(bytes);
});
