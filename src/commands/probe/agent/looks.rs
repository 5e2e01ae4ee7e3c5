//! One look at a server: whether it is alive, whether it is ready, and what is remembered for the next one.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::clients::processes::Processes;
use crate::cluster::reaction::Reaction;
use crate::commands::probe::observe::kafka::Target;
use crate::commands::probe::observe::latch::{Latch, start_of};
use crate::commands::probe::observe::port::{Port, tries};
use crate::commands::probe::observe::{kafka as observe_kafka, zookeeper as observe_zookeeper};
use crate::commands::probe::report::Answer;
use crate::commands::probe::verdict::Verdict;
use crate::commands::probe::verdict::alive::alive;
use crate::commands::probe::verdict::kafka::{self as verdict_kafka, Memory, Seen, Terms};
use crate::commands::probe::verdict::zookeeper::{self as verdict_zookeeper, Expected};
use crate::output;

/// How long the latch may take to be written where the look used up its time.
const KEPT_WITHIN: Duration = Duration::from_millis(50);

/// What is looked at.
#[derive(Debug)]
pub struct Looks {
    /// The port that liveness greets.
    pub port: Port,
    /// What readiness asks.
    pub readiness: Readiness,
}

/// What readiness asks.
#[derive(Debug)]
pub enum Readiness {
    /// A ZooKeeper server.
    Zookeeper(ZookeeperServer),
    /// A broker.
    Broker(Box<Broker>),
}

/// A ZooKeeper server.
#[derive(Debug)]
pub struct ZookeeperServer {
    /// Whom to ask.
    pub server: observe_zookeeper::Server,
    /// What is expected of it.
    pub expected: Expected,
}

/// A broker, and what is remembered of it.
#[derive(Debug)]
pub struct Broker {
    /// Whom to ask.
    pub target: Target,
    /// The file that keeps the memory.
    pub latch: Option<Latch>,
    /// What is asked of it.
    pub terms: Terms,
    /// What was seen before, in this process.
    pub memory: Option<Memory>,
}

/// What one look found.
#[derive(Debug)]
pub struct Found {
    /// Whether the server is alive.
    pub live: Verdict,
    /// Whether it is ready.
    pub ready: Verdict,
    /// Whether readiness is latched.
    pub is_latched: bool,
    /// All that was seen.
    pub detail: Value,
}

impl Looks {
    /// Looks once; both questions are asked at the same time.
    pub async fn look(&mut self, now: Timestamp, deadline: Instant) -> Found {
        let processes = Processes::default();
        let (port, readiness) = (&self.port, &mut self.readiness);
        let live = async {
            let tries = tries(port, &processes, deadline).await;
            Answer::new(alive(&tries), tries)
        };
        let ready = async {
            match readiness {
                Readiness::Zookeeper(server) => {
                    let seen = observe_zookeeper::look(&server.server, deadline).await;
                    let answer = Answer::new(verdict_zookeeper::ready(&seen, server.expected), seen);
                    (answer.verdict(), false, serde_json::to_value(answer))
                }
                Readiness::Broker(broker) => {
                    let answer = look_at_broker(broker, port, now, deadline).await;
                    let is_latched = broker.memory.as_ref().is_some_and(|memory| memory.ready_since.is_some());
                    (answer.verdict(), is_latched, serde_json::to_value(answer))
                }
            }
        };
        let (live, (ready, is_latched, detail)) = tokio::join!(live, ready);
        let detail = serde_json::json!({
            "live": live,
            "ready": detail.unwrap_or_else(|error| Value::String(error.to_string())),
        });
        Found { live: live.verdict(), ready, is_latched, detail }
    }
}

/// Looks at a broker, and keeps what is to be remembered.
pub async fn look_at_broker(broker: &mut Broker, port: &Port, now: Timestamp, deadline: Instant) -> Answer<Seen> {
    let (start, is_its_own) = start_of(port, &Processes::default());
    let id = broker.target.broker;
    let mut kept = broker.memory.take();
    if let (None, Some(latch)) = (&kept, &broker.latch) {
        // The look itself needs time, too, where the disk has none.
        let half = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        kept = latch.read(half).await;
    }
    let memory = Memory::or_new(kept.clone(), start.clone(), id, now);
    // Any of the others, another one from look to look.
    let turn = usize::try_from(now.as_microsecond()).unwrap_or_default();
    let seen = observe_kafka::look(&broker.target, memory.next(), turn, deadline).await;
    let (verdict, mut memory) = verdict_kafka::ready(memory, &seen, broker.terms, now);
    let is_closed = matches!(&seen, Seen::Latched { reaction: Reaction::Refused(_), .. });
    if is_closed && !is_its_own {
        // The process can't be seen: a closed port is the only sign that it ended.
        memory = Memory::new(start, id, now);
    }
    if let Some(latch) = broker.latch.as_ref().filter(|_| kept.as_ref() != Some(&memory))
        && let Err(why) = latch.write(&memory, deadline.max(Instant::now() + KEPT_WITHIN)).await
    {
        output::say(&format!("{why}: the next probe starts the strict phase again"));
    }
    broker.memory = Some(memory);
    Answer::new(verdict, seen)
}
