//! Runs the real binary as a person or a job would, with a state folder of its own and nothing of this environment.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::recorders::audit::AuditLog;
use rustix::process::Pid;
use tempfile::TempDir;

/// Longest run of one command.
const LIMIT: Duration = Duration::from_mins(2);

/// One who runs commands: a folder for specs, another for state, and the environment of all runs.
pub(crate) struct Toolbox {
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; none where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Toolbox {
    /// On a cluster.
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self::alone().with("TOOLBOX_BOOTSTRAP_SERVER", bootstrap)
    }

    /// Without a cluster.
    pub(crate) fn alone() -> Self {
        let toolbox = Self { folder: tempfile::tempdir().unwrap(), environment: BTreeMap::new() };
        std::fs::create_dir(toolbox.state()).unwrap();
        toolbox
    }

    /// The same with a variable of the environment.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command that is not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_by(&[], arguments)
    }

    /// The same where file modes bind it even if root runs the tests.
    pub(crate) fn bound_command(&self, arguments: &[&str]) -> Command {
        self.command_by(&bound_by_modes(), arguments)
    }

    fn command_by(&self, before: &[String], arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_toolbox");
        let line = [before, &[program.to_owned()]].concat();
        let mut command = Command::new(&line[0]);
        command
            .args(&line[1..])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("TOOLBOX_STATE_FOLDER", self.state())
            .envs(&self.environment)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        finish(&mut self.command(arguments))
    }

    /// The same for a command that may take longer than others.
    pub(crate) fn run_within(&self, limit: Duration, arguments: &[&str]) -> Ran {
        watch(self.command(arguments).spawn().unwrap(), limit)
    }

    /// Waits until `topics diff` finds nothing to do. A broker may show for a moment what was before a change, and
    /// another one than that which confirmed it may answer.
    #[track_caller]
    pub(crate) fn is_as_declared(&self, file: &str) {
        let mut last = self.run(&["topics", "diff", "-f", file]);
        for _ in 0..20 {
            if last.code == Some(0) && last.lines() == ["nothing to do"] {
                return;
            }
            std::thread::sleep(Duration::from_millis(250));
            last = self.run(&["topics", "diff", "-f", file]);
        }
        panic!("there is something to do: {last:#?}");
    }

    /// Runs a command that is to die at a place such as `applied:2`.
    pub(crate) fn run_until(&self, place: &str, arguments: &[&str]) -> Ran {
        finish(self.command(arguments).env("TOOLBOX_DIE_AT", place))
    }

    /// Runs a command that pauses at a place such as `intents:2`, and lets something happen there.
    pub(crate) fn run_and_meanwhile(&self, place: &str, arguments: &[&str], meanwhile: impl FnOnce(&Pid)) -> Ran {
        let pause = self.folder.path().join("pause");
        let mut command = self.command(arguments);
        command.env("TOOLBOX_PAUSE_AT", place).env("TOOLBOX_PAUSE_FILE", &pause);
        let child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        std::thread::scope(|scope| {
            let run = scope.spawn(|| watch(child, LIMIT));
            while !pause.exists() {
                assert!(!run.is_finished(), "it ended before it came to {place}: {:#?}", run.join());
                std::thread::sleep(Duration::from_millis(5));
            }
            meanwhile(&pid);
            std::fs::remove_file(&pause).unwrap();
            run.join().unwrap()
        })
    }

    /// Every event of the audit log, the oldest first.
    pub(crate) fn audit(&self) -> Vec<Event> {
        audited(&self.state())
    }

    /// The side effects of the audit log, by id: each one's outcomes, intents left out.
    pub(crate) fn outcomes(&self) -> BTreeMap<uuid::Uuid, Vec<Event>> {
        let mut outcomes = BTreeMap::new();
        for event in self.audit() {
            let entry: &mut Vec<Event> = outcomes.entry(event.event_id).or_default();
            if event.outcome != Outcome::Planned {
                entry.push(event);
            }
        }
        outcomes
    }
}

impl Ran {
    /// The whole, where it ended with this code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The lines of standard output, without the one about a missing record of an earlier apply.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.out.lines().filter(|line| !line.starts_with("! there is no record")).collect()
    }
}

/// What a command line begins with so that file modes bind the program: root is not bound by them, unless it gives that right away.
pub(crate) fn bound_by_modes() -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    ["/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"].map(str::to_owned).into()
}

/// Every readable line of a state folder's audit log, the oldest first.
pub(crate) fn audited(state: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    AuditLog::new(state).each(|event| events.push(event)).unwrap();
    events
}

/// Starts a command and watches it to its end, within limits.
pub(crate) fn finish(command: &mut Command) -> Ran {
    watch(command.spawn().unwrap(), LIMIT)
}

fn watch(mut child: Child, limit: Duration) -> Ran {
    let start = Instant::now();
    let read = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            from.read_to_string(&mut text).unwrap();
            text
        })
    };
    let out = read(Box::new(child.stdout.take().unwrap()));
    let err = read(Box::new(child.stderr.take().unwrap()));
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ran { code: status.code(), out: out.join().unwrap(), err: err.join().unwrap(), took: start.elapsed() }
}
