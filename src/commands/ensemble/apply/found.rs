//! Records of ensembles and quorums under other names. A record has the name that its ensemble was addressed by when it was
//! adopted, as servers read it before they know any id. One ensemble must not get a second record under another name: two that
//! want different members would undo each other's changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::cluster::quorum::DirectoryId;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::kraft::directories;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::context::Context;
use crate::state::documents::Named;
use crate::state::identity::Purpose;

/// What a record says of whose it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whose {
    #[serde(default)]
    ensemble_id: Option<String>,
    /// Of a quorum.
    #[serde(default)]
    cluster_id: Option<String>,
    #[serde(default)]
    members: BTreeMap<String, Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    /// Of a controller.
    #[serde(default)]
    directory: Option<DirectoryId>,
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name that leads to it.
    pub name: String,
    /// Where it is kept, for messages.
    pub place: String,
}

/// The records of the ensemble with this id.
pub async fn of_ensemble(context: &Context, id: &str) -> anyhow::Result<Vec<Found>> {
    let all = context.documents(Purpose::Ensemble).await?.all()?;
    Ok(found(all, |record: &Whose| record.ensemble_id.as_deref() == Some(id)))
}

/// The records of the quorum that was seen: by the cluster's id, and by the directories of its voters. A directory is of one cluster
/// only.
pub async fn of_quorum(context: &Context, seen: &SeenQuorum) -> anyhow::Result<Vec<Found>> {
    let all = context.documents(Purpose::Ensemble).await?.all()?;
    let directories = directories(&seen.voter_set());
    Ok(found(all, |record: &Whose| record.is_of(seen.cluster_id.as_deref(), &directories)))
}

impl Whose {
    /// Whether it is the record of the quorum of this cluster, or with one of these directories.
    fn is_of(&self, cluster_id: Option<&str>, directories: &BTreeSet<DirectoryId>) -> bool {
        let is_of_cluster = cluster_id.is_some() && self.cluster_id.as_deref() == cluster_id;
        let mut recorded = self.members.values().filter_map(|member| member.directory);
        is_of_cluster || recorded.any(|directory| directories.contains(&directory))
    }
}

fn found(all: Vec<Named<Whose>>, is_it: impl Fn(&Whose) -> bool) -> Vec<Found> {
    let its = all.into_iter().filter(|named| is_it(&named.document));
    its.map(|Named { name, place, .. }| Found { name, place }).collect()
}

/// Refuses to make a second record of what has one already.
pub fn recorded_elsewhere(found: &[Found], flag: &str) -> Option<Refusal> {
    let first = found.first()?;
    let places: Vec<_> = found.iter().map(|found| format!("{} (name {})", found.place, found.name)).collect();
    let next = format!("Give {flag} {}; or, if that record is out of date, delete it and run this again", first.name);
    Some(Refusal::new(Code::Conflict, format!("it is recorded already: {}", places.join(", ")), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, json: &str) -> Named<Whose> {
        Named { name: name.into(), place: format!("{name}.json"), document: serde_json::from_str(json).unwrap() }
    }

    #[test]
    fn a_record_is_found_by_what_it_holds_and_not_by_its_name() {
        let all = || {
            vec![
                record("main", r#"{"size": 3, "ensembleId": "e-1", "members": {"1": {"state": "voter"}}}"#),
                record("x", r#"{"size": 3, "members": {"1": {"directory": "AAECAwQFBgcICQoLDA0ODw"}}}"#),
                record("y", r#"{"size": 3}"#),
                record("z", r#"{"size": 3, "clusterId": "c-1", "members": {"1": {"state": "joining"}}}"#),
            ]
        };
        let by_id = found(all(), |record| record.ensemble_id.as_deref() == Some("e-1"));
        assert_eq!(by_id, [Found { name: "main".into(), place: "main.json".into() }]);
        let directory: DirectoryId = "AAECAwQFBgcICQoLDA0ODw".parse().unwrap();
        let names = |cluster_id: Option<&str>, directories: &[DirectoryId]| {
            let directories = directories.iter().copied().collect();
            let found = found(all(), |record| record.is_of(cluster_id, &directories));
            found.into_iter().map(|found| found.name).collect::<Vec<_>>()
        };
        assert_eq!(names(None, &[directory]), ["x"]);
        assert_eq!(names(Some("c-1"), &[]), ["z"], "every disk may have been replaced since");
        assert_eq!(names(Some("c-1"), &[directory]), ["x", "z"]);
        assert_eq!(names(None, &[]), [""; 0], "records without an id are of no cluster in particular");
        let words = recorded_elsewhere(&by_id, "--ensemble").unwrap().to_string();
        assert!(words.contains("main.json (name main)") && words.contains("Give --ensemble main"), "{words}");
        assert_eq!(recorded_elsewhere(&[], "--ensemble"), None);
    }
}
