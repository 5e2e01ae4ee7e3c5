//! The events of a run as a whole: that it started, and how it ended.
//!
//! A run whose last steps another command carries out (`topics apply` hands moves over to `reassign`) has not ended when
//! they are handed over: its end is recorded when that command has ended ([`Context::end_handed_over`]).

use crate::change::carry_out::{Ended, Run, Tally};
use crate::change::event::{Event, Outcome, Severity};
use crate::change::plan::{Plan, Step};
use crate::change::render;
use crate::context::Context;
use crate::exit::Exit;

/// A run that has started and whose end is not recorded yet.
#[derive(Debug)]
pub(super) struct Open {
    run: Run,
    started: Event,
    tally: Tally,
}

/// The start of a run: the intent to carry its plan out.
pub(super) fn started<S: Step>(run: &Run, plan: &Plan<S>) -> Event {
    let subject = format!("cluster:{}", run.cluster);
    let event = run.event(&run.kind("started"), &subject, Outcome::Planned, &render::counts(plan));
    Event { severity: Severity::Low, ..event }
}

/// The end of a run: the outcome that belongs to [`started`]. `stopped` says why it did not come to its end, if so.
fn finished(open: &Open, stopped: Option<&str>) -> Event {
    let Open { run, started, tally } = open;
    let words = tally.to_string();
    let (phase, severity, ended) = match (tally.failed + tally.unknown, stopped) {
        (0, None) => ("completed", Severity::Success, Ended::done()),
        (0, Some(why)) => ("stopped", Severity::Warning, Ended::failed(format!("{why}; run the same command again"))),
        (_, why) => {
            let why = why.map(|why| format!("; {why}")).unwrap_or_default();
            ("failed", Severity::Error, Ended::failed(format!("{words}{why}")))
        }
    };
    let event = run.outcome(started, &ended);
    Event { kind: run.kind(phase), severity, title: words, ..event }
}

impl Context {
    /// Records the end of a run, or keeps it open where another command carries its last steps out. `stopped` says why
    /// steps were not begun, if so.
    pub(super) async fn end_run<S: Step>(
        &mut self,
        (run, started): (Run, Event),
        ended: &[(S, Ended)],
        stopped: Option<String>,
    ) {
        let open = Open { run, started, tally: Tally::of(ended) };
        let is_handed_over = ended.iter().any(|(step, ended)| step.is_handed_over() && ended.outcome == Outcome::Done);
        if is_handed_over && stopped.is_none() {
            self.open_run = Some(open);
            return;
        }
        self.recorder().record(&[finished(&open, stopped.as_deref())]).await;
    }

    /// Records the end of a run whose last steps another command has carried out, as that one ended; without such a run
    /// nothing.
    pub async fn end_handed_over(&mut self, ended: &anyhow::Result<Exit>) {
        let Some(mut open) = self.open_run.take() else { return };
        let why = match (ended, self.brake().pulled()) {
            (Ok(Exit::Done), _) => None,
            (_, Some(why)) => Some(why),
            (Ok(Exit::Refused), None) => Some("what was handed over was refused or cancelled".to_owned()),
            (Ok(_), None) => {
                open.tally.failed += 1;
                Some("what was handed over did not come to its end".to_owned())
            }
            (Err(error), None) => {
                open.tally.failed += 1;
                Some(format!("{error:#}"))
            }
        };
        self.recorder().record(&[finished(&open, why.as_deref())]).await;
    }
}
