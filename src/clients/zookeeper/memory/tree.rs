//! The nodes of the fake: data, versions, access lists.

use std::collections::BTreeMap;

use crate::clients::zookeeper::{
    Acl, CONFIG_PATH, Creation, EventKind, Operation, Outcome, Permissions, Refusal, Stat,
};

/// All nodes by path.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Stored>,
    zxid: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) data: Vec<u8>,
    pub(super) acl: Vec<Acl>,
    pub(super) stat: Stat,
    /// How many children it ever had: the number that the next sequential one gets.
    born: i32,
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Who {
    /// Scheme and id, beside `world:anyone`.
    pub(super) ids: Vec<(String, String)>,
    /// Whether access lists do not bind them.
    pub(super) is_super: bool,
    /// The session.
    pub(super) session: i64,
}

/// What happened to which node.
pub(super) type Happened = Vec<(EventKind, String)>;

impl Tree {
    pub(super) fn new() -> Self {
        let mut tree = Self { nodes: BTreeMap::new(), zxid: 1 << 32 };
        for path in ["/", "/zookeeper", CONFIG_PATH] {
            let stored = Stored { data: Vec::new(), acl: Acl::open(), stat: Stat::default(), born: 0 };
            tree.nodes.insert(path.to_owned(), stored);
        }
        if let Some(configuration) = tree.nodes.get_mut(CONFIG_PATH) {
            let anyone = Acl::open().into_iter().map(|acl| Acl { permissions: Permissions::READ, ..acl });
            configuration.acl = anyone.collect();
        }
        tree
    }

    /// The number of the next transaction.
    pub(super) fn next_zxid(&mut self) -> i64 {
        self.zxid += 1;
        self.zxid
    }

    pub(super) fn write_configuration(&mut self, text: String, zxid: i64) {
        if let Some(stored) = self.nodes.get_mut(CONFIG_PATH) {
            stored.stat.mzxid = zxid;
            // The ordinary version never moves: it is of no use for a compare-and-set.
            stored.stat.version = -1;
            stored.stat.data_length = i32::try_from(text.len()).unwrap_or(i32::MAX);
            stored.data = text.into_bytes();
        }
    }

    /// A node, if there is one and they may do this with it.
    pub(super) fn find(&self, path: &str, who: &Who, wanted: Permissions) -> Result<&Stored, Refusal> {
        let stored = self.nodes.get(path).ok_or(Refusal::NoNode)?;
        let is = |acl: &Acl| {
            let anyone = acl.scheme == "world" && acl.id == "anyone";
            anyone || who.ids.iter().any(|(scheme, id)| *scheme == acl.scheme && *id == acl.id)
        };
        let may = who.is_super || stored.acl.iter().any(|acl| acl.permissions.contains(wanted) && is(acl));
        if may { Ok(stored) } else { Err(Refusal::NoAuth) }
    }

    pub(super) fn stat(&self, path: &str) -> Option<Stat> {
        self.nodes.get(path).map(|stored| stored.stat)
    }

    pub(super) fn children(&self, path: &str, who: &Who) -> Result<Vec<String>, Refusal> {
        self.find(path, who, Permissions::READ)?;
        Ok(self.names_below(path))
    }

    fn names_below(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let names = self.nodes.keys().filter_map(|other| other.strip_prefix(&prefix));
        names.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect()
    }

    /// Access lists are not compared with the session's own ids but where `auth` asks for that.
    fn own_acl(acl: &[Acl], who: &Who) -> Result<Vec<Acl>, Refusal> {
        let mut own = Vec::new();
        for entry in acl {
            match entry.scheme.as_str() {
                "auth" => own.extend(who.ids.iter().map(|(scheme, id)| Acl {
                    permissions: entry.permissions,
                    scheme: scheme.clone(),
                    id: id.clone(),
                })),
                "world" if entry.id != "anyone" => return Err(Refusal::InvalidAcl),
                "world" | "digest" | "sasl" | "x509" | "ip" => own.push(entry.clone()),
                _ => return Err(Refusal::InvalidAcl),
            }
        }
        if own.is_empty() { Err(Refusal::InvalidAcl) } else { Ok(own) }
    }

    pub(super) fn create(
        &mut self,
        path: &str,
        data: &[u8],
        creation: &Creation,
        who: &Who,
    ) -> Result<(String, Happened), Refusal> {
        let is_path = path.starts_with('/') && (creation.mode.is_sequential() || !path.ends_with('/'));
        if !is_path || path.contains("//") {
            return Err(Refusal::BadArguments);
        }
        let acl = Self::own_acl(&creation.acl, who)?;
        let parent = parent(path);
        let above = self.find(&parent, who, Permissions::CREATE)?;
        if above.stat.ephemeral_owner != 0 {
            return Err(Refusal::NoChildrenForEphemerals);
        }
        let path = if creation.mode.is_sequential() { format!("{path}{:010}", above.born) } else { path.to_owned() };
        if self.nodes.contains_key(&path) {
            return Err(Refusal::NodeExists);
        }
        let zxid = self.next_zxid();
        let owner = if creation.mode.is_ephemeral() { who.session } else { 0 };
        let length = i32::try_from(data.len()).unwrap_or(i32::MAX);
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ephemeral_owner: owner,
            data_length: length,
            ..Stat::default()
        };
        self.nodes.insert(path.clone(), Stored { data: data.to_vec(), acl, stat, born: 0 });
        self.count(&parent, 1, zxid);
        let happened = vec![(EventKind::Created, path.clone()), (EventKind::ChildrenChanged, parent)];
        Ok((path, happened))
    }

    /// One child more or less.
    fn count(&mut self, parent: &str, more: i32, zxid: i64) {
        if let Some(above) = self.nodes.get_mut(parent) {
            above.stat.children += more;
            above.stat.cversion += 1;
            above.stat.pzxid = zxid;
            above.born += more.max(0);
        }
    }

    pub(super) fn set(
        &mut self,
        path: &str,
        data: &[u8],
        version: Option<i32>,
        who: &Who,
    ) -> Result<(Stat, Happened), Refusal> {
        let stat = self.find(path, who, Permissions::WRITE)?.stat;
        expect(version, stat.version)?;
        let zxid = self.next_zxid();
        let Some(stored) = self.nodes.get_mut(path) else { return Err(Refusal::NoNode) };
        stored.data = data.to_vec();
        stored.stat.mzxid = zxid;
        stored.stat.version += 1;
        stored.stat.data_length = i32::try_from(data.len()).unwrap_or(i32::MAX);
        Ok((stored.stat, vec![(EventKind::DataChanged, path.to_owned())]))
    }

    pub(super) fn delete(&mut self, path: &str, version: Option<i32>, who: &Who) -> Result<Happened, Refusal> {
        if path == "/" {
            return Err(Refusal::BadArguments);
        }
        let stat = self.stat(path).ok_or(Refusal::NoNode)?;
        let parent = parent(path);
        self.find(&parent, who, Permissions::DELETE)?;
        expect(version, stat.version)?;
        if !self.names_below(path).is_empty() {
            return Err(Refusal::NotEmpty);
        }
        let zxid = self.next_zxid();
        self.nodes.remove(path);
        self.count(&parent, -1, zxid);
        Ok(vec![(EventKind::Deleted, path.to_owned()), (EventKind::ChildrenChanged, parent)])
    }

    pub(super) fn set_acl(
        &mut self,
        path: &str,
        acl: &[Acl],
        version: Option<i32>,
        who: &Who,
    ) -> Result<Stat, Refusal> {
        let stat = self.find(path, who, Permissions::ADMIN)?.stat;
        expect(version, stat.aversion)?;
        let acl = Self::own_acl(acl, who)?;
        self.next_zxid();
        let Some(stored) = self.nodes.get_mut(path) else { return Err(Refusal::NoNode) };
        stored.acl = acl;
        stored.stat.aversion += 1;
        Ok(stored.stat)
    }

    /// All of them on a copy, which is kept if none is refused.
    pub(super) fn multi(
        &mut self,
        operations: &[Operation],
        who: &Who,
    ) -> Result<(Vec<Outcome>, Happened), (usize, Refusal)> {
        let (mut tree, mut outcomes, mut happened) = (self.clone(), Vec::new(), Vec::new());
        for (index, operation) in operations.iter().enumerate() {
            let (outcome, events) = tree.one(operation, who).map_err(|refusal| (index, refusal))?;
            outcomes.push(outcome);
            happened.extend(events);
        }
        *self = tree;
        Ok((outcomes, happened))
    }

    fn one(&mut self, operation: &Operation, who: &Who) -> Result<(Outcome, Happened), Refusal> {
        Ok(match operation {
            Operation::Check { path, version } => {
                let stat = self.find(path, who, Permissions::READ)?.stat;
                expect(Some(*version), stat.version)?;
                (Outcome::Checked, Vec::new())
            }
            Operation::Create { path, data, creation } => {
                let (path, happened) = self.create(path, data, creation, who)?;
                (Outcome::Created(path), happened)
            }
            Operation::Set { path, data, version } => {
                let (stat, happened) = self.set(path, data, *version, who)?;
                (Outcome::Set(stat), happened)
            }
            Operation::Delete { path, version } => (Outcome::Deleted, self.delete(path, *version, who)?),
        })
    }

    /// Removes what lives as long as this session.
    pub(super) fn end_session(&mut self, session: i64) -> Happened {
        let mine = self.nodes.iter().filter(|(_, stored)| stored.stat.ephemeral_owner == session);
        let paths: Vec<_> = mine.map(|(path, _)| path.clone()).collect();
        let all = Who { is_super: true, ..Who::default() };
        paths.iter().flat_map(|path| self.delete(path, None, &all).unwrap_or_default()).collect()
    }
}

fn parent(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((parent, _)) => parent.to_owned(),
    }
}

/// -1 in a request means any.
fn expect(version: Option<i32>, found: i32) -> Result<(), Refusal> {
    if version.is_none_or(|version| version == -1 || version == found) { Ok(()) } else { Err(Refusal::BadVersion) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::zookeeper::Mode;

    #[test]
    fn a_sequential_node_gets_the_number_of_children_that_its_parent_ever_had() {
        let (mut tree, who) = (Tree::new(), Who::default());
        let create = |tree: &mut Tree, path: &str, mode| tree.create(path, b"", &Creation::open(mode), &who).unwrap().0;
        create(&mut tree, "/a", Mode::Persistent);
        assert_eq!(create(&mut tree, "/a/n-", Mode::PersistentSequential), "/a/n-0000000000");
        tree.delete("/a/n-0000000000", None, &who).unwrap();
        assert_eq!(create(&mut tree, "/a/n-", Mode::PersistentSequential), "/a/n-0000000001");
        assert_eq!(create(&mut tree, "/a/", Mode::PersistentSequential), "/a/0000000002");
    }
}
