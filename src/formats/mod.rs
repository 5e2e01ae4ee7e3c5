//! Texts that people write, read with the place of every value: YAML, Java properties, durations, files of moves. Pure.
//!
//! A fault in a text is a [`place::Fault`]: file, line, column, what is wrong and what would be right.

pub mod ensemble_config;
pub mod gzip;
pub mod json;
pub mod maps;
pub mod place;
pub mod properties;
pub mod reassignment_json;
pub mod schedule;
pub mod secret;
pub mod source;
pub mod suggest;
pub mod toolbox_file;
pub mod yaml;
