//! The throttles of an execution: managed while it runs, and taken away when it ends, whoever had set them.

use std::collections::BTreeSet;

use anyhow::Context as _;

use crate::change::throttle::decide::Ways;
use crate::clients::kafka::Kafka;
use crate::cluster::assignment::PartitionMove;
use crate::cluster::throttle::{PresentRate, Side, Sides, Throttles};
use crate::commands::reassign::agent::Throttling;
use crate::commands::reassign::plan::paced::concerned;
use crate::commands::reassign::plan::preflight::count;
use crate::context::Context;
use crate::context::throttles::{OwnThrottles, present_throttles};
use crate::exit::Exit;
use crate::output;

/// The throttles, where this run manages them: with a rate, or to take away what a dead run left.
pub(super) async fn managed(
    context: &mut Context,
    kafka: &dyn Kafka,
    cluster_id: &str,
    throttling: &Throttling,
) -> anyhow::Result<Option<OwnThrottles>> {
    if !throttling.is_off() {
        return Ok(Some(context.throttles(cluster_id).await?));
    }
    if context.throttles_to_look_at(cluster_id).await?.record().is_empty() {
        return Ok(None);
    }
    match context.throttles(cluster_id).await {
        Ok(mut throttles) => {
            let nothing = Throttles::default();
            context.throttle(&mut throttles, kafka, &nothing, Ways::default()).await?;
            Ok(Some(throttles))
        }
        // `throttle run` paces these moves: its throttles are its own.
        Err(error) if output::exit_of(&error) == Exit::Refused => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes away the throttles of what moves no more. Brokers that are down keep theirs until they are back. Whether none of
/// ours is left that could be taken away.
pub(super) async fn release(context: &mut Context, kafka: &dyn Kafka, cluster_id: &str) -> anyhow::Result<bool> {
    let looked_at = context.throttles_to_look_at(cluster_id).await?;
    if looked_at.record().is_empty() {
        return Ok(true);
    }
    let mut throttles = match context.throttles(cluster_id).await {
        Ok(throttles) => throttles,
        Err(error) if output::exit_of(&error) == Exit::Refused => {
            output::say("the throttles are managed by another run, which takes them away by itself");
            return Ok(true);
        }
        Err(error) => return Err(error),
    };
    let rates = throttles.record().rates.values().flat_map(|sides| Side::BOTH.map(|side| *sides.of(side)));
    let rate = rates.flatten().filter_map(|own| own.set.or(own.setting)).max();
    let running = kafka.reassignments().await.context("failed to list the moves")?;
    let ours = throttles.record().lists.keys().cloned().collect::<BTreeSet<_>>();
    let moves: Vec<_> = running
        .iter()
        .filter(|(partition, _)| ours.contains(&partition.topic))
        .map(|(partition, running)| {
            let before: Vec<_> = running.replicas.iter().filter(|one| !running.adding.contains(one)).copied().collect();
            (partition, before, &running.adding[..])
        })
        .collect();
    let desired = match rate {
        Some(rate) => Throttles::of_moves(moves.iter().map(|(at, before, adding)| (*at, &before[..], *adding)), rate),
        None => Throttles::default(),
    };
    let brought = context.throttle(&mut throttles, kafka, &desired, Ways::default()).await?;
    for warning in &brought.warnings {
        output::say(&format!("! {}", warning.text));
    }
    let shortfall = brought.shortfall();
    if let Some(why) = &shortfall {
        output::say(&format!("! throttles of this run are left ({why}): `toolbox throttle clear` takes them away"));
    }
    Ok(shortfall.is_none())
}

/// Says which throttles are left on what was moved, once ours are gone: others set them, or a run that kept its record
/// elsewhere and died. What can't be read is not spoken of.
pub(super) async fn say_what_is_left(kafka: &dyn Kafka, moves: &[PartitionMove]) {
    let (brokers, topics) = concerned(&moves.iter().collect::<Vec<_>>());
    let Ok(seen) = present_throttles(kafka, &brokers, &topics).await else { return };
    let is_set = |rate: &PresentRate| matches!(rate, PresentRate::Set(_) | PresentRate::Hidden);
    let rates = seen.rates.values().filter(|sides| Side::BOTH.iter().any(|side| is_set(sides.of(*side)))).count();
    let lists = seen.lists.values().filter(|sides| **sides != Sides::default()).count();
    if rates + lists > 0 {
        output::say(&format!(
            "! throttles that this run did not set are left on {} and {}: `toolbox throttle status` shows them, `toolbox \
             throttle clear --all` takes them away",
            count(rates, "broker"),
            count(lists, "topic")
        ));
    }
}
