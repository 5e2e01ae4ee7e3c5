//! Whether a server is alive: its port reacts, or its process at least uses CPU time. Busy never fails, frozen does.
//!
//! It never depends on a quorum, a controller, credentials or other machines: restarting a server does not mend those.

use std::time::Duration;

use serde::Serialize;

use crate::cluster::reaction::{CpuUse, Reaction};
use crate::commands::probe::verdict::{State, Verdict};

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tries {
    /// Where the server listens.
    pub address: String,
    /// What was asked, as `ApiVersions`.
    pub asked: &'static str,
    /// What a server is that answers this, as `a Kafka broker`.
    pub expected: &'static str,
    /// What came of each try; the last one may be an answer.
    pub reactions: Vec<Reaction>,
    /// What its process did meanwhile.
    pub cpu: CpuUse,
    /// How long its process has been running, where that can be seen.
    pub age: Option<Duration>,
    /// For how long after its start nothing is expected of it.
    pub startup_window: Option<Duration>,
}

/// Whether the server is alive.
pub fn alive(tries: &Tries) -> Verdict {
    let Tries { address, asked, expected, reactions, .. } = tries;
    let count = reactions.len();
    let accepts = reactions.contains(&Reaction::Silent);
    match reactions.last() {
        Some(Reaction::Answered) => Verdict::new(State::Alive, format!("{address} answers {asked}")),
        Some(Reaction::OtherAnswer) => Verdict::new(
            State::Alive,
            format!(
                "{address}: its port answers, but not as {expected} answers {asked}; if the listener speaks TLS, give --tls"
            ),
        ),
        Some(Reaction::HungUp) => Verdict::new(
            State::Alive,
            format!("{address} closed the connection without an answer; if the listener speaks TLS, give --tls"),
        ),
        Some(Reaction::Refused(why)) => starting(tries)
            .unwrap_or_else(|| Verdict::new(State::NotAlive, format!("nothing listens on {address}: {why}"))),
        Some(Reaction::NoWay(why)) => {
            Verdict::new(State::Unknown, format!("{address} can't be asked: {why}; give an address, not a name"))
        }
        Some(Reaction::Silent | Reaction::NotAccepted) => silent(tries, count, accepts),
        None => Verdict::new(State::Unknown, format!("{address} was not asked within --timeout")),
    }
}

/// Nothing came, as often as it was tried.
fn silent(tries: &Tries, count: usize, accepts: bool) -> Verdict {
    let Tries { address, asked, .. } = tries;
    let nothing = format!("{address} answered none of {count} {asked}");
    match &tries.cpu {
        CpuUse::StoodStill(time) => Verdict::new(
            State::NotAlive,
            format!("{nothing}, and its process has used no CPU time for {} ms: it is frozen", time.as_millis()),
        ),
        CpuUse::Grew => Verdict::new(State::Alive, format!("{nothing}, but its process uses CPU time: it is busy")),
        CpuUse::NotLookedAt => Verdict::new(State::Alive, format!("{nothing} yet; its process was not looked at")),
        CpuUse::Unseen(why) if accepts => Verdict::new(
            State::Alive,
            format!("{nothing}, but it accepts connections; whether it is frozen can't be seen: {why}"),
        ),
        CpuUse::Unseen(why) => starting(tries).unwrap_or_else(|| {
            Verdict::new(
                State::NotAlive,
                format!("{address} accepts no connection, and its process can't be seen: {why}"),
            )
        }),
    }
}

/// Alive, where the process is so young that nothing is expected of it yet.
fn starting(tries: &Tries) -> Option<Verdict> {
    let (age, window) = (tries.age?, tries.startup_window?);
    (age < window).then(|| {
        let (age, window) = (age.as_secs(), window.as_secs());
        let reason = format!("{} does not listen yet, {age} s after its start; it has {window} s", tries.address);
        Verdict::new(State::Alive, reason)
    })
}
