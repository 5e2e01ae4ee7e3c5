//! `toolbox events`: the record of every side effect, for scripts that add to it and for people who read it.
//!
//! `send`: flags → a checked note (`spec`) → the outbox. `list`: the audit log → a filter and rows (`report`).
//! `flush`: delivers what waits in the spool.

pub mod command;
pub mod report;
pub mod spec;
