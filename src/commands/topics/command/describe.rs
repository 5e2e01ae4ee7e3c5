//! `toolbox topics describe NAME…`: one Metadata and one DescribeConfigs request, both at once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use clap::Args;
use futures_util::future::join3;

use crate::clients::kafka::Kafka;
use crate::cluster::config::{ConfigEntry, ConfigResource};
use crate::cluster::metadata::{Metadata, TopicSelection};
use crate::cluster::topic::TopicName;
use crate::commands::topics::command::memory;
use crate::commands::topics::report::{self, Description, More};
use crate::context::Context;
use crate::context::completion;
use crate::exit::Exit;
use crate::formats::suggest::nearest;
use crate::output;
use crate::output::Format;
use crate::state::documents::Documents;
use crate::state::identity::Purpose;

/// Arguments of `toolbox topics describe`.
#[derive(Debug, Clone, Args)]
pub(super) struct DescribeArgs {
    /// The topics
    #[arg(value_name = "TOPIC", required = true, add = completion::topics())]
    names: Vec<TopicName>,

    /// Show how much each partition holds on disk
    #[arg(long)]
    size: bool,

    /// Show the consumer groups that read the topic now
    #[arg(long)]
    groups: bool,
}

/// Describes.
pub(super) async fn run(context: &mut Context, args: &DescribeArgs) -> anyhow::Result<Exit> {
    let kafka = context.kafka().await?;
    let Asked { metadata, configs, documents } = ask(context, &*kafka, &args.names).await?;
    context.is_cluster(&metadata.cluster_id)?;
    let words: Vec<_> = args.names.iter().map(TopicName::as_str).collect();
    let wanted = (&words[..], |name: &TopicName| metadata.topics.contains_key(name));
    let specs = memory::sources(documents, &metadata.cluster_id, wanted);
    let more = more(context, &*kafka, args, &metadata).await?;
    let more = More { configs, specs, ..more };
    let found: Vec<_> = args.names.iter().filter_map(|name| metadata.topics.get(name)).collect();
    let described: Vec<_> = found.iter().map(|topic| Description::of(topic, &more)).collect();
    context.output().result(&described, |_| {
        let texts: Vec<_> = described.iter().map(|one| one.text(output::table)).collect();
        texts.join("\n")
    })?;
    if found.len() == args.names.len() {
        return Ok(Exit::Done);
    }
    complain_of_missing(&*kafka, args, &metadata).await?;
    Ok(Exit::Failed)
}

/// What every description needs.
struct Asked {
    metadata: Metadata,
    configs: BTreeMap<TopicName, Vec<ConfigEntry>>,
    documents: anyhow::Result<Documents>,
}

/// Asks for all of it at once: none of the answers is needed for the next question.
async fn ask(context: &Context, kafka: &dyn Kafka, names: &[TopicName]) -> anyhow::Result<Asked> {
    let resources: BTreeSet<_> = names.iter().map(|name| ConfigResource::Topic(name.clone())).collect();
    let resources = Vec::from_iter(resources);
    let (metadata, configs, documents) = join3(
        kafka.metadata(TopicSelection::Named(names)),
        kafka.configs(&resources, None),
        context.documents(Purpose::Topics),
    )
    .await;
    let metadata = metadata.context("failed to describe topics")?;
    let configs = configs.context("failed to read the topics' configs")?.into_iter();
    let configs = configs.filter_map(|(resource, entries)| match (resource, entries) {
        (ConfigResource::Topic(name), Ok(entries)) => Some((name, entries)),
        // A topic that is not there is named later on.
        _ => None,
    });
    Ok(Asked { metadata, configs: configs.collect(), documents })
}

/// What is asked only where it matters or was requested.
async fn more(context: &Context, kafka: &dyn Kafka, args: &DescribeArgs, metadata: &Metadata) -> anyhow::Result<More> {
    let mut more = More { shows_config: true, ..More::default() };
    if metadata.topics.is_empty() {
        return Ok(more);
    }
    if metadata.topics.values().any(report::may_be_under_replicated) {
        more.moves = kafka.reassignments().await.context("failed to list the moves that are running")?;
    }
    if args.size || context.flags.output == Format::Wide {
        let brokers: Vec<_> = metadata.brokers.keys().copied().collect();
        let sizes = kafka.replica_sizes(&brokers).await.context("failed to read how large the topics are")?;
        for (broker, why) in &sizes.missing {
            output::complain(&format!("sizes are without broker {broker}: {why}"));
        }
        more.sizes = Some(sizes.sizes);
    }
    if args.groups {
        more.groups = Some(kafka.live_groups().await.context("failed to list consumer groups")?);
        if kafka.sees_all_groups().await.context("failed to ask whether all consumer groups are shown")? == Some(false)
        {
            output::complain("brokers show only some groups: the right to Describe the cluster is missing");
        }
    }
    Ok(more)
}

/// Names topics that are not there, each with what may be meant.
async fn complain_of_missing(kafka: &dyn Kafka, args: &DescribeArgs, metadata: &Metadata) -> anyhow::Result<()> {
    let all = kafka.metadata(TopicSelection::All).await.context("failed to list topics")?;
    for name in args.names.iter().filter(|name| !metadata.topics.contains_key(*name)) {
        let hint = match nearest(name.as_str(), all.topics.keys().map(TopicName::as_str)) {
            Some(near) => format!("; did you mean {near}?"),
            None => String::new(),
        };
        output::complain(&format!("there is no topic {name}{hint}"));
    }
    Ok(())
}
