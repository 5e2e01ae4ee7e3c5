//! `toolbox reassign pause` and `resume`: a word to the run that carries a plan out, wherever it runs.

use anyhow::Context as _;

use crate::change::event::Severity;
use crate::cluster::metadata::TopicSelection;
use crate::commands::reassign::command::record::{self, Asked, Control};
use crate::context::Context;
use crate::exit::Exit;
use crate::output;

/// Keeps the word.
pub(super) async fn run(context: &mut Context, pauses: bool) -> anyhow::Result<Exit> {
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::None).await.context("failed to read the cluster's metadata")?;
    context.is_cluster(&metadata.cluster_id)?;
    let mut document = record::document(context, &metadata.cluster_id).await?;
    document.load::<serde::de::IgnoredAny>().await?;
    context.check_same_place(&document).await?;
    let mut control = Control::open(context, &metadata.cluster_id).await?;
    let asked = control.read(std::time::Duration::ZERO).await;
    let (word, words) = if pauses {
        ("paused", "paused: no move is begun until `toolbox reassign resume`; moves that run go on")
    } else {
        ("resumed", "resumed: moves are begun again by the run that carries the plan out")
    };
    if asked.paused.is_some() == pauses {
        output::say(&format!("it is {word} already"));
        return Ok(Exit::Done);
    }
    if context.is_dry_run() {
        output::say(&format!("it would be {word}"));
        return Ok(Exit::Changes);
    }
    let run = context.run();
    let since = context.now().round(jiff::Unit::Second).unwrap_or_else(|_| context.now());
    let why = pauses.then(|| format!("paused by {} at {since}", run.actor));
    control.ask(&Asked { paused: why, ..asked }).await?;
    let kind = format!("reassign.{word}");
    let subject = format!("cluster:{}", run.cluster);
    context.record_finding(&kind, &subject, words, Severity::Info).await;
    output::say(words);
    Ok(Exit::Done)
}
