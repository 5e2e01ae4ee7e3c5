//! A sink's trouble: when it is tried again, and which lines people read about it. Pure but for the jitter: the time is
//! an argument.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::recorders::lane::jitter;

/// Pauses after a failure that may pass by itself: as many as a run of ten seconds has room for, then rarely.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Pauses after a refusal, which a person must mend: a role, a key.
const REFUSED_FIRST: Duration = Duration::from_secs(30);
const REFUSED_MAX: Duration = Duration::from_mins(5);

/// A sink that asks for a longer pause is tried again after this: whoever set its limit may have raised it.
const ASKED_MAX: Duration = Duration::from_hours(1);

/// A failure that lasts longer than this is said: it is longer than the wait at the end of a run.
const SAID_AFTER: Duration = Duration::from_secs(15);

/// What a lane knows about its sink's trouble since something last went right.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    why: String,
    since: Instant,
    failures: u32,
    not_before: Instant,
    is_refused: bool,
    /// The sink asked for the pause.
    is_asked: bool,
    is_said: bool,
}

/// A line for people, which begins with the sink's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It takes nothing.
    Away { why: String, since: Duration },
    /// It takes events again.
    Back { after: Duration },
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away { why, since } if since.is_zero() => {
                write!(f, "takes nothing: {why}; they are kept in the spool")
            }
            Self::Away { why, since } => {
                let seconds = since.as_secs();
                write!(
                    f,
                    "has taken nothing for {seconds} s: {why}; events are kept, and sent when it takes them again"
                )
            }
            Self::Back { after } => write!(f, "takes events again, after {} s", after.as_secs()),
        }
    }
}

impl Trouble {
    /// Why nothing is taken, if something is wrong.
    pub(super) fn why(&self) -> Option<&str> {
        self.current.as_ref().map(|current| current.why.as_str())
    }

    /// No attempt before this time.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.current.as_ref().map(|current| current.not_before)
    }

    /// Whether the sink refuses everything until a person does something.
    pub(super) fn is_refused(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.is_refused)
    }

    /// An attempt failed, and another one may go right; the sink may ask for a pause.
    pub(super) fn failed(&mut self, why: String, asked: Option<Duration>, now: Instant) -> Option<Said> {
        let current = self.note(why, now);
        (current.is_refused, current.is_asked) = (false, asked.is_some());
        let pause = jitter(pause(BACKOFF_FIRST, BACKOFF_MAX, current.failures));
        current.failures = current.failures.saturating_add(1);
        let until = now + asked.unwrap_or_default().min(ASKED_MAX) + pause;
        current.not_before = current.not_before.max(until);
        let since = now.duration_since(current.since);
        (since >= SAID_AFTER).then(|| current.say(since)).flatten()
    }

    /// The sink refuses everything.
    pub(super) fn refused(&mut self, why: String, now: Instant) -> Option<Said> {
        let current = self.note(why, now);
        let failures = if current.is_refused { current.failures } else { 0 };
        let pause = pause(REFUSED_FIRST, REFUSED_MAX, failures);
        // Not all of it is random: a wrong key is not tried again within a short run.
        current.not_before = current.not_before.max(now + pause / 2 + jitter(pause / 2));
        (current.is_refused, current.failures) = (true, failures.saturating_add(1));
        current.say(Duration::ZERO)
    }

    /// The next attempt may be made at once, and those after it soon: nobody is asked to wait for a long pause.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let Some(current) = &mut self.current
            && !current.is_refused
            && !current.is_asked
        {
            (current.not_before, current.failures) = (now, 0);
        }
    }

    /// The sink took something, or said that it never will: it is there.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Said> {
        let current = self.current.take()?;
        current.is_said.then(|| Said::Back { after: now.duration_since(current.since) })
    }

    fn note(&mut self, why: String, now: Instant) -> &mut Current {
        let new = || Current {
            why: String::new(),
            since: now,
            failures: 0,
            not_before: now,
            is_refused: false,
            is_asked: false,
            is_said: false,
        };
        let current = self.current.get_or_insert_with(new);
        current.why = why;
        current
    }
}

impl Current {
    /// Once, until it takes something again.
    fn say(&mut self, since: Duration) -> Option<Said> {
        let is_first = !std::mem::replace(&mut self.is_said, true);
        is_first.then(|| Said::Away { why: self.why.clone(), since })
    }
}

fn pause(first: Duration, max: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.min(16)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn an_outage_is_one_line_when_it_has_lasted_and_one_when_it_is_over() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        let mut said = Vec::new();
        for n in 0..100 {
            said.extend(trouble.failed("no answer".into(), None, start + second(n)));
        }
        assert_eq!(said, [Said::Away { why: "no answer".into(), since: second(15) }]);
        assert_eq!(trouble.answered(start + second(100)), Some(Said::Back { after: second(100) }));
        assert_eq!((trouble.answered(start + second(101)), trouble.why()), (None, None));
    }

    #[test]
    fn a_failure_that_passes_soon_is_not_said() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.failed("503".into(), None, start), None);
        assert_eq!(trouble.failed("503".into(), None, start + second(14)), None);
        assert_eq!(trouble.answered(start + second(14)), None);
    }

    #[test]
    fn a_refusal_is_said_at_once_and_tried_again_after_seconds_and_then_minutes() {
        let (mut trouble, mut now) = (Trouble::default(), Instant::now());
        let mut pauses = Vec::new();
        for n in 0..10 {
            let said = trouble.refused("403".into(), now);
            assert_eq!(said.is_some(), n == 0);
            pauses.push(trouble.not_before().unwrap() - now);
            now += REFUSED_MAX;
        }
        assert!(pauses[0] >= second(15) && pauses[0] <= second(30), "{pauses:?}");
        assert!(pauses[9] >= second(150) && pauses[9] <= REFUSED_MAX, "{pauses:?}");
        assert!(trouble.is_refused());
    }

    #[test]
    fn pauses_grow_to_a_limit_and_a_pause_that_the_sink_asks_for_is_kept() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        for _ in 0..1_000 {
            trouble.failed("503".into(), None, now);
            assert!(trouble.not_before().unwrap() - now <= BACKOFF_MAX);
        }
        trouble.failed("429".into(), Some(second(60)), now);
        assert!(trouble.not_before().unwrap() - now >= second(60));
        trouble.failed("429".into(), Some(Duration::MAX), now);
        assert!(trouble.not_before().unwrap() - now <= ASKED_MAX + BACKOFF_MAX);
        trouble.hurry(now);
        assert!(trouble.not_before().unwrap() > now, "what the sink asked for holds");
    }

    #[test]
    fn at_the_end_of_a_run_a_long_pause_is_cut_short() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        for _ in 0..20 {
            trouble.failed("503".into(), None, now);
        }
        trouble.hurry(now);
        assert_eq!(trouble.not_before(), Some(now));
    }
}
