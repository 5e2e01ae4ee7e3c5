//! How a port reacts to several greetings, and what its process does where none is answered.

use std::time::Duration;

use tokio::time::Instant;

use crate::clients::first_answer::{Greeting, greet};
use crate::clients::processes::{CpuTime, Processes};
use crate::cluster::address::show_address;
use crate::cluster::reaction::{CpuUse, Reaction};
use crate::commands::probe::verdict::alive::Tries;

/// Clock ticks of 10 ms show nothing about a shorter time: an idle broker uses 6 ms of CPU a second.
const COARSE_WATCH_MIN: Duration = Duration::from_secs(3);

/// An idle broker wakes up several times in this time.
const WATCH_MIN: Duration = Duration::from_millis(300);

/// Whom to greet, and how.
#[derive(Debug, Clone)]
pub struct Port {
    /// Name or address, no brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What is asked.
    pub greeting: Greeting,
    /// The main classes of its process.
    pub classes: &'static [&'static str],
    /// Its process, where it was named.
    pub pid: Option<u32>,
    /// How often it is asked before it counts as silent.
    pub tries: u32,
    /// For how long after its start nothing is expected of it.
    pub startup_window: Option<Duration>,
}

impl Port {
    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        show_address(&self.host, self.port)
    }

    /// Its process.
    pub fn process(&self, processes: &Processes) -> Result<u32, String> {
        match self.pid {
            Some(pid) => Ok(pid),
            None => processes.find(self.classes, self.port).map_err(|error| error.to_string()),
        }
    }
}

/// Greets a port until it reacts, at most so often as is asked for, and never beyond the deadline.
pub async fn tries(port: &Port, processes: &Processes, deadline: Instant) -> Tries {
    let (mut reactions, mut watch) = (Vec::new(), None);
    for left in (1..=port.tries.max(1)).rev() {
        let slice = deadline.saturating_duration_since(Instant::now()) / left;
        if slice.is_zero() {
            break;
        }
        let reaction = greet(&port.host, port.port, port.greeting, Instant::now() + slice).await;
        let is_silent = matches!(reaction, Reaction::Silent | Reaction::NotAccepted);
        reactions.push(reaction);
        if !is_silent {
            break;
        }
        // Looked for only once it is needed: the process is watched while the other tries wait.
        if watch.is_none() {
            watch = Some(Watch::begin(port, processes));
        }
    }
    let needs_age = port.startup_window.is_some() && !matches!(reactions.last(), Some(Reaction::Answered));
    let age = if needs_age { port.process(processes).ok().and_then(|pid| processes.age(pid)) } else { None };
    let is_silent = matches!(reactions.last(), Some(Reaction::Silent | Reaction::NotAccepted));
    Tries {
        address: port.address(),
        asked: match port.greeting {
            Greeting::ApiVersions => "ApiVersions",
            Greeting::TlsHello => "TLS handshake",
            Greeting::Srvr => "srvr",
        },
        expected: match port.greeting {
            Greeting::ApiVersions => "a Kafka broker",
            Greeting::TlsHello => "a TLS listener",
            Greeting::Srvr => "a ZooKeeper server",
        },
        reactions,
        cpu: watch.filter(|_| is_silent).map_or(CpuUse::NotLookedAt, |watch| watch.end(processes)),
        age,
        startup_window: port.startup_window,
    }
}

/// A process whose CPU time is watched.
struct Watch {
    begun: Instant,
    process: Result<(u32, CpuTime), String>,
}

impl Watch {
    fn begin(port: &Port, processes: &Processes) -> Self {
        let process = port.process(processes).and_then(|pid| {
            let time = processes.cpu_time(pid).ok_or_else(|| format!("/proc/{pid} can't be read"))?;
            Ok((pid, time))
        });
        Self { begun: Instant::now(), process }
    }

    fn end(self, processes: &Processes) -> CpuUse {
        let (pid, before) = match self.process {
            Ok(watched) => watched,
            Err(why) => return CpuUse::Unseen(why),
        };
        let Some(after) = processes.cpu_time(pid) else {
            return CpuUse::Unseen(format!("process {pid} has just ended"));
        };
        let time = self.begun.elapsed();
        if after != before {
            return CpuUse::Grew;
        }
        if before.is_coarse() && time < COARSE_WATCH_MIN {
            let least = COARSE_WATCH_MIN.as_secs();
            let why = format!("the kernel counts CPU time in 10 ms, which shows nothing in less than {least} s");
            return CpuUse::Unseen(why);
        }
        if time < WATCH_MIN {
            return CpuUse::Unseen("--timeout is too short to watch it".to_owned());
        }
        CpuUse::StoodStill(time)
    }
}
