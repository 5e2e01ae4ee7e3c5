//! `--choices`: plans for several tolerances, one after the other, and shows what each costs and brings; writes nothing.

use crate::cluster::map::Maps;
use crate::commands::mapping::command::planning::{Job, age, asked, make};
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::report::answer::Answer;
use crate::commands::mapping::report::choices::{Choice, Choices, TOLERANCES};
use crate::commands::mapping::spec::goals::Limits;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;

/// Shows them. Exits with 0: nothing was asked to be moved.
pub(super) fn show(context: &Context, job: &Job<'_>, observed: &Observed, maps: &Maps) -> anyhow::Result<Exit> {
    let mut choices = Vec::new();
    let mut shown = None;
    for tolerance in tolerances(job.limits.tolerance) {
        let limits = Limits { tolerance, ..job.limits.clone() };
        let (planned, findings, explanations) = make(job, &limits, observed, maps)?;
        let answer = Answer::of(observed, &planned, &findings, &asked(context, job, explanations));
        if choices.is_empty() {
            choices.push(Choice::now(&planned, &answer));
        }
        choices.push(Choice::of(tolerance, &planned, &answer));
        shown = Some(answer);
    }
    let Some(answer) = shown else { return Ok(Exit::Done) };
    let choices = Choices {
        cluster_id: answer.cluster_id,
        observed_at: answer.observed_at,
        sizes_from: answer.sizes_from,
        capacity_from: answer.capacity_from,
        made_by: answer.made_by,
        throttle: job.result.throttle,
        choices,
    };
    let age = age(context, observed);
    context.output().result(&choices, |_| choices.text(age.as_deref(), output::table))?;
    Ok(Exit::Done)
}

/// Those that are usual, and the one that was asked for; the widest first.
fn tolerances(asked: f64) -> Vec<f64> {
    let mut all = TOLERANCES.to_vec();
    // The same number may have been written in another way, as `0.05` for `5%`.
    if all.iter().all(|known| (known - asked).abs() > 1e-9) {
        all.push(asked);
    }
    all.sort_by(|one, other| other.total_cmp(one));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tolerance_that_was_asked_for_is_among_the_choices_once() {
        assert_eq!(tolerances(0.05), [0.2, 0.1, 0.05, 0.02, 0.01]);
        assert_eq!(tolerances(0.03), [0.2, 0.1, 0.05, 0.03, 0.02, 0.01]);
        assert_eq!(tolerances(0.5), [0.5, 0.2, 0.1, 0.05, 0.02, 0.01]);
    }
}
