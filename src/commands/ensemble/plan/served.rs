//! Whose locks a change of an ensemble takes beside the ensemble's own: those of all Kafka clusters that it serves.

use std::collections::BTreeSet;

use crate::cluster::visible;
use crate::commands::ensemble::plan::code::{Code, Refusal};

/// What to do where not every Kafka cluster is known.
const NEXT: &str =
    "Nothing was changed. Name the cluster by its id (--cluster-id) or by its chroot (--zookeeper HOST:PORT/CHROOT)";

/// The Kafka clusters that an ensemble serves, as far as they were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Served {
    /// Their ids.
    pub ids: BTreeSet<String>,
    /// Why there may be more right below the root, where not all of its nodes were looked at.
    pub incomplete: Option<String>,
    /// Nodes that were not looked into, one line each: a chroot that is deeper may be there.
    pub notes: Vec<String>,
}

/// The ids of the clusters whose locks are taken: all that were found, and the one that was named (`--cluster-id`). Refused where
/// the named one is none of those that were found, and where nothing is known though not all was looked at.
pub fn locked(served: &Served, named: Option<&str>) -> Result<BTreeSet<String>, Refusal> {
    let mut ids = served.ids.clone();
    if let Some(named) = named
        && served.incomplete.is_none()
        && !ids.is_empty()
        && !ids.contains(named)
    {
        let found: Vec<_> = ids.iter().map(|id| visible::value(id).into_owned()).collect();
        let (clusters, found) = (if found.len() == 1 { "cluster" } else { "clusters" }, found.join(", "));
        let why = format!("this ensemble serves the Kafka {clusters} {found}, but {named} is expected");
        let next = "Nothing was changed. Look at --zookeeper, --cluster and --cluster-id";
        return Err(Refusal::new(Code::WrongEnsemble, why, next));
    }
    ids.extend(named.map(str::to_owned));
    match &served.incomplete {
        Some(why) if ids.is_empty() => Err(unknown(why)),
        _ => Ok(ids),
    }
}

/// That the clusters of an ensemble can't be known: what was not read counts as a cluster in use.
pub fn unknown(why: &str) -> Refusal {
    let why = format!("which Kafka clusters this ensemble serves can't be known: {}", visible::line(why));
    Refusal::new(Code::NotAsked, why, NEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(ids: &[&str], incomplete: Option<&str>) -> Served {
        Served {
            ids: ids.iter().map(ToString::to_string).collect(),
            incomplete: incomplete.map(str::to_owned),
            notes: Vec::new(),
        }
    }

    fn of(ids: &[&str], named: Option<&str>) -> Result<Vec<String>, Refusal> {
        locked(&served(ids, None), named).map(|ids| ids.into_iter().collect())
    }

    #[test]
    fn every_cluster_that_was_found_is_locked_and_the_one_that_was_named_even_if_none_was_found() {
        assert_eq!(of(&[], None), Ok(vec![]), "an ensemble that serves no Kafka has its own lock alone");
        assert_eq!(of(&["a", "b"], None), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(of(&["a", "b"], Some("b")), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(of(&[], Some("a")), Ok(vec!["a".to_owned()]));
    }

    #[test]
    fn another_cluster_than_the_named_one_and_one_that_could_not_be_looked_for_are_refused() {
        let other = of(&["a\u{7}"], Some("b")).unwrap_err().to_string();
        assert!(other.starts_with("E_WRONG_ENSEMBLE: this ensemble serves the Kafka cluster a"), "{other}");
        assert!(other.contains("but b is expected") && !other.contains('\u{7}'), "{other}");
        let many = served(&[], Some("101 nodes are at its root"));
        let unknown = locked(&many, None).unwrap_err().to_string();
        assert!(unknown.starts_with("E_NOT_ASKED: ") && unknown.contains("--cluster-id"), "{unknown}");
        let named = served(&["a"], Some("101 nodes are at its root"));
        assert_eq!(
            locked(&named, Some("b")).unwrap().len(),
            2,
            "both: the named one may be among what was not looked at"
        );
    }
}
