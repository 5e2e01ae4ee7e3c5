//! Any bytes as an answer of Prometheus and of Datadog: samples or a sentence, never a panic.
#![no_main]

use kafka_toolbox_fuzz::metric_answers::{datadog, prometheus, refusal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((samples, _)) = prometheus(bytes) {
        samples.iter().for_each(|sample| assert!(sample.amount().is_none_or(f64::is_finite)));
    }
    if let Ok(samples) = datadog(bytes) {
        samples.iter().for_each(|sample| assert!(sample.amount().is_none_or(f64::is_finite)));
    }
    assert!(refusal(bytes).is_none_or(|words| !words.is_empty()));
});
