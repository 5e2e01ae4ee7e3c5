//! One keeper process a cluster (`keeper.sh`): whatever ends this process, the keeper then ends the servers.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::wait::{self, say};

const LIMIT: Duration = Duration::from_secs(30);

/// The state of a process that has ended.
const ZOMBIE: &str = "Z";

/// Where Linux keeps files in memory, if it does.
const MEMORY: &str = "/dev/shm";

/// Less than this is for other things (containers often have 64 MB).
const MEMORY_KB_MIN: u64 = 4 << 20;

/// Folders of clusters that run, and the thread that started each; none: all tests share it.
static RUNNING: Mutex<Vec<(PathBuf, Option<ThreadId>)>> = Mutex::new(Vec::new());

/// Starts, signals and ends the servers of one folder.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    process: Child,
    commands: Mutex<Option<ChildStdin>>,
}

impl Keeper {
    /// A keeper with a new folder under the system's temporary one.
    pub(crate) fn start(shared: bool) -> anyhow::Result<Self> {
        keep_logs_of_failures();
        let folder = tempfile::Builder::new().prefix("kafka-toolbox-").tempdir()?.keep();
        fs::create_dir(folder.join("logs"))?;
        place_data(&folder.join("data"))?;
        let script = folder.join("keeper.sh");
        fs::write(&script, include_str!("keeper.sh"))?;
        let mut process = Command::new("bash")
            .arg(&script)
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("logs/keeper.log"))?)
            // Ctrl-C reaches the owner alone; the keeper then works in peace.
            .process_group(0)
            .spawn()
            .context("failed to start bash")?;
        let commands = Mutex::new(process.stdin.take());
        let thread = (!shared).then(|| std::thread::current().id());
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push((folder.clone(), thread));
        Ok(Self { folder, process, commands })
    }

    /// The cluster's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a command line as server `name`, its output appended to its log.
    pub(crate) fn launch(&self, name: &str, command: &[String]) -> anyhow::Result<()> {
        let home = self.folder.join(name);
        fs::create_dir_all(&home)?;
        let quoted: Vec<_> = command.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
        fs::write(home.join("start.sh"), format!("exec {}\n", quoted.join(" ")))?;
        let pid_file = home.join("pid");
        if pid_file.exists() {
            fs::remove_file(&pid_file)?;
        }
        self.command(&format!("start {name}"))?;
        wait::until(LIMIT, &format!("the start of {name}"), || {
            Ok(if pid_file.exists() { Ok(()) } else { Err("no process id yet".into()) })
        })
    }

    fn command(&self, line: &str) -> anyhow::Result<()> {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = commands.as_mut().context("the keeper is detached")?;
        writeln!(commands, "{line}").context("the keeper of the servers is gone")
    }

    /// The process id of a server that runs now.
    pub(crate) fn pid(&self, name: &str) -> Option<i32> {
        self.child(name).filter(|(state, _)| state != ZOMBIE).map(|(_, pid)| pid)
    }

    /// Sends a signal to a server that runs.
    pub(crate) fn signal(&self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid(name).and_then(Pid::from_raw).with_context(|| format!("{name} does not run"))?;
        kill_process(pid, signal).with_context(|| format!("failed to signal {name}"))
    }

    /// Waits until every thread of a server that got SIGSTOP stands still: one that runs at that moment goes on to its
    /// next way into the kernel, and may well answer before.
    pub(crate) fn stands_still(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.pid(name).with_context(|| format!("{name} does not run"))?;
        wait::until(LIMIT, &format!("{name} to stand still"), || {
            let threads = fs::read_dir(format!("/proc/{pid}/task"))?.filter_map(Result::ok);
            let moves = |thread: fs::DirEntry| {
                let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('T'))
            };
            let moving = threads.map(moves).filter(|moves| *moves).count();
            Ok(if moving == 0 { Ok(()) } else { Err(format!("{moving} threads run")) })
        })
    }

    /// Waits until nothing is left of a server. Its threads end one after the other, and those that are left hold its ports and
    /// files though the process is a zombie already: the keeper can take it away once the last one has ended.
    pub(crate) fn ended(&self, name: &str, limit: Duration) -> anyhow::Result<()> {
        wait::until(limit, &format!("the end of {name}"), || {
            let Some((state, _)) = self.child(name) else { return Ok(Ok(())) };
            Ok(Err(format!("its process is in state {state}.{}", self.tail(name))))
        })
    }

    /// State and id of the process of a server, as long as it is there: a zombie, too.
    fn child(&self, name: &str) -> Option<(String, i32)> {
        let pid = fs::read_to_string(self.folder.join(name).join("pid")).ok()?.trim().parse().ok()?;
        let (state, parent) = state(pid)?;
        (Some(parent) == i32::try_from(self.process.id()).ok()).then_some((state, pid))
    }

    /// The end of a server's log, and where the whole of it is.
    pub(crate) fn tail(&self, name: &str) -> String {
        let path = self.folder.join("logs").join(format!("{name}.log"));
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        let lines: Vec<_> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(25)..].join("\n  ");
        format!("\n{} ends with:\n  {last}", path.display())
    }

    /// Keeps the logs when the rest is removed.
    pub(crate) fn keep_logs(&self) {
        keep(&self.folder);
    }

    /// Lets the servers outlive this process; SIGTERM to the keeper's process, whose id this returns, ends them.
    pub(crate) fn detach(self) -> anyhow::Result<u32> {
        self.command("detach")?;
        wait::until(LIMIT, "the keeper to detach", || {
            Ok(if self.folder.join("detached").exists() { Ok(()) } else { Err("attached".into()) })
        })?;
        let pid = self.process.id();
        forget(&self.folder);
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nothing is left to drop but handles.
        std::mem::forget(self);
        Ok(pid)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        forget(&self.folder);
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It ends by itself within seconds: every wait in it has a limit.
        let _ = self.process.wait();
    }
}

/// Ends a detached keeper and its servers, and waits for that.
pub(crate) fn end(folder: &Path) -> anyhow::Result<()> {
    let Some(pid) = keeper_of(folder) else { return Ok(()) };
    kill_process(Pid::from_raw(pid).context("a process id is positive")?, Signal::TERM)?;
    wait::until(LIMIT, "the keeper to end its servers", || {
        // Its file goes while it still removes the others.
        Ok(if is_keeper(pid, folder) { Err(format!("process {pid} runs")) } else { Ok(()) })
    })?;
    ensure!(!folder.exists(), "{} is still there", folder.display());
    Ok(())
}

/// Whether the keeper of this folder runs.
pub(crate) fn runs(folder: &Path) -> bool {
    keeper_of(folder).is_some()
}

/// The process id of the folder's keeper, if it is one: process ids are used again.
fn keeper_of(folder: &Path) -> Option<i32> {
    let pid = fs::read_to_string(folder.join("keeper.pid")).ok()?.trim().parse().ok()?;
    is_keeper(pid, folder).then_some(pid)
}

/// Whether a process runs and keeps this folder.
fn is_keeper(pid: i32, folder: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let named = line.split(|&byte| byte == 0).any(|word| word == folder.as_os_str().as_encoded_bytes());
    named && state(pid).is_some_and(|(state, _)| state != ZOMBIE)
}

/// Makes the folder for the servers' data: in memory where there is enough, since a broker syncs a file for each
/// partition that it creates, and a busy disk takes milliseconds for each.
fn place_data(data: &Path) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = mounts.lines().find(|line| line.split(' ').nth(1) == Some(MEMORY)).unwrap_or_default();
    let size =
        mount.split([' ', ',']).find_map(|word| word.strip_prefix("size=")?.strip_suffix('k')?.parse::<u64>().ok());
    if size.is_none_or(|kilobytes| kilobytes < MEMORY_KB_MIN) {
        return Ok(fs::create_dir(data)?);
    }
    let folder = tempfile::Builder::new().prefix("kafka-toolbox-").tempdir_in(MEMORY)?.keep();
    Ok(std::os::unix::fs::symlink(folder, data)?)
}

/// The state of a process, and its parent.
fn state(pid: i32) -> Option<(String, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

fn keep(folder: &Path) {
    // If even this fails, the logs go with the folder: nothing else depends on it.
    let _ = fs::write(folder.join("failed"), "");
}

fn forget(folder: &Path) {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| other != folder);
}

/// When a test panics, the logs of its clusters and of the shared ones are kept and named.
fn keep_logs_of_failures() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            let this = std::thread::current().id();
            for (folder, thread) in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                if thread.is_none_or(|thread| thread == this) {
                    keep(folder);
                    say(&format!("the servers' logs are kept in {}", folder.join("logs").display()));
                }
            }
        }));
    });
}
