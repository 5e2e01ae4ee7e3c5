//! `toolbox topics list`: one Metadata request in the plain case.

use anyhow::Context as _;
use clap::Args;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::clients::kafka::Kafka;
use crate::cluster::config::ConfigResource;
use crate::cluster::log_dirs::offline;
use crate::cluster::metadata::{Metadata, TopicSelection};
use crate::cluster::topic::{Topic, TopicName};
use crate::commands::topics::command::memory;
use crate::commands::topics::report::{self, More, Row};
use crate::context::Context;
use crate::context::completion;
use crate::exit::{Exit, Stop};
use crate::output;
use crate::output::Format;
use crate::state::identity::Purpose;

/// Arguments of `toolbox topics list`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct ListArgs {
    /// Names or globs as `orders-*`; without any, all topics
    #[arg(value_name = "TOPIC", add = completion::topics())]
    names: Vec<String>,

    /// Take the names for regular expressions that match a whole name
    #[arg(long)]
    regex: bool,

    /// Only topics with a replica that is not in sync
    #[arg(long)]
    under_replicated: bool,

    /// Only topics with a partition that has no leader
    #[arg(long)]
    no_leader: bool,

    /// Only topics with fewer replicas in sync than min.insync.replicas: writes with acks=all fail
    #[arg(long)]
    below_min_isr: bool,

    /// Topics that Kafka keeps for itself, too
    #[arg(long)]
    internal: bool,

    /// Show how much each topic holds on disk, all replicas together; `-o wide` does
    #[arg(long)]
    size: bool,

    /// Show the config that is set on each topic, and which source declares it; `-o wide` does
    #[arg(long)]
    config: bool,
}

/// Lists.
pub(super) async fn run(context: &mut Context, args: &ListArgs) -> anyhow::Result<Exit> {
    let pattern = Pattern::new(&args.names, args.regex)?;
    let kafka = context.kafka().await?;
    let metadata = kafka.metadata(TopicSelection::All).await.context("failed to list topics")?;
    context.is_cluster(&metadata.cluster_id)?;
    let topics: Vec<_> = metadata
        .topics
        .values()
        .filter(|topic| (args.internal || !topic.internal) && pattern.fits(&topic.name))
        .collect();
    let more = more(context, &*kafka, args, &metadata, &topics).await?;
    let mut rows: Vec<_> = topics.iter().map(|topic| Row::of(topic, &more)).filter(|row| args.wants(row)).collect();
    report::sort(&mut rows);
    context.output().result(&rows, |_| {
        let (head, cells) = report::list_table(&rows, &more);
        output::table(&head, &cells)
    })?;
    Ok(Exit::Done)
}

impl ListArgs {
    /// Whether a row is asked for; several kinds of trouble mean any of them.
    fn wants(&self, row: &Row) -> bool {
        let asked = [
            (self.under_replicated, row.under_replicated),
            (self.no_leader, row.without_leader),
            (self.below_min_isr, row.below_min_isr.unwrap_or(0)),
        ];
        asked.iter().all(|(asked, _)| !asked) || asked.iter().any(|(asked, count)| *asked && *count > 0)
    }
}

/// What the chosen columns and filters need beyond the metadata.
async fn more(
    context: &Context,
    kafka: &dyn Kafka,
    args: &ListArgs,
    metadata: &Metadata,
    topics: &[&Topic],
) -> anyhow::Result<More> {
    let mut more = More::default();
    let is_wide = context.flags.output == Format::Wide;
    more.shows_config = is_wide || args.config;
    if topics.iter().any(|topic| report::may_be_under_replicated(topic)) {
        more.moves = kafka.reassignments().await.context("failed to list the moves that are running")?;
    }
    if more.shows_config || args.below_min_isr {
        let keys: Option<&[&str]> = if more.shows_config { None } else { Some(&["min.insync.replicas"]) };
        let resources: Vec<_> = topics.iter().map(|topic| ConfigResource::Topic(topic.name.clone())).collect();
        let answers = kafka.configs(&resources, keys).await.context("failed to read the topics' configs")?;
        for (resource, entries) in answers {
            // A topic that was deleted meanwhile has no config; its row is as the metadata had it.
            let (ConfigResource::Topic(name), Ok(entries)) = (resource, entries) else { continue };
            more.configs.insert(name, entries);
        }
    }
    if more.shows_config {
        more.specs = memory::sources(context.documents(Purpose::Topics).await, &metadata.cluster_id, (&[], |_| true));
    }
    if is_wide || args.size {
        let brokers: Vec<_> = metadata.brokers.keys().copied().collect();
        let sizes = kafka.replica_sizes(&brokers).await.context("failed to read how large the topics are")?;
        for (broker, why) in &sizes.missing {
            output::complain(&format!("sizes are without broker {broker}: {why}"));
        }
        for (broker, words) in sizes.log_dirs.iter().filter_map(|(broker, dirs)| Some((broker, offline(dirs)?))) {
            output::complain(&format!("broker {broker}: {words}"));
        }
        more.sizes = Some(sizes.sizes);
    }
    Ok(more)
}

/// Which names are asked for.
#[derive(Debug)]
pub(super) enum Pattern {
    All,
    Globs(GlobSet),
    Regexes(regex::RegexSet),
}

impl Pattern {
    pub(super) fn new(names: &[String], regex: bool) -> Result<Self, Stop> {
        if names.is_empty() {
            return Ok(Self::All);
        }
        if regex {
            let whole: Vec<_> = names.iter().map(|name| format!("^(?:{name})$")).collect();
            let set = regex::RegexSet::new(whole);
            return set
                .map(Self::Regexes)
                .map_err(|error| Stop::usage(format!("this is no regular expression: {error}")));
        }
        let mut set = GlobSetBuilder::new();
        for name in names {
            let glob = GlobBuilder::new(name).build();
            set.add(glob.map_err(|error| Stop::usage(format!("`{name}` is no glob: {error}")))?);
        }
        set.build().map(Self::Globs).map_err(|error| Stop::usage(format!("these globs are too many: {error}")))
    }

    pub(super) fn fits(&self, name: &TopicName) -> bool {
        match self {
            Self::All => true,
            Self::Globs(globs) => globs.is_match(name.as_str()),
            Self::Regexes(regexes) => regexes.is_match(name.as_str()),
        }
    }
}
