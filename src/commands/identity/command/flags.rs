//! Flags and variables as what `plan` and `observe` take.

use std::collections::BTreeSet;

use crate::cluster::broker::BrokerId;
use crate::commands::identity::command::assign::AssignArgs;
use crate::commands::identity::plan::{Allocation, Kind, Me, RackTerms, RackWord, Terms};
use crate::commands::identity::spec::disk::MYID;
use crate::commands::identity::spec::ids;
use crate::context::Context;
use crate::exit::Stop;

/// The variable that holds the zone of the pod's own label.
const POD_ZONE: &str = "POD_ZONE";

/// Variables by which images of Kafka are given an id: what stands there must be one.
const ID_VARIABLES: [&str; 2] = ["KAFKA_BROKER_ID", "KAFKA_NODE_ID"];

/// The name of the map where ZooKeeper servers have none.
const ZOOKEEPER_MAP: &str = "zookeeper";

/// What was asked for.
pub(super) fn terms(context: &Context, args: &AssignArgs) -> Result<Terms, Stop> {
    let (map, ids) = map(context, args)?;
    Ok(Terms {
        kind: args.kind,
        map,
        ids,
        mapped: mapped(context, args),
        is_new_cluster: args.new_cluster,
        allocation: allocation(args)?,
        replaced: args.replaced,
        cluster_id: context.flags.cluster_id.clone().filter(|_| args.kind == Kind::Kafka),
        rack: RackTerms { is_optional: args.rack_optional, is_immutable: args.rack_immutable },
        listeners: args.advertised_listeners.clone(),
        label_node: args.label_node,
        label_pod: args.label_pod,
        now: context.now(),
    })
}

/// The name of the cluster, after which the registry is named.
pub(super) fn cluster(context: &Context) -> Result<String, Stop> {
    let name = context.flags.cluster.clone().or_else(|| context.flags.cluster_id.clone());
    name.ok_or_else(|| Stop::usage("which cluster? give --cluster NAME as toolbox.yaml has it, or --cluster-id"))
}

/// The map's name, from the flag or because there is only one.
pub(super) fn map_name(context: &Context, given: Option<&str>) -> Option<String> {
    let only = match &context.maps.0[..] {
        [map] => Some(map.name.clone()),
        _ => None,
    };
    given.map(str::to_owned).or(only)
}

fn map(context: &Context, args: &AssignArgs) -> Result<(String, BTreeSet<BrokerId>), Stop> {
    let controllers = args.controller_ids.clone().unwrap_or_default();
    let of_kind = (args.kind == Kind::Zookeeper).then(|| ZOOKEEPER_MAP.to_owned());
    let name = args.map.clone().or(of_kind).or_else(|| map_name(context, None));
    let name = name.ok_or_else(|| {
        let names: Vec<_> = context.maps.0.iter().map(|map| map.name.as_str()).collect();
        let known =
            if names.is_empty() { "toolbox.yaml has none for this cluster".to_owned() } else { names.join(", ") };
        Stop::usage(format!("which map? give --map NAME ({known}), or --map and --ids"))
    })?;
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || name.is_empty() || name.len() > 40 {
        return Err(Stop::usage(format!(
            "`{name}` is no name of a map here: it is part of labels, so letters, digits, `-`, `_` \
                                        and `.`, up to 40"
        )));
    }
    let ids = match (&args.ids, args.kind) {
        (Some(ids), _) => {
            ids::check_controllers(&name, ids, &controllers).map_err(Stop::usage)?;
            ids.clone()
        }
        (None, Kind::Kafka) => ids::of_map(&context.maps, &name, &controllers).map_err(Stop::usage)?,
        (None, Kind::Zookeeper) => MYID.map(BrokerId).collect(),
    };
    if args.kind == Kind::Zookeeper
        && let Some(wrong) = ids.iter().find(|id| !MYID.contains(&id.0))
    {
        return Err(Stop::usage(format!("--ids has {wrong}, but ids of ZooKeeper servers are 1 to 255")));
    }
    Ok((name, ids))
}

/// The ids of all maps, where ids come from a map.
fn mapped(context: &Context, args: &AssignArgs) -> Option<BTreeSet<BrokerId>> {
    let is_of_maps = args.ids.is_none() && args.kind == Kind::Kafka;
    is_of_maps.then(|| context.maps.0.iter().flat_map(|map| &map.brokers).copied().collect())
}

fn allocation(args: &AssignArgs) -> Result<Allocation, Stop> {
    let mut given = args.id;
    for variable in ID_VARIABLES.into_iter().filter(|_| args.kind == Kind::Kafka) {
        let Some(text) = environment(variable) else { continue };
        let id = ids::id(&text).map_err(|why| Stop::usage(format!("the environment variable {variable}: {why}")))?;
        if given.is_some_and(|given| given != id) {
            return Err(Stop::usage(format!(
                "the environment variable {variable} says {id}, another flag or variable says another id"
            )));
        }
        given = Some(id);
    }
    Ok(match given {
        Some(id) => Allocation::Given(id),
        None if args.allocation == super::assign::AllocationIn::FirstFree => Allocation::FirstFree,
        None => Allocation::Ordinal,
    })
}

/// The pod that asks.
pub(super) fn me(args: &AssignArgs) -> Result<Me, Stop> {
    let pod = args.pod_name.clone().or_else(|| environment("HOSTNAME"));
    let pod = pod.ok_or_else(|| Stop::usage("which pod is this? give --pod-name, or POD_NAME by the downward API"))?;
    let word = |variable: &String| Some(RackWord { variable: variable.clone(), value: environment(variable)? });
    let me = Me {
        pod,
        uid: args.pod_uid.clone(),
        node: args.node_name.clone(),
        host_ip: args.host_ip.clone(),
        pod_rack: environment(POD_ZONE),
        environment_rack: args.rack_from_env.as_ref().and_then(word),
    };
    // They go into files that shells and Java read.
    let is_plain = |text: &&String| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    let texts = [Some(&me.pod), me.uid.as_ref(), me.node.as_ref(), me.host_ip.as_ref()];
    let wrong = texts.into_iter().flatten().find(|text| !is_plain(text)).cloned();
    match wrong {
        Some(wrong) => {
            Err(Stop::usage(format!("`{wrong}` is no name or address: letters, digits and `- _ . :` are expected")))
        }
        None => Ok(me),
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
