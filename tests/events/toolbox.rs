//! Running `toolbox` with a state folder of its own and nothing of this machine's environment.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use kafka_toolbox::change::event::Event;
use tempfile::TempDir;
use uuid::Uuid;

/// A state folder and the environment of the runs that use it.
pub(crate) struct Toolbox {
    pub(crate) state: TempDir,
    environment: BTreeMap<String, String>,
}

/// What a run said and did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Toolbox {
    pub(crate) fn new() -> Self {
        Self { state: tempfile::tempdir().unwrap(), environment: BTreeMap::new() }
    }

    /// A toolbox whose events go to a double of Datadog.
    pub(crate) fn for_datadog(url: &str) -> Self {
        Self::new().with("DD_API_KEY", super::double::KEY).with("TOOLBOX_DATADOG_URL", url)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toolbox"));
        command.env_clear().envs(&self.environment).env("TOOLBOX_STATE_FOLDER", self.folder()).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let begun = Instant::now();
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: status.code(), out: text(stdout), err: text(stderr), took: begun.elapsed() }
    }

    /// Records something with a title, and says what became of it.
    pub(crate) fn send(&self, title: &str) -> Ran {
        self.run(&["events", "send", "--title", title])
    }

    pub(crate) fn audited(&self) -> Vec<Event> {
        audited(self.folder())
    }

    /// How many files a folder of the state folder has.
    pub(crate) fn files(&self, folder: &str) -> usize {
        std::fs::read_dir(self.folder().join(folder)).map_or(0, Iterator::count)
    }
}

/// Every readable line of the audit log, the oldest first.
pub(crate) fn audited(folder: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    kafka_toolbox::recorders::audit::AuditLog::new(folder).each(|event| events.push(event)).unwrap();
    events
}

/// That no event has two intents or two outcomes, and each intent has an outcome.
pub(crate) fn assert_each_ended_once(events: &[Event]) {
    let mut counts: BTreeMap<Uuid, (usize, usize)> = BTreeMap::new();
    for event in events {
        let count = counts.entry(event.event_id).or_default();
        if event.is_intent() { count.0 += 1 } else { count.1 += 1 }
    }
    for (id, (intents, outcomes)) in counts {
        assert!(intents <= 1 && outcomes == 1, "event {id}: {intents} intents, {outcomes} outcomes");
    }
}
