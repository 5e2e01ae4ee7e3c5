//! Steps one after the other: once one of them did not end well, those that are left are not begun.

use crate::change::carry_out::Ended;
use crate::change::event::Outcome;

/// Carries out steps of one kind.
#[expect(async_fn_in_trait, reason = "a command carries out its steps where it is: nothing is sent to another thread")]
pub trait Executor {
    /// The steps.
    type Step;

    /// Carries one step out. Either side says how it ended.
    async fn execute(&mut self, step: &Self::Step) -> Result<Ended, Ended>;
}

/// An executor that stops at the first step that does not end well, over all batches of a plan.
#[derive(Debug)]
pub struct InOrder<E> {
    /// What carries out one step.
    pub executor: E,
    is_broken: bool,
}

impl<E: Executor> InOrder<E> {
    /// One that has not begun.
    pub fn new(executor: E) -> Self {
        Self { executor, is_broken: false }
    }

    /// Carries out one batch.
    pub async fn apply(&mut self, steps: &[E::Step]) -> Vec<Ended> {
        let mut all = Vec::with_capacity(steps.len());
        for step in steps {
            if self.is_broken {
                all.push(Ended::refused("not begun: a step before it did not end well"));
                continue;
            }
            let ended = self.executor.execute(step).await.unwrap_or_else(|ended| ended);
            self.is_broken = ended.outcome != Outcome::Done;
            all.push(ended);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(&'static str);

    impl Executor for Fails {
        type Step = &'static str;

        async fn execute(&mut self, step: &&'static str) -> Result<Ended, Ended> {
            if *step == self.0 { Err(Ended::failed("no")) } else { Ok(Ended::done()) }
        }
    }

    #[tokio::test]
    async fn after_a_step_that_did_not_end_well_none_is_begun_in_this_batch_or_the_next() {
        let mut order = InOrder::new(Fails("b"));
        let outcomes = |all: Vec<Ended>| all.iter().map(|ended| ended.outcome).collect::<Vec<_>>();
        assert_eq!(outcomes(order.apply(&["a"]).await), [Outcome::Done]);
        assert_eq!(outcomes(order.apply(&["b", "c"]).await), [Outcome::Failed, Outcome::Refused]);
        assert_eq!(outcomes(order.apply(&["d"]).await), [Outcome::Refused]);
    }
}
