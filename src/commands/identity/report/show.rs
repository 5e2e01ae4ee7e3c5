//! `identity show`: the evidence of this pod, and the registry of a map.

use serde::Serialize;

use crate::commands::identity::plan::{Holds, NodeSeen, RackSource, Registry, Source, State};
use crate::commands::identity::report::evidence::Evidence;

/// What is shown.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// The evidence of the pod's last start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The registry of the map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The heads of its columns.
    pub head: Vec<&'static str>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

/// The page as tables.
pub fn tables(page: &Page, is_wide: bool) -> Vec<Table> {
    let parts = [page.evidence.as_ref().map(evidence), page.registry.as_ref().map(|found| registry(found, is_wide))];
    parts.into_iter().flatten().collect()
}

fn evidence(found: &Evidence) -> Table {
    let mut rows = vec![
        row("id", &found.id.to_string(), source(found.source)),
        row("map", &found.map, "--map"),
        row("pod", &found.pod, "its name"),
    ];
    if let Some(rack) = &found.rack {
        let who = match &rack.source {
            RackSource::PodLabel => "the pod's label".to_owned(),
            RackSource::NodeLabel => "the node's label".to_owned(),
            RackSource::Environment(variable) => format!("the variable {variable}"),
        };
        rows.push(row("rack", &rack.rack, &who));
    }
    rows.extend(found.cluster_id.as_ref().map(|id| row("cluster", id, "the disk, toolbox.yaml or the registry")));
    for folder in &found.folders {
        let holds = match &folder.holds {
            Holds::Nothing => "nothing".to_owned(),
            Holds::Id(disk) => format!("id {}", disk.id),
            Holds::Data(name) => format!("{name}, and no id"),
            Holds::Unreadable(why) => why.clone(),
        };
        rows.push(row("disk", &holds, &folder.path));
    }
    if let Some(claim) = &found.claim {
        let volume = claim.volume.clone().unwrap_or_else(|| "no volume".to_owned());
        rows.push(row("volume", &volume, &format!("claim {}", claim.name)));
        rows.extend(claim.broker_id.as_ref().map(|id| row("claim says", id, "its annotation")));
    }
    if let NodeSeen::Labels { broker_id: Some(id), .. } = &found.node {
        rows.push(row("node says", id, "its label"));
    }
    if let Some(entry) = &found.entry {
        rows.push(row("registered", &format!("{:.0}", entry.since), "the registry"));
    }
    Table { head: vec!["WHAT", "VALUE", "BY"], rows }
}

fn row(what: &str, value: &str, by: &str) -> Vec<String> {
    [what, value, by].map(str::to_owned).to_vec()
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Disk => "the disk",
        Source::ClaimAnnotation => "the claim's annotation",
        Source::NodeLabel => "the node's label",
        Source::Registry => "the registry",
        Source::Ordinal => "the pod's ordinal",
        Source::Flag => "--id",
        Source::FirstFree => "the lowest free id",
    }
}

fn registry(found: &Registry, is_wide: bool) -> Table {
    let mut head = vec!["ID", "STATE", "POD", "NODE", "RACK", "SINCE"];
    if is_wide {
        head.extend(["VOLUME", "DIRECTORIES", "POD UID"]);
    }
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let rows: Vec<_> = found
        .ids
        .iter()
        .map(|(id, entry)| {
            let state = if entry.state == State::Assigned { "assigned" } else { "retired" };
            let since = format!("{:.0}", entry.since);
            let mut row = vec![id.to_string(), state.to_owned(), entry.pod.clone(), or_dash(&entry.node)];
            row.extend([or_dash(&entry.rack), since]);
            if is_wide {
                let directories = Some(entry.directory_ids.join(",")).filter(|text| !text.is_empty());
                row.extend([or_dash(&entry.volume), or_dash(&directories), or_dash(&entry.pod_uid)]);
            }
            row
        })
        .collect();
    Table { head, rows }
}
