//! Arguments that several verbs share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cluster::broker::{BrokerId, Rack};
use crate::cluster::map::Maps;
use crate::cluster::size::{ByteRate, Bytes};
use crate::cluster::topic::TopicPartition;
use crate::commands::mapping::spec::amounts::{self, DISK_LIMIT, Percent};
use crate::commands::mapping::spec::select::{Brokers, Selection, TopicPatterns};
use crate::context::Context;
use crate::context::completion;
use crate::context::sources;
use crate::exit::Stop;
use crate::formats::maps;
use crate::formats::place::Faults;

/// Which topics.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Topics")]
pub(super) struct TopicArgs {
    /// The topics and brokers of this map; without it, and without --brokers, each map is planned by itself
    #[arg(long, env = "TOOLBOX_MAPPING_MAP", value_name = "NAME", add = completion::maps())]
    map: Option<String>,

    /// Only these topics: names, or regular expressions that match a whole name, as `orders,web_.*`. A name without any
    /// of *+?()[]{}|^$\ is just that name, dots and all
    #[arg(long, env = "TOOLBOX_MAPPING_TOPICS", value_name = "PATTERNS", add = completion::topic_list())]
    topics: Option<TopicPatterns>,

    /// Not these topics; what they hold still counts for the load of brokers
    #[arg(long, env = "TOOLBOX_MAPPING_TOPICS_EXCLUDE", value_name = "PATTERNS", add = completion::topic_list())]
    topics_exclude: Option<TopicPatterns>,

    /// Maps from a file, a folder, or - for standard input, instead of those of toolbox.yaml; repeatable
    #[arg(long, env = "TOOLBOX_MAPPING_MAPS", value_name = "FILE|FOLDER|-", value_delimiter = ',')]
    maps: Vec<PathBuf>,

    /// Maps from a live ConfigMap, `NAMESPACE/NAME` or `NAME`; repeatable
    #[arg(long, env = "TOOLBOX_MAPPING_MAPS_CONFIGMAP", value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    maps_configmap: Vec<String>,
}

impl TopicArgs {
    /// What the flags select; `brokers` is where the topics belong, where a flag says so.
    pub(super) fn selection<'a>(&'a self, brokers: Option<&'a Brokers>, internal: bool) -> Selection<'a> {
        Selection {
            map: self.map.as_deref(),
            topics: self.topics.as_ref(),
            exclude: self.topics_exclude.as_ref(),
            brokers,
            internal,
        }
    }

    /// The maps that the flags name, else those of toolbox.yaml.
    pub(super) async fn maps(&self, context: &Context) -> anyhow::Result<Maps> {
        if self.maps.is_empty() && self.maps_configmap.is_empty() {
            return Ok(context.maps.clone());
        }
        let mut texts = sources::load(&self.maps)?;
        let (live, faults) = context.config_map_sources(&self.maps_configmap, &[]).await?;
        Faults::check(faults).map_err(|faults| Stop::usage(faults.to_string()))?;
        texts.extend(live);
        Ok(maps::parse(&texts).map_err(|faults| Stop::usage(faults.to_string()))?)
    }

    pub(super) fn words(&self) -> Vec<String> {
        let flags = [
            self.map.as_ref().map(|name| format!("--map {name}")),
            self.topics.as_ref().map(|patterns| format!("--topics {}", quoted(&patterns.to_string()))),
            self.topics_exclude.as_ref().map(|patterns| format!("--topics-exclude {}", quoted(&patterns.to_string()))),
        ];
        flags.into_iter().flatten().collect()
    }
}

/// On which brokers the topics belong.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Brokers")]
pub(super) struct BrokerArgs {
    /// The brokers that hold the topics afterwards, as `1001-1006,1010`; -1 means those that hold them now, -2 all that
    /// are live [default: those of the map, else all]
    #[arg(long, env = "TOOLBOX_MAPPING_BROKERS", value_name = "IDS", allow_hyphen_values = true, add = completion::broker_list())]
    pub(super) brokers: Option<Brokers>,
}

/// How even, and for how much.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Balance")]
pub(super) struct BalanceArgs {
    /// How far a broker's storage may end from the mean of its rack; smaller moves more
    #[arg(long, env = "TOOLBOX_MAPPING_TOLERANCE", value_name = "PERCENT", default_value = "5%", value_parser = amounts::part)]
    pub(super) tolerance: Percent,

    /// Instead of a tolerance: how much more the fullest broker may hold than the emptiest, as `450GB`, all racks
    /// together. Which brokers give and which take is chosen so that the fewest bytes move
    #[arg(long, env = "TOOLBOX_MAPPING_RANGE", value_name = "BYTES", conflicts_with = "tolerance")]
    pub(super) range: Option<Bytes>,

    /// Show what several tolerances would cost and bring, that of --tolerance among them, and write no plan
    #[arg(long, conflicts_with_all = ["range", "out", "html", "explain"])]
    pub(super) choices: bool,

    /// Copy no more than this, as `500GB`, and get as even as that allows
    #[arg(long, env = "TOOLBOX_MAPPING_BUDGET_BYTES", value_name = "BYTES")]
    pub(super) budget_bytes: Option<Bytes>,

    /// Change no more partitions than this, and get as even as that allows
    #[arg(long, env = "TOOLBOX_MAPPING_MAX_MOVES", value_name = "COUNT")]
    pub(super) max_moves: Option<usize>,
}

impl BalanceArgs {
    pub(super) fn words(&self) -> Vec<String> {
        let flags = [
            Some(match self.range {
                _ if self.choices => "--choices".to_owned(),
                Some(range) => format!("--range {}B", range.0),
                None => format!("--tolerance {}", self.tolerance),
            }),
            self.budget_bytes.map(|bytes| format!("--budget-bytes {}B", bytes.0)),
            self.max_moves.map(|moves| format!("--max-moves {moves}")),
        ];
        flags.into_iter().flatten().collect()
    }
}

/// What a plan must keep.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Safety")]
pub(super) struct SafetyArgs {
    /// The part of a log dir that may be filled while both copies of a moving replica exist
    #[arg(long, env = "TOOLBOX_MAPPING_DISK_LIMIT", value_name = "PERCENT", default_value_t = DISK_LIMIT, value_parser = amounts::part)]
    pub(super) disk_limit: Percent,

    /// Refuse a plan after which the loss of any one broker or rack leaves too little room for its replicas elsewhere;
    /// without it, that is a warning
    #[arg(long, env = "TOOLBOX_MAPPING_REQUIRE_N_MINUS_1")]
    pub(super) require_n_minus_1: bool,

    /// Let a blocking finding through by its code, as `disk-full`; repeatable
    #[arg(long, env = "TOOLBOX_MAPPING_ALLOW", value_name = "CODE", value_delimiter = ',', value_parser = allowed)]
    pub(super) allow: Vec<String>,
}

/// Laws of a plan: a plan that breaks one is this tool's own fault, and is never written.
pub(super) const LAWS: &[&str] = &[
    "not-allowed",
    "not-live",
    "not-selected",
    "stale",
    "twice",
    "twice-on-a-broker",
    "unknown-partition",
    "wrong-replicas",
];

fn allowed(code: &str) -> Result<String, String> {
    if LAWS.contains(&code) {
        return Err(format!("`{code}` can't be allowed: a plan that breaks this law is never written"));
    }
    Ok(code.to_owned())
}

/// Whether preferred leaders are evened out.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Balance")]
pub(super) struct LeaderArgs {
    /// Even out preferred leaders, too; that copies nothing [default for rebalance, scale, evacuate and
    /// rebuild --force]; in an evacuation, of the partitions that the emptied brokers led
    #[arg(long, env = "TOOLBOX_MAPPING_LEADERS", conflicts_with = "no_leaders")]
    pub(super) leaders: bool,

    /// Leave preferred leaders as the moves make them [default for the other verbs]
    #[arg(long, env = "TOOLBOX_MAPPING_NO_LEADERS")]
    pub(super) no_leaders: bool,
}

/// What becomes of the plan.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Result")]
pub(super) struct ResultArgs {
    /// Write reassignment.json (for Kafka's own tools), rollback.json (its way back) and plan.json (for `toolbox
    /// reassign`) to this folder; without it the plan is only shown
    #[arg(long, env = "TOOLBOX_MAPPING_OUT", value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,

    /// Write the answer as a web page that needs nothing else
    #[arg(long, env = "TOOLBOX_MAPPING_HTML", value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Say how long the copying takes if each broker may send and receive this much, as `50MB/s`
    #[arg(long, env = "TOOLBOX_MAPPING_THROTTLE", value_name = "RATE", value_parser = rate)]
    pub(super) throttle: Option<ByteRate>,

    /// Say why a partition moves or stays, as `orders-3`; repeatable
    #[arg(long, value_name = "TOPIC-PARTITION", value_parser = amounts::partition)]
    pub(super) explain: Vec<TopicPartition>,

    /// Print the JSON schema of plan.json, or of what -o json prints, and do nothing else
    #[arg(long, value_name = "WHAT")]
    pub(super) schema: Option<Schema>,
}

/// A JSON schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Schema {
    /// plan.json
    Plan,
    /// What -o json prints
    Output,
    /// What -o json prints with --choices
    Choices,
}

fn rate(text: &str) -> Result<ByteRate, String> {
    match text.parse::<ByteRate>()? {
        ByteRate(0) => Err("at 0 bytes a second it never ends".into()),
        rate => Ok(rate),
    }
}

/// The rack of a broker that is gone.
pub(super) fn rack_of(text: &str) -> Result<(BrokerId, Rack), String> {
    amounts::rack_of(text)
}

/// A word for a shell: quoted where it has characters that a shell would take.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._,-=/%".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
