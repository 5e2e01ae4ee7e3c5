//! `toolbox topics validate`: is this spec right? Without a cluster, or with one that is asked and never changed.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::change::plan::Refusal;
use crate::cluster::metadata::TopicSelection;
use crate::commands::topics::command::again::ask_brokers;
use crate::commands::topics::command::declared;
use crate::commands::topics::command::sources::SourceArgs;
use crate::commands::topics::observe::{Begun, observe};
use crate::commands::topics::plan::{Options, plan};
use crate::commands::topics::spec::{self, Spec};
use crate::context::Context;
use crate::exit::{Exit, Stop};
use crate::formats::place::{Fault, Faults};
use crate::output;

/// Most faults that a person is shown.
const SHOWN_MAX: usize = 100;

/// Arguments of `toolbox topics validate`.
#[derive(Debug, Clone, Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    sources: SourceArgs,

    /// Take config keys that Kafka does not have, as those of a newer broker or of a vendor; a cluster that is asked decides
    /// itself
    #[arg(long, env = "TOOLBOX_TOPICS_ALLOW_UNKNOWN_KEYS", help_heading = "Topics")]
    allow_unknown_keys: bool,

    /// Print the JSON Schema of a topics file, for editors, and end
    #[arg(long, help_heading = "Topics")]
    schema: bool,
}

/// What was found, for programs.
#[derive(Debug, Default, Serialize)]
struct Findings {
    /// How many topics are declared.
    topics: usize,
    /// Whether a cluster, or what was saved of one, was compared with.
    cluster_asked: bool,
    /// What is wrong.
    faults: Vec<Fault>,
    /// What a person should know.
    notes: Vec<String>,
}

/// Reads the spec and says what is wrong with it. Where the flags name a cluster, it is asked, too.
pub(super) async fn run(context: &Context, args: &ValidateArgs) -> anyhow::Result<Exit> {
    if args.schema {
        output::print(&serde_json::to_string_pretty(&spec::schema())?)?;
        return Ok(Exit::Done);
    }
    let findings = match args.sources.read(context).await? {
        Err(Faults(faults)) => Findings { faults, ..Findings::default() },
        Ok(spec) => {
            declared::is_of_cluster(context, &spec)?;
            let cluster_asked = context.flags.observed.is_some() || context.flags.bootstrap_server.is_some();
            let (faults, refused) = if cluster_asked {
                faults_of_cluster(context, &spec).await?
            } else if args.allow_unknown_keys {
                <_>::default()
            } else {
                (spec.unknown_keys.clone(), Vec::new())
            };
            let mut notes = spec.notes_beside(faults.iter());
            notes.extend(refused);
            Findings { topics: spec.topics.len(), cluster_asked, faults, notes }
        }
    };
    report(context, findings)
}

/// What is wrong now that the cluster is known, and what would be refused as it is now. Brokers are asked with validateOnly:
/// nothing is changed.
async fn faults_of_cluster(context: &Context, spec: &Spec) -> anyhow::Result<(Vec<Fault>, Vec<String>)> {
    let observed = context
        .observed(async || {
            let kafka = context.kafka().await?;
            let metadata =
                kafka.metadata(TopicSelection::All).await.context("failed to read the cluster's metadata")?;
            let begun = Begun { metadata, last_applied: None, declared_by_others: BTreeMap::new() };
            observe(&*kafka, spec, begun, (context.now(), context.now())).await
        })
        .await?;
    let options = Options { maps: context.maps.clone(), ..Options::default() };
    let planned = plan(spec, &observed, &options);
    let mut found = planned.faults;
    if context.flags.observed.is_none() {
        let kafka = context.kafka().await?;
        found.extend(ask_brokers(&*kafka, spec, &observed, &planned.plan.steps).await.faults);
    }
    let mut faults: Vec<_> = found.into_iter().map(|(_, fault)| fault).collect();
    faults.sort();
    faults.dedup();
    let creates = planned.plan.refusals.iter().filter(|refusal| refusal.change == "create");
    let said = |refusal: &Refusal| format!("{}: it would be refused now: {}", refusal.subject, refusal.reason);
    Ok((faults, creates.map(said).collect()))
}

fn report(context: &Context, findings: Findings) -> anyhow::Result<Exit> {
    if context.output().is_structured() {
        context.output().result(&findings, |_| String::new())?;
        return Ok(if findings.faults.is_empty() { Exit::Done } else { Exit::Usage });
    }
    for note in &findings.notes {
        output::say(&format!("note: {note}"));
    }
    if !findings.faults.is_empty() {
        return Err(refusal(&Faults(findings.faults)).into());
    }
    let declared = match findings.topics {
        1 => "1 topic is declared".to_owned(),
        topics => format!("{topics} topics are declared"),
    };
    let asked = if findings.cluster_asked {
        "the cluster can have them"
    } else {
        "no fault found; no cluster was asked (--bootstrap-server or --cluster names one)"
    };
    output::print(&format!("{declared}: {asked}"))?;
    Ok(Exit::Done)
}

/// What a person reads when a spec has faults: how many, then one a line.
pub(super) fn refusal(faults: &Faults) -> Stop {
    let count = match faults.0.len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let shown: Vec<_> = faults.0.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
    let rest = faults.0.len() - shown.len();
    let rest = if rest == 0 { String::new() } else { format!("\n… and {rest} more") };
    Stop::usage(format!("the topics have {count}; nothing was changed\n{}{rest}", shown.join("\n")))
}
