//! Small servers that misbehave, one sentence a test: whatever they send ends in a sentence and an exit code, never in a
//! panic, and never in memory or time that they choose.

mod guards;
mod lengths;
mod logins;
mod peer;
mod people;
mod readers;
mod signals;
mod silence;
mod sinks;
mod text;
mod working_folder;
