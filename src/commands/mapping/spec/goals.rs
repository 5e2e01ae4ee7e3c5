//! What a verb asks for, and groups of topics → one [`Goal`] a group. Refuses what cannot be.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::broker::{BrokerId, Rack};
use crate::cluster::map::Maps;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::spec::amounts::Pair;
use crate::commands::mapping::spec::goal::{Goal, Operation};
use crate::commands::mapping::spec::select::{Brokers, Group, holders, live, no_broker, shown_ids};
use crate::formats::suggest::nearest;

/// A verb with its own arguments.
#[derive(Debug, Clone)]
pub enum Request<'a> {
    /// `rebuild`.
    Rebuild {
        /// Forget the present assignment.
        force: bool,
    },
    /// `rebalance`.
    Rebalance,
    /// `scale`.
    Scale,
    /// `replace`.
    Replace {
        /// Leaving brokers and their successors.
        pairs: &'a [Pair],
        /// Racks of leaving brokers that are gone.
        racks: &'a [(BrokerId, Rack)],
    },
    /// `evacuate`.
    Evacuate {
        /// Brokers to empty.
        brokers: Option<&'a Brokers>,
        /// Racks to empty.
        racks: &'a [String],
        /// Whether only leadership goes.
        leaders_only: bool,
    },
}

/// What holds for every goal of a run.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// How far a broker may end from the mean of its rack, as a fraction.
    pub tolerance: f64,
    /// How much more the fullest broker may hold than the emptiest, instead of the tolerance.
    pub range: Option<u64>,
    /// Most bytes that may be copied.
    pub budget_bytes: Option<u64>,
    /// Most partitions that may change.
    pub moves_max: Option<usize>,
    /// Replicas a partition has afterwards.
    pub replication_factor: Option<usize>,
    /// Whether leaders are evened out.
    pub leaders: bool,
    /// The part of a log dir that may be filled.
    pub disk_limit: f64,
    /// Whether the rest must hold everything after a loss.
    pub require_n_minus_1: bool,
}

/// The goals, in the order of the groups; groups that the request does not touch have none.
pub fn goals(
    request: &Request<'_>,
    limits: &Limits,
    groups: &[Group],
    observed: &Observed,
    maps: &Maps,
) -> Result<Vec<(Option<String>, Goal)>, String> {
    let capacities = maps.capacities();
    let plain =
        |operation: Operation| groups.iter().map(|group| Operationed::new(group.clone(), operation.clone())).collect();
    let mut operations: Vec<_> = match request {
        Request::Rebuild { force } => plain(Operation::Rebuild { force: *force }),
        Request::Rebalance => plain(Operation::Rebalance),
        Request::Scale => plain(Operation::Scale),
        Request::Replace { pairs, racks } => replacing(pairs, racks, groups, observed)?,
        Request::Evacuate { brokers, racks, leaders_only } => {
            let empty = evacuated(*brokers, racks, groups, observed)?;
            evacuating(&empty, *leaders_only, groups, observed)
        }
    };
    for Operationed { group, operation, .. } in &mut operations {
        // Where brokers that are gone play no part, they are not mentioned; a map's are.
        if group.map.is_none() && !matches!(operation, Operation::Rebalance | Operation::Scale) {
            let live = live(observed);
            group.brokers.retain(|id| live.contains(id));
        }
    }
    operations.iter().try_for_each(|wanted| check_live(&wanted.group, observed))?;
    let goal = |Operationed { group, operation, racks }: Operationed| {
        let goal = Goal {
            operation,
            topics: group.topics,
            brokers: group.brokers,
            replication_factor: limits.replication_factor,
            tolerance: limits.tolerance,
            range: limits.range,
            budget_bytes: limits.budget_bytes,
            moves_max: limits.moves_max,
            leaders: limits.leaders,
            disk_limit: limits.disk_limit,
            require_n_minus_1: limits.require_n_minus_1,
            capacities: capacities.clone(),
            racks,
        };
        (group.map, goal)
    };
    Ok(operations.into_iter().map(goal).collect())
}

/// A group and what is wanted of it.
struct Operationed {
    group: Group,
    operation: Operation,
    racks: BTreeMap<BrokerId, Rack>,
}

impl Operationed {
    fn new(group: Group, operation: Operation) -> Self {
        Self { group, operation, racks: BTreeMap::new() }
    }
}

/// Topics without any live broker can't be planned.
fn check_live(group: &Group, observed: &Observed) -> Result<(), String> {
    let live = live(observed);
    if group.topics.is_empty() || group.brokers.iter().any(|id| live.contains(id)) {
        return Ok(());
    }
    let whose = group.map.as_ref().map(|map| format!(" of map `{map}`")).unwrap_or_default();
    let asked = shown_ids(&group.brokers);
    Err(format!("no live broker{whose} is left to hold the topics: allowed are {asked}, live are {}", shown_ids(&live)))
}

fn replacing(
    pairs: &[Pair],
    racks: &[(BrokerId, Rack)],
    groups: &[Group],
    observed: &Observed,
) -> Result<Vec<Operationed>, String> {
    let leaving = leaving(pairs, observed)?;
    let racks: BTreeMap<_, _> = racks.iter().cloned().collect();
    if let Some(id) = racks.keys().find(|id| !leaving.contains_key(id)) {
        return Err(format!("--rack-of names broker {id}, which is not replaced"));
    }
    let wanted = groups.iter().filter_map(|group| {
        let held = holders(observed, &group.topics);
        let pairs: BTreeMap<_, _> =
            leaving.iter().filter(|(from, _)| held.contains(from)).map(|(from, to)| (*from, *to)).collect();
        let mut brokers = group.brokers.clone();
        brokers.extend(pairs.values().flatten());
        brokers.retain(|id| !leaving.contains_key(id));
        let group = Group { brokers, ..group.clone() };
        (!pairs.is_empty()).then(|| Operationed {
            group,
            operation: Operation::Replace { pairs },
            racks: racks.clone(),
        })
    });
    Ok(wanted.collect())
}

/// Who leaves, and who takes over. A broker that came back under its own id holds what it held: it does not leave.
fn leaving(pairs: &[Pair], observed: &Observed) -> Result<BTreeMap<BrokerId, Option<BrokerId>>, String> {
    let mut leaving: BTreeMap<BrokerId, Option<BrokerId>> = BTreeMap::new();
    let unknown: BTreeSet<_> =
        pairs.iter().map(|pair| pair.from).filter(|id| !observed.brokers.contains_key(id)).collect();
    if !unknown.is_empty() {
        return Err(no_broker(observed, &unknown));
    }
    for Pair { from, to } in pairs {
        if let Some(to) = to
            && !observed.brokers.get(to).is_some_and(|broker| broker.live)
        {
            return Err(format!("broker {to} is not live, so it can't take over from {from}: start it first"));
        }
        if leaving.insert(*from, *to).is_some() {
            return Err(format!("broker {from} is replaced twice"));
        }
    }
    leaving.retain(|from, to| *to != Some(*from));
    let mut taken: BTreeMap<BrokerId, BrokerId> = BTreeMap::new();
    for (from, to) in leaving.iter().filter_map(|(from, to)| Some((*from, (*to)?))) {
        if leaving.contains_key(&to) {
            return Err(format!("broker {to} is to take over from {from}, but is replaced itself"));
        }
        if let Some(other) = taken.insert(to, from) {
            return Err(format!("broker {to} is to take over from {other} and from {from}: name two successors"));
        }
    }
    Ok(leaving)
}

/// The brokers to empty.
fn evacuated(
    brokers: Option<&Brokers>,
    racks: &[String],
    groups: &[Group],
    observed: &Observed,
) -> Result<BTreeSet<BrokerId>, String> {
    let topics = groups.iter().flat_map(|group| &group.topics).cloned().collect();
    let mut empty = match brokers {
        Some(brokers) => brokers.resolve(observed, &topics)?,
        None => BTreeSet::new(),
    };
    let racked = || observed.brokers.iter().filter_map(|(id, broker)| Some((id, broker.rack.as_ref()?.0.as_str())));
    for rack in racks {
        let names: BTreeSet<_> = racked().map(|(_, name)| name).collect();
        if !names.contains(rack.as_str()) {
            let hint = match nearest(rack, names.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if names.is_empty() => "no broker has one: set broker.rack".into(),
                None => format!("there are {}", names.into_iter().collect::<Vec<_>>().join(", ")),
            };
            return Err(format!("no broker is in rack `{rack}` ({hint})"));
        }
        empty.extend(racked().filter(|(_, name)| name == rack).map(|(id, _)| *id));
    }
    Ok(empty)
}

fn evacuating(
    empty: &BTreeSet<BrokerId>,
    leaders_only: bool,
    groups: &[Group],
    observed: &Observed,
) -> Vec<Operationed> {
    let touched = groups.iter().filter(|group| !holders(observed, &group.topics).is_disjoint(empty));
    let wanted = touched.map(|group| {
        let mut group = group.clone();
        if !leaders_only {
            group.brokers.retain(|id| !empty.contains(id));
        }
        Operationed::new(group, Operation::Evacuate { brokers: empty.clone(), leaders_only })
    });
    wanted.collect()
}
