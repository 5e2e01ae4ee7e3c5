//! Any text as what is shown: nothing hidden is left, and JSON stays JSON that means the same.
#![no_main]

use kafka_toolbox_fuzz::cluster::visible;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for shown in [visible::value(text), visible::line(text), visible::text(text)] {
        assert!(!visible::has_hidden(&shown));
    }
    assert!(!visible::value(text).contains(['\n', '\t']));
    let json = serde_json::to_string(text).expect("a text is JSON");
    let shown = visible::json(&json);
    assert!(!visible::has_hidden(&shown));
    assert_eq!(serde_json::from_str::<String>(&shown).expect("it stays JSON"), text);
});
