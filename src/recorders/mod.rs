//! Where events go: a durable outbox, and from there the audit log, Datadog and Kubernetes.
//!
//! The way of an event: [`outbox`] writes it to the run's [`journal`] (one fsync a batch) and to the [`audit`] log,
//! and hands it to one [`lane`] a [`sink`]. What no lane delivered before the run ends stays, in the same journal, in
//! the [`spool`]; a journal whose run died is mended by [`recover`] at the next start. No step trusts that the one
//! before it was the last thing that happened: every line is written so that killing the process between any two
//! writes loses nothing and repeats nothing in the audit log.
//!
//! Files in the state folder ([`folder`]):
//! - `open/RUN_ID.jsonl`: the journal of a run that lives (it holds a lock on it) or died.
//! - `spool/RUN_ID.jsonl`: the journal of an ended run that some sink has not taken all events of.
//! - `audit.jsonl`, `audit.jsonl.1`, …: every event, one JSON object a line.
//! - `quarantine/`: what a sink called malformed, and lines of journals that can't be read, for people to look at.
//!
//! All of them are 0600 in folders of 0700; a link, pipe or device there is refused by name.

pub mod audit;
pub mod contents;
pub mod datadog;
pub mod folder;
pub mod journal;
pub mod lane;
pub mod look;
pub mod outbox;
pub mod quarantine;
mod queue;
pub mod recover;
pub mod sink;
pub mod spool;
mod trouble;
