//! Events: the record of what was done, to whom, and how it ended.
//!
//! They are made by [`crate::change::carry_out::Run`], and cleaned of secrets before they are written or sent
//! ([`Event::cleaned`]).

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::change::settled::Verdict;
use crate::formats::secret;

/// One side effect, before ([`Outcome::Planned`]) or after it. Two events with one `event_id` are one side effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// UUIDv7 of the side effect: its intent and its outcome share it.
    pub event_id: Uuid,
    /// UUIDv7 of the run of `toolbox`.
    pub run_id: Uuid,
    /// When this was written.
    pub time: Timestamp,
    /// What kind of side effect: words with dots between them, first the command that such things belong to.
    ///
    /// - `COMMAND.EFFECT`: what was done to one object, or found: `topics.created`, `reassign.move_started`,
    ///   `topics.refused`, `throttle.set` (of `throttle set`, `throttle run` and `reassign execute` alike).
    /// - `COMMAND.VERB.PHASE`: the run of a verb as a whole: `topics.apply.started`, `.completed`, `.failed`, `.stopped`.
    /// - `command.executed`: the command line of any run, and how the command ended (`exit_code` among the tags). Scripts
    ///   choose their own kinds (`events send --kind`).
    pub kind: String,
    /// How it ended, or that it is about to start.
    pub outcome: Outcome,
    /// Why it failed or was refused, or what a person should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How loud it is.
    pub severity: Severity,
    /// The cluster's name in `toolbox.yaml`, else its id: for people. Two clusters may have one name.
    pub cluster: String,
    /// The cluster's id: it alone says which cluster this is about. None where it was not known, and in events that were
    /// written before they had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Who did it: a ServiceAccount, a pod, or a person (`--actor`).
    pub actor: String,
    /// The command, as `topics apply`.
    pub command: String,
    /// `kind:name`, as `topic:orders`.
    pub subject: String,
    /// One line that says what happens, as the plan showed it.
    pub title: String,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What is there now, or would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Labels from a script (`events send --tag`); few, and with few values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The tool's version.
    pub tool_version: String,
}

impl Event {
    /// Whether it is only an intent.
    pub fn is_intent(&self) -> bool {
        self.outcome == Outcome::Planned
    }

    /// The same event with every free text cleaned of secrets: the last gate before it is written or sent.
    #[must_use]
    pub fn cleaned(&self) -> Self {
        let clean = |text: &String| secret::clean(text);
        let tags = self.tags.iter().map(|(key, value)| {
            let value = if secret::is_secret_key(key) { secret::HIDDEN.to_owned() } else { clean(value) };
            (clean(key), value)
        });
        Self {
            reason: self.reason.as_ref().map(clean),
            cluster: clean(&self.cluster),
            cluster_id: self.cluster_id.as_ref().map(clean),
            actor: clean(&self.actor),
            command: clean(&self.command),
            subject: clean(&self.subject),
            title: clean_title(&self.title, &self.subject),
            before: self.before.as_deref().map(secret::shown_lines),
            after: self.after.as_deref().map(secret::shown_lines),
            tags: tags.collect(),
            kind: clean(&self.kind),
            ..self.clone()
        }
    }
}

/// A title without secrets. A subject that is called `user-token` does not make the words behind it a secret.
fn clean_title(title: &str, subject: &str) -> String {
    let name = subject.split_once(':').map_or(subject, |(_, name)| name);
    if !secret::is_secret_key(name) {
        return secret::clean(title);
    }
    secret::scrub(title).split(name).map(secret::clean).collect::<Vec<_>>().join(name)
}

/// How a side effect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An intent: it is about to be tried.
    Planned,
    /// It is done.
    Done,
    /// It was tried and failed.
    Failed,
    /// It was not tried: a guard or a limit forbids it.
    Refused,
    /// It may or may not have happened: the run died, or the answer was lost, between act and record.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Planned => "planned",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        })
    }
}

/// How loud an event is: Datadog's `alert_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Chatter; Datadog's priority `low`.
    Low,
    /// For the record.
    Info,
    /// Something was brought to its desired state.
    Success,
    /// A person should look when awake.
    Warning,
    /// A person should look now.
    Error,
}

/// Asks the cluster how changes of runs that died ended: one verdict an intent, in their order.
pub type Settle<'a> = dyn Fn(Vec<Event>) -> BoxFuture<'a, Vec<Verdict>> + Send + Sync + 'a;

/// Where events go. Recording never fails a command: what can't be delivered is kept, and what can't be kept is
/// said loudly.
#[async_trait]
pub trait Recorder: Send {
    /// Makes the events durable, with one fsync for all, and hands them to the sinks without waiting for them.
    async fn record(&mut self, events: &[Event]);

    /// Gives the changes of runs that died their outcomes: what `settle` knows of an intent, else [`Outcome::Unknown`].
    /// Those whose cluster was not asked are left open for a later run, within bounds.
    async fn mend(&mut self, _settle: &Settle<'_>) {}

    /// Says how the command of this run ended, for the event about the command line; called before [`Recorder::close`].
    fn command_ended(&mut self, _ended: CommandEnded) {}

    /// The next [`Recorder::close`] waits for nothing.
    fn hurry(&mut self) {}

    /// Delivers what is waiting, within the flush budget, and reports the result. What is recorded after
    /// that needs another call.
    async fn close(&mut self) -> Delivery;
}

/// How the command of a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnded {
    /// Done, failed or refused.
    pub outcome: Outcome,
    /// The exit code.
    pub exit_code: u8,
    /// Why, where it is not done.
    pub reason: Option<String>,
    /// Whether events that were not delivered or not kept make it fail (`--require-events`).
    pub needs_events: bool,
}

impl CommandEnded {
    /// How the command ended, after its events were delivered and kept as far as that was possible.
    #[must_use]
    pub fn after(self, delivery: Delivery) -> Self {
        if !self.needs_events || delivery.is_complete() || self.exit_code != 0 {
            return self;
        }
        let reason = Some("not every event was delivered and kept, and --require-events asks for that".to_owned());
        Self { outcome: Outcome::Failed, exit_code: 1, reason, ..self }
    }
}

/// How the events of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Delivery {
    /// Taken by every sink.
    pub sent: usize,
    /// Kept in the spool for the next run.
    pub spooled: usize,
    /// Lost, and said so.
    pub dropped: usize,
    /// Of earlier runs, taken now.
    pub sent_of_earlier: usize,
    /// Neither in the journal nor in the audit log: the state folder could not be written.
    pub unkept: usize,
}

impl Delivery {
    /// Whether every sink has, and the state folder keeps, everything.
    pub fn is_complete(&self) -> bool {
        self.spooled + self.dropped + self.unkept == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(subject: &str, title: &str) -> Event {
        Event {
            event_id: Uuid::nil(),
            run_id: Uuid::nil(),
            time: Timestamp::UNIX_EPOCH,
            kind: "topics.config_changed".into(),
            outcome: Outcome::Failed,
            reason: Some("password=abcd is wrong".into()),
            severity: Severity::Error,
            cluster: "prod".into(),
            cluster_id: None,
            actor: "user:ann".into(),
            command: "topics apply".into(),
            subject: subject.into(),
            title: title.into(),
            before: Some("retention.ms: 1\nplugin.password: x".into()),
            after: None,
            tags: BTreeMap::from([("team".into(), "data".into()), ("api_key".into(), "x".into())]),
            tool_version: "0".into(),
        }
    }

    #[test]
    fn a_cleaned_event_has_no_secrets_and_cleaning_again_changes_nothing() {
        let cleaned = event("topic:orders", "~ topic orders").cleaned();
        assert_eq!(cleaned.reason.as_deref(), Some("password=(hidden) is wrong"));
        assert_eq!(cleaned.before.as_deref(), Some("retention.ms: 1\nplugin.password: (hidden)"));
        assert_eq!(cleaned.tags["api_key"], "(hidden)");
        assert_eq!(cleaned.tags["team"], "data");
        assert_eq!(cleaned.cleaned(), cleaned);
    }

    #[test]
    fn a_topic_called_token_does_not_hide_the_words_behind_it() {
        let title = "~ topic user-token: retention.ms 1 -> 2, token=x";
        let cleaned = event("topic:user-token", title).cleaned();
        assert_eq!(cleaned.title, "~ topic user-token: retention.ms 1 -> 2, token=(hidden)");
        assert_eq!(cleaned.cleaned(), cleaned);
    }
}
