//! Processes of this machine or of a shared process namespace, as `/proc` shows them: which one serves, when it started,
//! how much CPU time it has used. Only reading; what can't be read is none, since another user's process may hide it.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most bytes of one file that are read: a command line with a long class path has some ten thousand.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Most processes that are looked at.
const PROCESSES_MAX: usize = 32_768;

/// Most threads of one process, and most open files, that are looked at.
const ENTRIES_MAX: usize = 65_536;

/// `USER_HZ`: clock ticks a second in `/proc`, on every machine that Linux has today.
const TICKS_PER_SECOND: u64 = 100;

/// The main classes of Kafka's and ZooKeeper's servers.
pub const KAFKA: &[&str] = &["kafka.Kafka", "kafka.docker.KafkaDockerWrapper"];
/// See [`KAFKA`].
pub const ZOOKEEPER: &[&str] =
    &["org.apache.zookeeper.server.quorum.QuorumPeerMain", "org.apache.zookeeper.server.ZooKeeperServerMain"];

/// Where processes are shown.
#[derive(Debug, Clone)]
pub struct Processes {
    root: PathBuf,
}

/// How much CPU time a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// The sum over its threads: nanoseconds, or clock ticks of 10 ms where the kernel shows no more.
    pub amount: u64,
    /// How many threads it has; 0 where only clock ticks are shown.
    pub threads: usize,
}

impl CpuTime {
    /// Whether it is counted in clock ticks of 10 ms: an idle process may not use one in a second.
    pub fn is_coarse(self) -> bool {
        self.threads == 0
    }
}

/// Why a process is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No process has that main class.
    #[error("no process of the server is visible: use the exec form, or share the process namespace")]
    None,
    /// Several have it, and whose port it is can't be seen.
    #[error("{0} processes of such servers are visible: name one with --pid")]
    Several(usize),
}

impl Default for Processes {
    fn default() -> Self {
        Self { root: PathBuf::from("/proc") }
    }
}

impl Processes {
    /// The process of a server that has one of these main classes and listens on a port. Process 1 is looked at first: in a
    /// container it often is the server.
    pub fn find(&self, classes: &[&str], port: u16) -> Result<u32, NotFound> {
        if self.is_of(1, classes) {
            return Ok(1);
        }
        let found: Vec<u32> = self.all().filter(|pid| self.is_of(*pid, classes)).collect();
        match found[..] {
            [] => Err(NotFound::None),
            [one] => Ok(one),
            _ => {
                let sockets = self.listening(port);
                let mut listens = found.iter().filter(|pid| self.has_socket(**pid, &sockets));
                match (listens.next(), listens.next()) {
                    (Some(one), None) => Ok(*one),
                    _ => Err(NotFound::Several(found.len())),
                }
            }
        }
    }

    /// Names one start of a process: another value after each restart, also after the machine's. None where there is no such
    /// process.
    pub fn start_of(&self, pid: u32) -> Option<String> {
        let ticks = self.started_at(pid)?;
        let boot = self.text(Path::new("sys/kernel/random/boot_id")).unwrap_or_default();
        Some(format!("{pid}@{ticks}@{}", boot.trim()))
    }

    /// How long a process has been running.
    pub fn age(&self, pid: u32) -> Option<Duration> {
        let uptime: f64 = self.text(Path::new("uptime"))?.split_whitespace().next()?.parse().ok()?;
        let up = Duration::try_from_secs_f64(uptime).ok()?;
        let started = Duration::from_millis(self.started_at(pid)?.saturating_mul(1_000 / TICKS_PER_SECOND));
        Some(up.saturating_sub(started))
    }

    /// How much CPU time it has used: exactly from the threads' `schedstat`, else in clock ticks.
    pub fn cpu_time(&self, pid: u32) -> Option<CpuTime> {
        let threads: Vec<_> = self.numbers(&PathBuf::from(pid.to_string()).join("task")).collect();
        let of_thread = |thread: &u32| {
            let path = PathBuf::from(format!("{pid}/task/{thread}/schedstat"));
            self.text(&path)?.split_whitespace().next()?.parse::<u64>().ok()
        };
        let amount: u64 = threads.iter().filter_map(of_thread).fold(0, u64::wrapping_add);
        // A kernel without scheduler statistics shows zeros.
        if amount > 0 {
            return Some(CpuTime { amount, threads: threads.len() });
        }
        let fields = self.fields(pid)?;
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(CpuTime { amount: number(11)?.wrapping_add(number(12)?), threads: 0 })
    }

    /// Field 22 of `stat`: clock ticks from the machine's start.
    fn started_at(&self, pid: u32) -> Option<u64> {
        self.fields(pid)?.get(19)?.parse().ok()
    }

    /// The fields of `stat` behind the name, which may have blanks and brackets in it; the state comes first.
    fn fields(&self, pid: u32) -> Option<Vec<String>> {
        let text = self.text(Path::new(&format!("{pid}/stat")))?;
        Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether an argument of its command line is one of the main classes.
    fn is_of(&self, pid: u32, classes: &[&str]) -> bool {
        let line = self.bytes(Path::new(&format!("{pid}/cmdline"))).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| classes.iter().any(|class| class.as_bytes() == argument))
    }

    fn all(&self) -> impl Iterator<Item = u32> + use<> {
        self.numbers(Path::new("")).take(PROCESSES_MAX)
    }

    /// The numbers that name entries of a folder.
    fn numbers(&self, folder: &Path) -> impl Iterator<Item = u32> + use<> {
        let entries = fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten().take(ENTRIES_MAX);
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
    }

    /// The inodes of sockets that listen on a port.
    fn listening(&self, port: u16) -> Vec<String> {
        let texts = ["net/tcp", "net/tcp6"].map(|path| self.text(Path::new(path)).unwrap_or_default());
        let lines = texts.iter().flat_map(|text| text.lines().skip(1));
        let inode = |line: &str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let own = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
            // 0A is LISTEN.
            (own == port && *fields.get(3)? == "0A").then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
        };
        lines.filter_map(inode).collect()
    }

    fn has_socket(&self, pid: u32, sockets: &[String]) -> bool {
        let entries = fs::read_dir(self.root.join(format!("{pid}/fd"))).into_iter().flatten().flatten();
        let mut links = entries.take(ENTRIES_MAX).filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|link| sockets.iter().any(|socket| link.as_os_str() == socket.as_str()))
    }

    fn text(&self, path: &Path) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(self.root.join(path)).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder as `/proc` is, with processes of these command lines.
    fn proc(lines: &[(u32, &str)]) -> (tempfile::TempDir, Processes) {
        let folder = tempfile::tempdir().unwrap();
        for (pid, line) in lines {
            let of = folder.path().join(pid.to_string());
            fs::create_dir_all(of.join("task").join(pid.to_string())).unwrap();
            fs::create_dir_all(of.join("fd")).unwrap();
            fs::write(of.join("cmdline"), line.replace(' ', "\0")).unwrap();
            let stat = format!("{pid} (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 7 5 0 0 20 0 90 0 {} 0 0\n", pid * 100);
            fs::write(of.join("stat"), stat).unwrap();
        }
        let processes = Processes { root: folder.path().to_owned() };
        (folder, processes)
    }

    #[test]
    fn a_server_is_found_by_its_main_class_alone_or_by_its_port_among_several() {
        let (_folder, processes) = proc(&[(1, "sh run"), (40, "java -cp x kafka.Kafka a"), (41, "vi kafka.Kafka.txt")]);
        assert_eq!(processes.find(KAFKA, 9092), Ok(40));
        assert_eq!(processes.find(ZOOKEEPER, 2181), Err(NotFound::None));
        let (folder, processes) = proc(&[(40, "java kafka.Kafka a"), (50, "java kafka.Kafka b")]);
        assert_eq!(processes.find(KAFKA, 9092), Err(NotFound::Several(2)));
        fs::create_dir_all(folder.path().join("net")).unwrap();
        let line = "  0: 0100007F:2384 00000000:0000 0A 0:0 0:0 0 1000 0 777 1";
        fs::write(folder.path().join("net/tcp"), format!("head\n{line}\n")).unwrap();
        symlink("socket:[777]", folder.path().join("50/fd/9")).unwrap();
        assert_eq!(processes.find(KAFKA, 9092), Ok(50));
        assert_eq!(processes.find(KAFKA, 9093), Err(NotFound::Several(2)));
        let (_folder, processes) = proc(&[(1, "java kafka.Kafka a"), (2, "java kafka.Kafka b")]);
        assert_eq!(processes.find(KAFKA, 1), Ok(1));
    }

    #[test]
    fn start_age_and_cpu_time_are_read_and_a_name_with_brackets_misleads_nobody() {
        let (folder, processes) = proc(&[(40, "java")]);
        fs::write(folder.path().join("uptime"), "100.5 3\n").unwrap();
        assert_eq!(processes.start_of(40).unwrap(), "40@4000@");
        assert_eq!(processes.age(40), Some(Duration::from_millis(60_500)));
        let coarse = processes.cpu_time(40).unwrap();
        assert!(coarse.is_coarse() && coarse.amount == 12, "{coarse:?}");
        fs::write(folder.path().join("40/task/40/schedstat"), "123456789 5 6\n").unwrap();
        assert_eq!(processes.cpu_time(40), Some(CpuTime { amount: 123_456_789, threads: 1 }));
        assert_eq!((processes.start_of(41), processes.age(41), processes.cpu_time(41)), (None, None, None));
    }

    #[test]
    fn this_process_uses_cpu_time_and_has_an_age() {
        let (processes, pid) = (Processes::default(), std::process::id());
        let before = processes.cpu_time(pid).unwrap();
        let mut sum = 0_u64;
        for number in 0..2_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
        assert!(before.is_coarse() || processes.cpu_time(pid).unwrap() != before);
        assert!(processes.age(pid).unwrap() < Duration::from_hours(24) && processes.start_of(pid).is_some());
    }
}
