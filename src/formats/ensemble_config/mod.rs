//! Texts that hold an ensemble's configuration: the data of `/zookeeper/config`, the answer to `conf`, and dynamic files
//! (`zoo.cfg.dynamic.VERSION`). Bytes in, membership and version out, or every fault with line and column.
//!
//! ZooKeeper reads all of them as Java properties. Keys other than `server.N`, `group.N`, `weight.N` and `version` are left
//! alone: `conf` answers with the server's own settings above the membership.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::ensemble::member::{Role, ServerId};
use crate::cluster::ensemble::membership::{ConfigVersion, EnsembleConfig, Hierarchy, Membership};
use crate::cluster::ensemble::server_line::{GRAMMAR, ServerLine};
use crate::cluster::visible;
use crate::formats::place::{Fault, Faults};
use crate::formats::properties::{self, Property};

/// Longest text that is read, in bytes: a znode holds 1 MiB, and a member's line some hundred bytes.
pub const TEXT_BYTES_MAX: usize = 256 * 1_024;

/// Most servers of one ensemble.
pub const SERVERS_MAX: usize = 1_000;

/// What a text says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Read {
    /// The members, groups and version; the version is zero where the text has none.
    pub config: EnsembleConfig,
    /// Whether the text has a version: a file without one was never written by ZooKeeper itself.
    pub has_version: bool,
    /// `serverId` of the answer to `conf`: the id of the process that answered.
    pub own_id: Option<ServerId>,
}

/// Reads a text. One without any server is no fault here: ask [`check_members`].
pub fn read(source: &str, bytes: &[u8]) -> Result<Read, Faults> {
    let mut reader = Reader::default();
    let text = bytes.get(..TEXT_BYTES_MAX.min(bytes.len())).unwrap_or_default();
    let properties = properties::parse(source, text)?;
    if let (true, Some(first)) = (bytes.len() > TEXT_BYTES_MAX, properties.first()) {
        let message = format!("the text has {} bytes, {TEXT_BYTES_MAX} at most are read", bytes.len());
        return Err(Faults(vec![Fault::new(first.key_place.clone(), message)]));
    }
    for property in &properties {
        reader.take(property);
    }
    Faults::check(reader.faults)?;
    Ok(reader.read)
}

/// What forbids a server to start from a configuration: no voter at all, or a file that was cut short.
pub fn check_members(config: &EnsembleConfig) -> Result<(), String> {
    if config.membership.servers.is_empty() {
        return Err("it names no server: the file is empty or was cut short".to_owned());
    }
    if config.membership.of_role(Role::Participant).is_empty() {
        return Err("it names no participant: ZooKeeper refuses to start from it".to_owned());
    }
    Ok(())
}

#[derive(Default)]
struct Reader {
    read: Read,
    faults: Vec<Fault>,
}

impl Reader {
    fn take(&mut self, property: &Property) {
        let Some((kind, number)) = property.key.split_once('.') else {
            return self.take_plain(property);
        };
        match kind {
            "server" => self.take_server(property, number),
            "group" => self.take_group(property, number),
            "weight" => self.take_weight(property, number),
            _ => {}
        }
    }

    fn take_plain(&mut self, property: &Property) {
        let value = property.value().trim();
        match property.key.as_str() {
            "version" => match ConfigVersion::try_from(value.to_owned()) {
                Ok(version) => {
                    self.read.config.version = version;
                    self.read.has_version = true;
                }
                Err(message) => self.faults.push(Fault::new(property.place(), message)),
            },
            "serverId" => match value.parse::<ServerId>() {
                Ok(id) => self.read.own_id = Some(id),
                Err(message) => self.faults.push(Fault::new(property.place(), message)),
            },
            _ => {}
        }
    }

    fn take_server(&mut self, property: &Property, number: &str) {
        let id = match number.parse::<ServerId>() {
            Ok(id) => id,
            Err(message) => return self.faults.push(Fault::new(property.key_place.clone(), message)),
        };
        let servers = &mut self.read.config.membership.servers;
        if servers.len() >= SERVERS_MAX {
            let message = format!("there are more than {SERVERS_MAX} servers");
            return self.faults.push(Fault::new(property.key_place.clone(), message));
        }
        match ServerLine::parse(property.value()) {
            // `server.1` and `server.01` are one server.
            Ok(_) if servers.contains_key(&id) => {
                let message = format!("server {id} is named twice");
                self.faults.push(Fault::new(property.key_place.clone(), message));
            }
            Ok(line) => {
                servers.insert(id, line);
            }
            Err(fault) => {
                let place = property.place_at(fault.offset);
                self.faults.push(Fault::new(place, fault.message).with_hint(format!("`{GRAMMAR}`")));
            }
        }
    }

    fn take_group(&mut self, property: &Property, number: &str) {
        let servers: Result<BTreeSet<_>, _> = property.value().split(':').map(|id| id.trim().parse()).collect();
        match (number.parse::<i64>(), servers) {
            (Ok(group), Ok(servers)) => {
                self.hierarchy().groups.insert(group, servers);
            }
            _ => self.fault_of_hierarchy(property, "a group is `group.N=ID:ID:…`"),
        }
    }

    fn take_weight(&mut self, property: &Property, number: &str) {
        match (number.parse::<ServerId>(), property.value().trim().parse::<i64>()) {
            (Ok(id), Ok(weight)) => {
                self.hierarchy().weights.insert(id, weight);
            }
            _ => self.fault_of_hierarchy(property, "a weight is `weight.ID=NUMBER`"),
        }
    }

    fn hierarchy(&mut self) -> &mut Hierarchy {
        self.read.config.membership.hierarchy.get_or_insert_default()
    }

    fn fault_of_hierarchy(&mut self, property: &Property, expected: &str) {
        let message = format!("`{}` can't be read", visible::bounded(property.value(), 100));
        self.faults.push(Fault::new(property.place(), message).with_hint(expected));
    }
}

/// A server whose own text says something else than the others'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Different {
    /// Who says it.
    pub servers: Vec<ServerId>,
    /// What it says.
    pub config: EnsembleConfig,
}

/// What each server says, those that say the same together; the one that most say first.
pub fn views(said: &BTreeMap<ServerId, EnsembleConfig>) -> Vec<Different> {
    let mut views: Vec<Different> = Vec::new();
    for (id, config) in said {
        match views.iter_mut().find(|view| view.config == *config) {
            Some(view) => view.servers.push(*id),
            None => views.push(Different { servers: vec![*id], config: config.clone() }),
        }
    }
    views.sort_by_key(|view| std::cmp::Reverse((view.servers.len(), view.config.version)));
    views
}

/// A membership from lines, for whoever builds one from parts that were read before.
pub fn membership(lines: impl IntoIterator<Item = (ServerId, ServerLine)>) -> Membership {
    Membership { servers: lines.into_iter().collect(), hierarchy: None }
}

#[cfg(test)]
mod tests;
