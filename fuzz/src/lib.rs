//! The pure floors of the tool, compiled from their places: what reads texts that people write, and bytes that peers send.
#![allow(dead_code, unused_imports, unfulfilled_lint_expectations, reason = "only the readers are called here")]

#[path = "../../src/cluster/mod.rs"]
pub mod cluster;
#[path = "../../src/formats/mod.rs"]
pub mod formats;

#[path = "../../src/commands/topics/spec/mod.rs"]
pub mod spec_of_topics;

#[path = "../../src/clients/kafka/live/member_bytes.rs"]
mod member_bytes;
#[path = "../../src/clients/kafka/sasl/scram.rs"]
mod scram;
#[path = "../../src/clients/kafka/live/shape.rs"]
mod shape;
#[path = "../../src/clients/kafka/live/shapes.rs"]
mod shapes;

/// How many topics a member of a group subscribes to and has assigned; none where that can't be read.
pub fn topics_of_member(bytes: &[u8]) -> [Option<usize>; 2] {
    [member_bytes::subscribed(bytes), member_bytes::assigned(bytes)].map(|topics| topics.map(|topics| topics.len()))
}

/// Whether a broker's first and last messages of SCRAM have the shape that rsasl takes for granted.
pub fn have_scrams_shape(first: &[u8], last: &[u8]) -> (bool, bool) {
    (scram::check_first(first).is_ok(), scram::check_final(last).is_ok())
}

/// Whether an answer may be handed to the codec.
pub fn has_shape(key: kafka_protocol::messages::ApiKey, version: i16, bytes: &[u8]) -> bool {
    shapes::shape_of(key).expect("a shape").check(version, bytes).is_ok()
}

/// What the files from the clients call each other.
pub(crate) mod clients {
    /// `clients/kafka`.
    pub(crate) mod kafka {
        /// `clients/kafka/live`.
        pub(crate) mod live {
            pub(crate) use crate::shape;
        }
    }
}

/// The one room whose spec is fuzzed, under its own name.
pub mod commands {
    /// `toolbox topics`.
    pub mod topics {
        pub use crate::spec_of_topics as spec;
    }
}

/// Answers of systems that measure brokers.
#[path = "../../src/clients/metrics/answers.rs"]
pub mod metric_answers;

/// Answers of token endpoints.
#[path = "../../src/clients/kafka/sasl/answer.rs"]
pub mod token_answer;

#[path = "../../src/change/event.rs"]
pub mod change_event;

/// Events, under their own name.
pub mod change {
    pub use crate::change_event as event;

    /// Readers of events make no endings: only the name of the type is needed.
    pub mod carry_out {
        /// How a step ended.
        #[derive(Debug)]
        pub struct Ended;
    }
}

/// Lines of journals and of the audit log.
#[path = "../../src/recorders/contents.rs"]
pub mod contents;
