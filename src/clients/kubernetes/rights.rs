//! What we may do: a right that is asked for, and a rule that the server says we have. Pure.

/// One thing that we may want to do with objects of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The API group; the core group's is empty.
    pub group: &'static str,
    /// The resource, as `configmaps`.
    pub resource: &'static str,
    /// The object; any object where there is none.
    pub name: Option<String>,
    /// As `get` or `update`.
    pub verb: &'static str,
}

/// A rule of the server's answer; `*` stands for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) groups: Vec<String>,
    pub(super) resources: Vec<String>,
    /// Empty stands for all.
    pub(super) names: Vec<String>,
    pub(super) verbs: Vec<String>,
}

impl Granted {
    /// Whether it gives a right.
    pub(super) fn gives(&self, right: &Right) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|one| one == "*" || one == word);
        let names = match &right.name {
            Some(name) => self.names.is_empty() || self.names.contains(name),
            None => self.names.is_empty(),
        };
        names && has(&self.groups, right.group) && has(&self.resources, right.resource) && has(&self.verbs, right.verb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_gives_what_it_names_and_a_star_gives_all() {
        let right = |name: Option<&str>| Right {
            group: "coordination.k8s.io",
            resource: "leases",
            name: name.map(str::to_owned),
            verb: "get",
        };
        let rule = |groups: &str, names: &[&str], verbs: &str| Granted {
            groups: vec![groups.into()],
            resources: vec!["leases".into()],
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            verbs: vec!["watch".into(), verbs.into()],
        };
        let (named, any) = (right(Some("a")), right(None));
        assert!(rule("*", &[], "*").gives(&any) && rule("coordination.k8s.io", &[], "get").gives(&named));
        assert!(rule("*", &["b", "a"], "get").gives(&named) && !rule("*", &["a"], "get").gives(&any));
        assert!(!rule("*", &["b"], "get").gives(&named) && !rule("", &[], "get").gives(&named));
        assert!(!rule("*", &[], "list").gives(&named));
    }
}
