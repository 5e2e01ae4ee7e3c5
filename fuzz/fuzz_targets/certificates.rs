//! Any bytes as the certificate that a broker shows: what messages say of it is text that a terminal shows, never a panic.
#![no_main]

use kafka_toolbox_fuzz::words_of_certificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(words) = words_of_certificate(bytes, "kafka-1.example.com") {
        assert!(!words.is_empty());
    }
});
