//! Any bytes as an answer of a token endpoint, and as a token: never a panic.
#![no_main]

use kafka_toolbox_fuzz::token_answer::{Answer, expiry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let answer = Answer::read(bytes);
    let _ = answer.access_token.as_deref().and_then(expiry);
    let _ = std::str::from_utf8(bytes).ok().and_then(expiry);
});
