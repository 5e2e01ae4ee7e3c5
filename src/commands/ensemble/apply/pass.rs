//! A pass over an ensemble or a quorum, once it was looked at: decided, shown, agreed to, carried out.

use crate::change::carry_out::Ended;
use crate::change::in_order::{Executor, InOrder};
use crate::change::plan::Plan;
use crate::commands::ensemble::apply::Passed;
use crate::commands::ensemble::plan::pass::{Decision, Input, Pass, decide};
use crate::commands::ensemble::plan::steps::{MembershipStep, Steps, plan};
use crate::commands::ensemble::report::is_alert;
use crate::context::Context;
use crate::exit::Exit;

/// A pass that was decided.
#[derive(Debug)]
pub struct Decided<P: Steps> {
    /// What it comes to.
    pub pass: Pass<P>,
    /// The same as a plan.
    pub plan: Plan<MembershipStep<P>>,
}

/// What a look comes to.
pub fn decided<P: Steps>(input: Input<'_, P>) -> Decided<P> {
    let pass = decide(input);
    let plan = plan(&pass, input.desired, input.seen);
    Decided { pass, plan }
}

impl<P: Steps> Decided<P> {
    /// Whether it only waits, as the pass before it did: then it prints nothing. `has_waited` is kept from pass to pass.
    pub(super) fn waits_still(&self, has_waited: &mut bool) -> bool {
        let waits = matches!(self.pass.decision, Decision::Wait(_)) && self.plan.steps.is_empty();
        std::mem::replace(has_waited, waits) && waits
    }

    /// Shown, agreed to, carried out and recorded as any other plan.
    pub(super) async fn carry_out<E>(self, context: &mut Context, executor: E) -> anyhow::Result<Passed>
    where
        E: Executor<Step = MembershipStep<P>>,
    {
        let has_steps = !self.plan.steps.is_empty();
        Ok(match carry_out(context, self.plan, executor).await? {
            Exit::Done if has_steps => Passed::Changed,
            exit => came_to(&self.pass, exit),
        })
    }
}

/// Shows a plan and carries it out, as far as that is agreed to.
pub async fn carry_out<P: Steps, E>(
    context: &mut Context,
    plan: Plan<MembershipStep<P>>,
    executor: E,
) -> anyhow::Result<Exit>
where
    E: Executor<Step = MembershipStep<P>>,
{
    let mut order = InOrder::new(executor);
    Ok(context.settle(plan, async |steps| order.apply(steps).await).await?.exit)
}

/// Shows what a look comes to, and changes nothing.
pub async fn show<P: Steps>(context: &mut Context, input: Input<'_, P>) -> anyhow::Result<Exit> {
    let Decided { pass, plan } = decided(input);
    let untouched = async |steps: &[MembershipStep<P>]| steps.iter().map(|_| Ended::refused("dry run")).collect();
    let exit = context.settle(plan, untouched).await?.exit;
    Ok(match came_to(&pass, exit) {
        Passed::Waits => Exit::Unhealthy,
        Passed::Ends(exit) => exit,
        Passed::Nothing | Passed::Changed => Exit::Done,
    })
}

/// What a pass without any step came to.
fn came_to<P: Steps>(pass: &Pass<P>, exit: Exit) -> Passed {
    match pass.decision {
        _ if exit != Exit::Done => Passed::Ends(exit),
        Decision::Wait(_) => Passed::Waits,
        _ if pass.findings.iter().any(is_alert) => Passed::Ends(Exit::Unhealthy),
        _ => Passed::Nothing,
    }
}
