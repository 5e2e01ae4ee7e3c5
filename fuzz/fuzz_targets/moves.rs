//! Any bytes as a reassignment of Kafka's or a plan of ours: read or refused, never a panic; what was read can be written
//! and read again.
#![no_main]

use kafka_toolbox_fuzz::formats::reassignment_json::{Moves, read_either, read_plan, write_plan};
use kafka_toolbox_fuzz::formats::source::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match read_either(&Source::new("fuzz", bytes)) {
    Ok(Moves::Plan(plan)) => {
        let text = write_plan(&plan).expect("a plan can be written");
        let again = read_plan(&Source::new("again", text.as_str())).expect("what is written is read");
        assert_eq!(again, plan);
    }
    Ok(Moves::Assignment(_)) => {}
    Err(faults) => assert!(!faults.to_string().is_empty()),
});
