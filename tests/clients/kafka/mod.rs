//! The contract of `clients::kafka::Kafka`, on real brokers and in memory.

mod properties;
