//! Doors: the only code that talks to the outside. Each has a trait and an error type (`mod.rs`), the real thing
//! (`live.rs` or `live/`) and a twin in memory (`memory.rs`); one contract suite runs on both. [`files`] has no twin: tests
//! have a temporary folder; nor have [`first_answer`], [`four_letter_words`], [`processes`] and [`programs`]: tests have peers that say
//! what is written there, and a folder as `/proc` is. [`tls_server`] has none either: tests connect to it. [`http`] says what the
//! URLs of HTTP APIs mean.

pub mod datadog;
pub mod files;
pub mod first_answer;
pub mod four_letter_words;
pub mod http;
pub mod kafka;
pub mod kubernetes;
pub mod metrics;
pub mod processes;
pub mod programs;
pub mod tls_server;
pub mod zookeeper;
