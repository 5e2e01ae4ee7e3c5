//! The result of setting throttles: what was changed, and what was not.

use crate::change::carry_out::Ended;
use crate::change::event::Outcome;
use crate::change::plan::Warning;
use crate::change::throttle::step::ThrottleStep;
use crate::cluster::throttle::PresentThrottles;

/// The result of setting throttles.
#[derive(Debug)]
pub struct Brought {
    /// Each step that was begun and how it ended.
    pub ended: Vec<(ThrottleStep, Ended)>,
    /// Why the other steps were not begun, where there are some: the run was asked to stop, or lost its lock.
    pub not_begun: Option<String>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// What was there before.
    pub seen: PresentThrottles,
}

impl Brought {
    /// Why a step did not end well, if one did not.
    pub fn failure(&self) -> Option<String> {
        let bad = self.ended.iter().find(|(_, ended)| ended.outcome != Outcome::Done)?;
        Some(format!("{}: {}", bad.0, bad.1.reason.as_deref().unwrap_or("not done")))
    }

    /// Why the throttles are not as desired, if they are not: a step that did not end well, or was not begun.
    pub fn shortfall(&self) -> Option<String> {
        self.failure().or_else(|| self.not_begun.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::change::brake::Brake;
    use crate::change::throttle::decide::Ways;
    use crate::clients::kafka::Cluster;
    use crate::clients::kafka::memory::Memory;
    use crate::cluster::broker::BrokerId;
    use crate::cluster::metadata::TopicSelection;
    use crate::cluster::size::ByteRate;
    use crate::cluster::throttle::Throttles;
    use crate::cluster::topic::{TopicName, TopicPartition};
    use crate::context::Context;
    use crate::context::flags::Flags;

    #[tokio::test(start_paused = true)]
    async fn throttles_that_a_run_without_its_lock_could_not_take_away_are_not_counted_as_gone() {
        let kafka = Arc::new(Memory::kraft(3).topic("orders", &[&[1, 2]]).moving("orders", 0, &[1, 2, 3]));
        let state = tempfile::tempdir().unwrap();
        let brake = Brake::default();
        let flags = Flags::of(["--state", "file", "--state-folder", state.path().to_str().unwrap()]);
        let mut context = Context::new(flags).with_kafka(Arc::clone(&kafka) as _).with_brake(brake.clone());
        let id = kafka.metadata(TopicSelection::None).await.unwrap().cluster_id;
        let orders = TopicPartition { topic: TopicName::new("orders").unwrap(), partition: 0 };
        let (sources, adding) = ([BrokerId(1), BrokerId(2)], [BrokerId(3)]);
        let desired = Throttles::of_moves([(&orders, &sources[..], &adding[..])], ByteRate(1_000_000));
        let mut throttles = context.throttles(&id).await.unwrap();
        let brought = context.throttle(&mut throttles, &*kafka, &desired, Ways::default()).await.unwrap();
        assert_eq!((brought.shortfall(), brought.ended.is_empty()), (None, false));
        brake.pull("the lock was taken by pod throttle-2");
        let brought = context.throttle(&mut throttles, &*kafka, &Throttles::default(), Ways::default()).await.unwrap();
        assert_eq!(brought.shortfall().as_deref(), Some("the lock was taken by pod throttle-2"));
    }
}
