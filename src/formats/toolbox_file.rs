//! `toolbox.yaml`: the clusters by name, how to reach them, which id each must have, their tags and maps.
//!
//! Text in; [`ToolboxFile`] or every fault with its place out.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::broker::BrokerId;
use crate::cluster::map::{Map, Maps};
use crate::formats::place::{Fault, Faults, Placed};
use crate::formats::yaml::{self, Fields, Node, Origin, Reader, Value};

/// Most brokers that one map may have: a slip such as `1-10000000` should not fill the memory.
const BROKERS_OF_MAP_MAX: usize = 10_000;

/// What the file says.
#[derive(Debug, Clone, Default)]
pub struct ToolboxFile {
    /// Clusters by name.
    pub clusters: BTreeMap<String, Cluster>,
}

/// One cluster.
#[derive(Debug, Clone, Default)]
pub struct Cluster {
    /// Brokers to start from, as `HOST:PORT,HOST:PORT`.
    pub bootstrap_servers: Option<String>,
    /// Java client properties; relative to the folder of the file.
    pub command_config: Option<String>,
    /// The id that the cluster must have.
    pub cluster_id: Option<String>,
    /// Tags for events.
    pub tags: BTreeMap<String, String>,
    /// Which topics live on which brokers.
    pub maps: Maps,
}

/// Reads the file.
pub fn parse(source: &str, text: &str) -> Result<ToolboxFile, Faults> {
    let (documents, faults) = yaml::documents(&Origin::new(source), text);
    let mut reader = Reader { faults };
    let mut file = ToolboxFile::default();
    if let Some(second) = documents.get(1) {
        reader.fault(&second.place, "a toolbox.yaml has one document; this is a second one");
    }
    if let Some(root) = documents.first() {
        file.clusters = read_clusters(&mut reader, root).unwrap_or_default();
    }
    if reader.faults.is_empty() { Ok(file) } else { Err(Faults(reader.faults)) }
}

fn read_clusters(reader: &mut Reader, root: &Node<'_>) -> Option<BTreeMap<String, Cluster>> {
    let fields = reader.fields(root, "a toolbox.yaml", &["clusters"])?;
    let Some(node) = fields.get("clusters") else {
        reader.fault_with_hint(
            fields.place,
            "a toolbox.yaml needs `clusters`",
            "clusters: {NAME: {bootstrapServers: …}}",
        );
        return None;
    };
    let entries = reader.mapping(node, "`clusters`")?.entries();
    Some(
        entries.iter().filter_map(|entry| Some((entry.key.to_string(), read_cluster(reader, &entry.value)?))).collect(),
    )
}

fn read_cluster(reader: &mut Reader, node: &Node<'_>) -> Option<Cluster> {
    let known = ["bootstrapServers", "commandConfig", "clusterId", "tags", "maps"];
    let fields = reader.fields(node, "a cluster", &known)?;
    let bootstrap = fields.get("bootstrapServers");
    let tags = fields.get("tags").and_then(|node| reader.texts(node, "`tags`")).unwrap_or_default();
    Some(Cluster {
        bootstrap_servers: bootstrap.and_then(|node| read_bootstrap(reader, node)),
        command_config: read_text(reader, fields, "commandConfig"),
        cluster_id: read_text(reader, fields, "clusterId"),
        tags: tags.into_iter().map(|(key, tag)| (key, tag.value)).collect(),
        maps: fields.get("maps").map(|node| read_maps(reader, node)).unwrap_or_default(),
    })
}

fn read_text(reader: &mut Reader, fields: Fields<'_, '_>, key: &str) -> Option<String> {
    let node = fields.get(key)?;
    reader.text(node, &format!("`{key}`")).map(|text| text.value)
}

/// One text with commas, or a list of texts.
fn read_bootstrap(reader: &mut Reader, node: &Node<'_>) -> Option<String> {
    if let Value::List(items) = &node.value {
        let servers: Vec<_> = items.iter().filter_map(|item| reader.text(item, "a bootstrap server")).collect();
        return Some(servers.into_iter().map(|server| server.value).collect::<Vec<_>>().join(","));
    }
    reader.text(node, "`bootstrapServers`").map(|text| text.value)
}

fn read_maps(reader: &mut Reader, node: &Node<'_>) -> Maps {
    let Some(fields) = reader.mapping(node, "`maps`") else { return Maps::default() };
    Maps(fields.entries().iter().filter_map(|entry| read_map(reader, &entry.key, &entry.value)).collect())
}

fn read_map(reader: &mut Reader, name: &str, node: &Node<'_>) -> Option<Map> {
    let fields = reader.fields(node, "a map", &["topics", "brokers"])?;
    let (Some(topics), Some(brokers)) = (fields.get("topics"), fields.get("brokers")) else {
        reader.fault_with_hint(
            fields.place,
            format!("map `{name}` needs `topics` and `brokers`"),
            "brokers: [1001-1006]",
        );
        return None;
    };
    let topics = reader.text(topics, "`topics`")?;
    let brokers = read_brokers(reader, brokers)?;
    match Map::new(name, &topics.value, brokers) {
        Ok(map) => Some(map),
        Err(message) => {
            reader.fault(&topics.place, message);
            None
        }
    }
}

/// Ids and ranges: `[1001-1006, 1010]`.
fn read_brokers(reader: &mut Reader, node: &Node<'_>) -> Option<BTreeSet<BrokerId>> {
    let items = reader.list(node, "`brokers`")?;
    let mut brokers = BTreeSet::new();
    for item in items {
        let text = reader.text(item, "a broker id or a range of them")?;
        match range(&text) {
            Ok(ids) => brokers.extend(ids.map(BrokerId)),
            Err(fault) => reader.faults.push(fault),
        }
    }
    if brokers.is_empty() && reader.faults.is_empty() {
        reader.fault(&node.place, "a map needs at least one broker");
    }
    Some(brokers)
}

fn range(text: &Placed<String>) -> Result<std::ops::RangeInclusive<i32>, Fault> {
    let wrong = |message: String| Fault::new(text.place.clone(), message).with_hint("write 1001, or 1001-1006");
    let (first, last) = text.value.split_once('-').unwrap_or((&text.value, &text.value));
    let parse = |id: &str| id.trim().parse::<BrokerId>().map_err(wrong);
    let (first, last) = (parse(first)?.0, parse(last)?.0);
    if first > last {
        return Err(wrong(format!("the range `{}` ends before it starts", text.value)));
    }
    match usize::try_from(last - first) {
        Ok(width) if width < BROKERS_OF_MAP_MAX => Ok(first..=last),
        _ => Err(wrong(format!("the range `{}` has more than {BROKERS_OF_MAP_MAX} brokers", text.value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::topic::TopicName;

    #[test]
    fn a_full_file_is_understood() {
        let text = "clusters:\n  main:\n    bootstrapServers: [a:9092, 'b:9093']\n    commandConfig: client.properties\n    \
                    clusterId: abc\n    tags: {env: prod}\n    maps:\n      m1: {topics: 'clicks.*', brokers: [1-3, 7]}\n      \
                    m2: {topics: a.b, brokers: [4]}\n";
        let file = parse("toolbox.yaml", text).unwrap();
        let main = &file.clusters["main"];
        assert_eq!(main.bootstrap_servers.as_deref(), Some("a:9092,b:9093"));
        assert_eq!(main.command_config.as_deref(), Some("client.properties"));
        assert_eq!(main.cluster_id.as_deref(), Some("abc"));
        assert_eq!(main.tags["env"], "prod");
        let of = |name: &str| main.maps.of(&TopicName::new(name).unwrap()).map(|map| map.map(|map| map.name.clone()));
        assert_eq!(of("clicks-1"), Ok(Some("m1".to_owned())));
        assert_eq!(of("a.b"), Ok(Some("m2".to_owned())));
        assert!(of("axb").unwrap_err().contains("belongs to no map"), "a name's dots are dots");
        assert_eq!(main.maps.named("m1").unwrap().brokers.len(), 4);
    }

    #[test]
    fn each_fault_has_its_place_and_says_what_would_be_right() {
        let cases = [
            ("cluster: {}", "1:1: a toolbox.yaml has no field `cluster` (did you mean `clusters`?)"),
            ("clusters: {a: {bootstrapServer: x}}", "did you mean `bootstrapServers`?"),
            ("clusters:\n  a:\n    maps: {m: {topics: x}}", "3:15: map `m` needs `topics` and `brokers`"),
            ("clusters: {a: {maps: {m: {topics: '(', brokers: [1]}}}}", "is not a regex"),
            ("clusters: {a: {maps: {m: {topics: x, brokers: [6-1]}}}}", "the range `6-1` ends before it starts"),
            ("clusters: {a: {maps: {m: {topics: x, brokers: [1-2000000000]}}}}", "has more than 10000 brokers"),
            ("clusters: {a: {maps: {m: {topics: x, brokers: [one]}}}}", "`one` is not a broker id"),
            ("clusters: {a: {}, a: {}}", "a"),
            ("clusters: {}\n---\nclusters: {}", "a second one"),
        ];
        for (text, expected) in cases {
            let faults = parse("toolbox.yaml", text).unwrap_err().to_string();
            assert!(faults.contains(expected) && faults.contains("toolbox.yaml:"), "{text}: {faults}");
        }
    }
}
