//! `toolbox reassign elect`: preferred leaders lead again; with `--unclean`, partitions without a leader get one.
//!
//! It needs no lock: an election that was made twice changes nothing, and one beside an execution is what that one does,
//! too, at its end.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args};

use crate::change::attempts::attempts;
use crate::change::carry_out::Ended;
use crate::change::looks::Looks;
use crate::clients::kafka::{Election, Kafka, KafkaError, codes};
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::{Metadata, TopicSelection};
use crate::cluster::topic::{TopicName, TopicPartition};
use crate::commands::mapping::spec::amounts::partition;
use crate::commands::reassign::plan::elect::{ElectStep, Electorate, preferred, unclean};
use crate::context::{Context, completion, sources};
use crate::exit::{Exit, Stop};
use crate::formats::reassignment_json::read_partitions;

/// Arguments of `toolbox reassign elect`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("whom").required(true).multiple(true).args(["file", "topics", "brokers", "partitions", "all"]))]
pub(super) struct ElectArgs {
    /// Partitions in JSON, as kafka-leader-election takes them: `{"partitions":[{"topic":"orders","partition":3}]}`; `-` is
    /// standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Partitions of these topics
    #[arg(long, value_name = "TOPIC", value_delimiter = ',', help_heading = "Election", add = completion::topic_list())]
    topics: Vec<TopicName>,

    /// Partitions whose preferred leader is one of these brokers; with --unclean, those with a replica there
    #[arg(long, value_name = "ID", value_delimiter = ',', help_heading = "Election", add = completion::broker_list())]
    brokers: Vec<BrokerId>,

    /// These partitions, as `orders-3,orders-4`
    #[arg(long, value_name = "PARTITION", value_delimiter = ',', value_parser = partition, help_heading = "Election")]
    partitions: Vec<TopicPartition>,

    /// Every partition of the cluster
    #[arg(long, conflicts_with_all = ["file", "topics", "brokers", "partitions"], help_heading = "Election")]
    all: bool,

    /// Of partitions without a leader, let a live replica lead though it is not in sync: records that it lacks are lost for
    /// good. Needs --max-risk loses-data where nobody is asked
    #[arg(long, help_heading = "Election")]
    unclean: bool,
}

/// Elects leaders.
pub(super) async fn run(context: &mut Context, args: &ElectArgs) -> anyhow::Result<Exit> {
    let whom = args.whom()?;
    let metadata: Metadata = context
        .observed(async || {
            let kafka = context.kafka().await?;
            kafka.metadata(TopicSelection::All).await.context("failed to read the cluster's metadata")
        })
        .await?;
    context.is_cluster(&metadata.cluster_id)?;
    let (election, plan) = if args.unclean {
        (Election::Unclean, unclean(&metadata, &whom))
    } else {
        (Election::Preferred, preferred(&metadata, &whom))
    };
    let kafka = if context.is_dry_run() { None } else { Some(context.kafka().await?) };
    let apply = async |batch: &[ElectStep]| match kafka.as_deref() {
        Some(kafka) => elect(kafka, election, batch).await,
        None => batch.iter().map(|_| Ended::refused("a rehearsal changes nothing")).collect(),
    };
    Ok(context.settle(plan, apply).await?.exit)
}

impl ElectArgs {
    fn whom(&self) -> anyhow::Result<Electorate> {
        let listed = match &self.file {
            Some(path) => {
                let source = sources::load_plan(path)?;
                read_partitions(&source).map_err(|faults| Stop::usage(faults.to_string()))?
            }
            None => Vec::new(),
        };
        Ok(Electorate {
            all: self.all,
            topics: self.topics.iter().cloned().collect(),
            brokers: self.brokers.iter().copied().collect(),
            partitions: self.partitions.iter().cloned().chain(listed).collect(),
        })
    }
}

/// Sends one batch, and looks until the cluster shows the leaders. Safe to repeat: an election that is not needed changes
/// nothing.
async fn elect(kafka: &dyn Kafka, election: Election, batch: &[ElectStep]) -> Vec<Ended> {
    let mut tried_before = BTreeSet::new();
    attempts(batch, "run again", async |steps| {
        let partitions: Vec<_> = steps.iter().map(|step| step.partition.clone()).collect();
        let answers = kafka.elect_leaders(election, &partitions).await;
        let open = steps.iter().zip(&answers).filter(|(_, answer)| answer.is_ok() || is_lost(answer));
        let missing = missing(kafka, open.map(|(step, _)| step).collect()).await;
        let ended = |(step, answer): (&ElectStep, Result<(), KafkaError>)| match answer {
            Ok(()) => Some(Ended::done()),
            Err(_) if is_lost(&answer) => (!missing.contains(&step)).then(Ended::done),
            Err(error) if error.code() == Some(codes::ELECTION_NOT_NEEDED) => {
                // An earlier request of ours may have had no answer and been carried out.
                let is_ours = tried_before.contains(&step.partition);
                Some(if is_ours { Ended::done() } else { Ended::unchanged("it has such a leader already") })
            }
            Err(error) => Some(Ended::failed(error.to_string())),
        };
        let ended = steps.iter().zip(answers).map(ended).collect();
        tried_before.extend(steps.iter().map(|step| step.partition.clone()));
        ended
    })
    .await
}

fn is_lost(answer: &Result<(), KafkaError>) -> bool {
    answer.as_ref().is_err_and(KafkaError::leaves_result_unknown)
}

/// The steps that the cluster does not show as done, within limits.
async fn missing<'a>(kafka: &dyn Kafka, mut open: Vec<&'a ElectStep>) -> Vec<&'a ElectStep> {
    let mut looks = Looks::default();
    while !open.is_empty() && looks.again().await {
        let names: BTreeSet<_> = open.iter().map(|step| step.partition.topic.clone()).collect();
        let names: Vec<_> = names.into_iter().collect();
        if let Ok(metadata) = kafka.metadata(TopicSelection::Named(&names)).await {
            open.retain(|step| !step.is_shown(&metadata));
        }
    }
    open
}
