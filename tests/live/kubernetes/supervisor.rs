//! The programs of one cluster: run by a shell script that notices when this process ends, for any reason, and
//! then kills them and removes their folder. Logs stay when the test that used them failed.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Longest wait for the script to kill everything and to remove its folder.
const END_MAX: Duration = Duration::from_secs(30);

thread_local! {
    /// Folders of the clusters that this thread's test uses: if it fails, their logs are kept.
    static USED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

/// A running supervisor script and its folder.
pub(crate) struct Supervisor {
    folder: PathBuf,
    script: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts the script in a new folder that only this user can read.
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("kafka-toolbox-{name}-")).tempdir().unwrap().keep();
        for part in ["run", "log", "pid", "end"] {
            fs::create_dir(folder.join(part)).unwrap();
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/kubernetes/supervisor.sh");
        let mut script = Command::new(script)
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // The terminal's Ctrl-C ends the test, and that ends the script.
            .spawn()
            .unwrap();
        let orders = script.stdin.take();
        let answers = BufReader::new(script.stdout.take().unwrap());
        Self { folder, script, orders, answers }
    }

    /// Where everything of this cluster is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts a program under a name, or starts it again.
    pub(crate) fn start(&mut self, name: &str, command: &[&str]) {
        self.write_script("run", name, &format!("exec {}", quoted(command)));
        self.order(&format!("start {name}"));
    }

    /// Kills a program and waits until it is gone.
    pub(crate) fn kill(&mut self, name: &str) {
        self.order(&format!("kill {name}"));
    }

    /// What to run after everything was killed.
    pub(crate) fn at_the_end(&self, name: &str, command: &[&str]) {
        self.write_script("end", name, &format!("exec {}", quoted(command)));
    }

    /// Whether a program that was started is still running.
    pub(crate) fn is_running(&self, name: &str) -> bool {
        let Ok(pid) = fs::read_to_string(self.folder.join("pid").join(name)) else { return false };
        // A program that ended stays as a zombie until the script looks at it.
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        !stat.is_empty() && !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
    }

    /// Waits until a check answers, while the program that it depends on runs.
    pub(crate) fn wait_for<T>(&self, program: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + limit;
        loop {
            if let Some(answer) = check() {
                return answer;
            }
            let log = self.folder.join("log").join(format!("{program}.log"));
            assert!(self.is_running(program), "{program} ended by itself; see {}\n{}", log.display(), tail(&log));
            assert!(
                Instant::now() < end,
                "{program} was not ready within {limit:?}; see {}\n{}",
                log.display(),
                tail(&log)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn write_script(&self, folder: &str, name: &str, line: &str) {
        let path = self.folder.join(folder).join(name);
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn order(&mut self, line: &str) {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{line}").unwrap();
        orders.flush().unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "the supervisor of {} ended", self.folder.display());
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.orders.take());
        let end = Instant::now() + END_MAX;
        while Instant::now() < end && matches!(self.script.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Notes that this thread's test uses a cluster: should the test fail, the logs stay and are named.
pub(crate) fn used_by_this_test(folder: &Path) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            USED.with_borrow(|folders| folders.iter().for_each(|folder| keep_logs(folder)));
        }));
    });
    USED.with_borrow_mut(|folders| {
        if !folders.iter().any(|one| one == folder) {
            folders.push(folder.to_owned());
        }
    });
}

#[expect(clippy::print_stderr, reason = "a failed test says where to look")]
fn keep_logs(folder: &Path) {
    // The folder of a cluster that ended before is gone, and so it should stay.
    if folder.is_dir() && fs::write(folder.join("keep"), "").is_ok() {
        eprintln!("logs are kept in {}", folder.join("log").display());
    }
}

/// Runs a command to its end, with what it reads on its standard input, within a limit.
pub(crate) fn run(command: &mut Command, input: &str, limit: Duration) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("failed to run {command:?}: {error}"));
    let pid = child.id().to_string();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that does not read all of it, or that ended, is no fault of this thread.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).is_ok());
    let (done, waits) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let output = child.wait_with_output();
        let _ = done.send(());
        output
    });
    let late = waits.recv_timeout(limit).is_err();
    if late {
        let _ = Command::new("kill").args(["-9", &pid]).status();
    }
    let output = reader.join().unwrap().unwrap();
    writer.join().unwrap();
    assert!(!late, "{command:?} did not end within {limit:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, limit: Duration, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !check() {
        assert!(Instant::now() < end, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn quoted(command: &[&str]) -> String {
    let word = |word: &&str| format!("'{}'", word.replace('\'', r"'\''"));
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The last lines of a log, for a message.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
