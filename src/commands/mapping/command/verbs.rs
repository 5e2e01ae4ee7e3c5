//! The verbs that plan: their arguments, and what each asks for.

use clap::Args;

use crate::cluster::broker::{BrokerId, Rack};
use crate::commands::mapping::command::flags::{
    BalanceArgs, BrokerArgs, LeaderArgs, ResultArgs, SafetyArgs, TopicArgs, quoted, rack_of,
};
use crate::commands::mapping::command::planning::Job;
use crate::commands::mapping::command::sizes::SizeArgs;
use crate::commands::mapping::spec::amounts::{DISK_LIMIT, Pair};
use crate::commands::mapping::spec::goals::{Limits, Request};
use crate::commands::mapping::spec::select::Brokers;
use crate::context::completion;
use crate::exit::Stop;

/// Arguments of `toolbox mapping rebuild`.
#[derive(Debug, Clone, Args)]
pub(super) struct RebuildArgs {
    /// Forget where replicas are and place all of them anew; this moves nearly everything
    #[arg(long, env = "TOOLBOX_MAPPING_FORCE")]
    force: bool,

    /// Replicas that each partition has afterwards [default: as many as it has]
    #[arg(long, env = "TOOLBOX_MAPPING_REPLICATION", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    replication: Option<u16>,

    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    leaders: LeaderArgs,
    #[command(flatten)]
    safety: SafetyArgs,
    #[command(flatten)]
    sizes: SizeArgs,
    #[command(flatten)]
    result: ResultArgs,
}

/// Arguments of `toolbox mapping rebalance` and `scale`.
#[derive(Debug, Clone, Args)]
pub(super) struct BalancingArgs {
    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    balance: BalanceArgs,
    #[command(flatten)]
    leaders: LeaderArgs,
    #[command(flatten)]
    safety: SafetyArgs,
    #[command(flatten)]
    sizes: SizeArgs,
    #[command(flatten)]
    result: ResultArgs,
}

/// Arguments of `toolbox mapping replace`.
#[derive(Debug, Clone, Args)]
pub(super) struct ReplaceArgs {
    /// Broker 1003 by broker 1007: `1003=1007`; only `1003` finds a successor of the same rack. A broker that came back
    /// under its own id (`1003=1003`) needs no move
    #[arg(value_name = "OLD=NEW", required_unless_present = "schema", add = completion::broker_list())]
    pairs: Vec<Pair>,

    /// The rack of a broker that is gone, where it is known, as `1003=us-east-1a`; repeatable. Otherwise it is inferred
    /// from the racks of the replicas beside its own
    #[arg(long, value_name = "ID=RACK", value_parser = rack_of, help_heading = "Brokers")]
    rack_of: Vec<(BrokerId, Rack)>,

    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    leaders: LeaderArgs,
    #[command(flatten)]
    safety: SafetyArgs,
    #[command(flatten)]
    sizes: SizeArgs,
    #[command(flatten)]
    result: ResultArgs,
}

/// Arguments of `toolbox mapping evacuate`.
#[derive(Debug, Clone, Args)]
pub(super) struct EvacuateArgs {
    /// The brokers to empty, as `1001,1004-1006`
    #[arg(
        long,
        env = "TOOLBOX_MAPPING_EVACUATE",
        value_name = "IDS",
        allow_hyphen_values = true,
        help_heading = "Brokers",
        add = completion::broker_list()
    )]
    brokers: Option<Brokers>,

    /// Empty all brokers of this rack; repeatable
    #[arg(long, env = "TOOLBOX_MAPPING_RACK", value_name = "RACK", help_heading = "Brokers", add = completion::racks())]
    rack: Vec<String>,

    /// Take only the leadership from them: their replicas stay, nothing is copied
    #[arg(long, env = "TOOLBOX_MAPPING_LEADERS_ONLY", help_heading = "Brokers")]
    leaders_only: bool,

    /// The brokers that may take what they hold, as `1001-1006` [default: those of the map, else all]
    #[arg(long, env = "TOOLBOX_MAPPING_TO", value_name = "IDS", allow_hyphen_values = true, help_heading = "Brokers", add = completion::broker_list())]
    to: Option<Brokers>,

    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    leaders: LeaderArgs,
    #[command(flatten)]
    safety: SafetyArgs,
    #[command(flatten)]
    sizes: SizeArgs,
    #[command(flatten)]
    result: ResultArgs,
}

/// The limits of a verb that has no balance to seek: the tolerance plays no part.
fn limits(safety: &SafetyArgs, leaders: bool) -> Limits {
    Limits {
        tolerance: 0.05,
        leaders,
        disk_limit: safety.disk_limit.0,
        require_n_minus_1: safety.require_n_minus_1,
        ..Limits::default()
    }
}

fn balanced(safety: &SafetyArgs, balance: &BalanceArgs, leaders: LeaderArgs) -> Limits {
    Limits {
        tolerance: balance.tolerance.0,
        range: balance.range.map(|range| range.0),
        budget_bytes: balance.budget_bytes.map(|bytes| bytes.0),
        moves_max: balance.max_moves,
        ..limits(safety, !leaders.no_leaders)
    }
}

fn words(safety: &SafetyArgs, leaders: LeaderArgs) -> Vec<String> {
    let limit = safety.disk_limit != DISK_LIMIT;
    let flags = [
        leaders.leaders.then(|| "--leaders".to_owned()),
        leaders.no_leaders.then(|| "--no-leaders".to_owned()),
        limit.then(|| format!("--disk-limit {}", safety.disk_limit)),
        safety.require_n_minus_1.then(|| "--require-n-minus-1".to_owned()),
    ];
    flags.into_iter().flatten().collect()
}

fn broker_words(flag: &str, brokers: Option<&Brokers>) -> Vec<String> {
    brokers.map(|brokers| format!("{flag} {}", quoted(&brokers.to_string()))).into_iter().collect()
}

impl RebuildArgs {
    pub(super) fn job(&self) -> Job<'_> {
        let leaders = self.leaders.leaders || (self.force && !self.leaders.no_leaders);
        let own = [
            self.force.then(|| "--force".to_owned()),
            self.replication.map(|replicas| format!("--replication {replicas}")),
        ];
        Job {
            request: Request::Rebuild { force: self.force },
            limits: Limits { replication_factor: self.replication.map(usize::from), ..limits(&self.safety, leaders) },
            brokers: self.brokers.brokers.as_ref(),
            internal: false,
            choices: false,
            topics: &self.topics,
            sizes: &self.sizes,
            safety: &self.safety,
            result: &self.result,
            words: [
                own.into_iter().flatten().collect(),
                broker_words("--brokers", self.brokers.brokers.as_ref()),
                words(&self.safety, self.leaders),
            ]
            .concat(),
        }
    }
}

impl BalancingArgs {
    pub(super) fn job<'a>(&'a self, request: Request<'a>) -> Job<'a> {
        Job {
            request,
            limits: balanced(&self.safety, &self.balance, self.leaders),
            brokers: self.brokers.brokers.as_ref(),
            internal: false,
            choices: self.balance.choices,
            topics: &self.topics,
            sizes: &self.sizes,
            safety: &self.safety,
            result: &self.result,
            words: [
                broker_words("--brokers", self.brokers.brokers.as_ref()),
                self.balance.words(),
                words(&self.safety, self.leaders),
            ]
            .concat(),
        }
    }
}

impl ReplaceArgs {
    pub(super) fn job(&self) -> Job<'_> {
        let racks = self.rack_of.iter().map(|(id, rack)| format!("--rack-of {}", quoted(&format!("{id}={rack}"))));
        Job {
            request: Request::Replace { pairs: &self.pairs, racks: &self.rack_of },
            limits: limits(&self.safety, self.leaders.leaders),
            brokers: None,
            internal: true,
            choices: false,
            topics: &self.topics,
            sizes: &self.sizes,
            safety: &self.safety,
            result: &self.result,
            words: [
                self.pairs.iter().map(ToString::to_string).collect(),
                racks.collect(),
                words(&self.safety, self.leaders),
            ]
            .concat(),
        }
    }
}

impl EvacuateArgs {
    /// Refuses to empty nobody.
    pub(super) fn check(&self) -> Result<(), Stop> {
        if self.brokers.is_some() || !self.rack.is_empty() || self.result.schema.is_some() {
            return Ok(());
        }
        Err(Stop::usage("say what to empty: brokers with --brokers 1001,1004-1006, or racks with --rack us-east-1a"))
    }

    pub(super) fn job(&self) -> Job<'_> {
        let racks = self.rack.iter().map(|rack| format!("--rack {}", quoted(rack)));
        Job {
            request: Request::Evacuate {
                brokers: self.brokers.as_ref(),
                racks: &self.rack,
                leaders_only: self.leaders_only,
            },
            limits: limits(&self.safety, !self.leaders.no_leaders),
            brokers: self.to.as_ref(),
            internal: true,
            choices: false,
            topics: &self.topics,
            sizes: &self.sizes,
            safety: &self.safety,
            result: &self.result,
            words: [
                broker_words("--brokers", self.brokers.as_ref()),
                racks.collect(),
                self.leaders_only.then(|| "--leaders-only".to_owned()).into_iter().collect(),
                broker_words("--to", self.to.as_ref()),
                words(&self.safety, self.leaders),
            ]
            .concat(),
        }
    }
}
