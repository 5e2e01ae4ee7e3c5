//! `toolbox topics export`: the cluster's topics, or those of files, as text that this tool, topicctl, Strimzi or Jikkou reads.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Args;

use crate::cluster::config::{ConfigResource, ConfigSource};
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::{Topic, TopicName};
use crate::commands::topics::command::list::Pattern;
use crate::commands::topics::command::sources::SourceArgs;
use crate::commands::topics::command::validate::refusal;
use crate::commands::topics::observe::{Observed, without_secret};
use crate::commands::topics::spec::{self, Form, TopicSpec};
use crate::context::Context;
use crate::context::completion;
use crate::exit::Exit;
use crate::formats::place::Faults;
use crate::formats::yaml::{self, Node, Origin, Value};
use crate::output;

/// Arguments of `toolbox topics export`.
#[derive(Debug, Clone, Args)]
pub(super) struct ExportArgs {
    /// Names or globs as `orders-*`; without any, all topics but Kafka's own
    #[arg(value_name = "TOPIC", add = completion::topics())]
    names: Vec<String>,

    /// Take the names for regular expressions that match a whole name
    #[arg(long)]
    regex: bool,

    /// The form to write
    #[arg(long, env = "TOOLBOX_TOPICS_TO", value_name = "FORM", default_value = "toolbox", help_heading = "Topics")]
    to: Form,

    /// Files instead of a cluster: what they declare is written in the other form
    #[command(flatten)]
    sources: SourceArgs,
}

/// Writes topics to standard output, and what the form can't say to standard error.
pub(super) async fn run(context: &mut Context, args: &ExportArgs) -> anyhow::Result<Exit> {
    let pattern = Pattern::new(&args.names, args.regex)?;
    let (topics, notes) = if args.sources.is_given() {
        let spec = args.sources.read(context).await?.map_err(|faults| refusal(&faults))?;
        let notes = spec.notes_beside([].iter());
        let chosen = spec.topics.into_values().filter(|topic| pattern.fits(&topic.name.value));
        (chosen.collect(), notes)
    } else {
        of_cluster(context, &pattern).await?
    };
    let written = spec::write(args.to, &topics, context.flags.cluster.as_deref());
    for note in notes.iter().chain(&written.notes) {
        output::say(&format!("note: {note}"));
    }
    if context.output().format == output::Format::Json {
        context.output().result(&as_json(&written.text)?, |_| String::new())?;
    } else {
        output::print(&written.text)?;
    }
    Ok(Exit::Done)
}

/// The documents of a text of ours as JSON: itself where there is one, a list where there are several. Config values stay
/// texts as they stand, so that each reader takes them for the same.
fn as_json(text: &str) -> anyhow::Result<serde_json::Value> {
    let (documents, faults) = yaml::documents(&Origin::new("export"), text);
    Faults::check(faults)?;
    let mut documents: Vec<_> = documents.iter().map(value_of).collect();
    Ok(if documents.len() == 1 { documents.remove(0) } else { documents.into() })
}

/// A tree as JSON; it is as deep as what was written.
fn value_of(node: &Node<'_>) -> serde_json::Value {
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => serde_json::Value::Null,
        Value::Scalar(scalar) => match (scalar.whole(), scalar.flag()) {
            (Some(number), _) => number.into(),
            (None, Some(flag)) => flag.into(),
            (None, None) => scalar.text.as_ref().into(),
        },
        Value::List(items) => items.iter().map(value_of).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.to_string(), value_of(&entry.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Broken => serde_json::Value::Null,
    }
}

/// The cluster's topics with the config keys that are set on each of them.
async fn of_cluster(context: &mut Context, pattern: &Pattern) -> anyhow::Result<(Vec<TopicSpec>, Vec<String>)> {
    let observed = context.observed(async || observe(context, pattern).await).await?;
    context.is_cluster(&observed.metadata.cluster_id)?;
    let Observed { metadata, configs, .. } = &observed;
    let chosen = metadata.topics.values().filter(|topic| !topic.internal && pattern.fits(&topic.name));
    let mut notes = Vec::new();
    let topics = chosen.map(|topic| {
        let entries = configs.get(&topic.name).map_or(&[][..], Vec::as_slice);
        let own = || entries.iter().filter(|entry| entry.source == ConfigSource::Topic);
        let hidden = own().filter(|entry| entry.value.is_none());
        notes.extend(hidden.map(|entry| format!("topic {}: the value of {} is hidden", topic.name, entry.name)));
        let config = own().filter_map(|entry| Some((entry.name.clone(), entry.value.clone()?)));
        declared_of(topic, config.collect())
    });
    let topics = topics.collect();
    Ok((topics, notes))
}

async fn observe(context: &Context, pattern: &Pattern) -> anyhow::Result<Observed> {
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::All).await.context("failed to list topics")?;
    let chosen = metadata.topics.values().filter(|topic| !topic.internal && pattern.fits(&topic.name));
    let resources: Vec<_> = chosen.map(|topic| ConfigResource::Topic(topic.name.clone())).collect();
    let mut configs: BTreeMap<TopicName, _> = BTreeMap::new();
    if !resources.is_empty() {
        let answers = kafka.configs(&resources, None).await.context("failed to read the topics' configs")?;
        for (resource, entries) in answers {
            let ConfigResource::Topic(name) = resource else { continue };
            let entries = entries.with_context(|| format!("failed to read the config of topic {name}"))?;
            configs.insert(name, entries.into_iter().map(without_secret).collect());
        }
    }
    Ok(Observed { metadata, configs, ..Observed::default() })
}

fn declared_of(topic: &Topic, config: BTreeMap<String, String>) -> TopicSpec {
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let replicas = i16::try_from(topic.replication_factor()).unwrap_or(i16::MAX);
    TopicSpec::of_cluster(topic.name.clone(), partitions, replicas, config)
}
