//! `toolbox.yaml`: the clusters by name, how to reach them, which id each must have, their tags and maps; instance types.
//!
//! Text in; [`ToolboxFile`] or every fault with its place out.

use std::collections::BTreeMap;

use crate::cluster::map::Maps;
use crate::formats::maps::{Types, read_maps, read_types};
use crate::formats::place::Faults;
use crate::formats::yaml::{self, Fields, Node, Origin, Reader, Value};

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
    /// ZooKeeper servers, as `HOST:PORT,HOST:PORT/CHROOT`.
    pub zookeeper: Option<String>,
    /// Java properties of ZooKeeper's client; relative to the folder of the file.
    pub zookeeper_config: Option<String>,
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
    let fields = reader.fields(root, "a toolbox.yaml", &["clusters", "types"])?;
    let types = fields.get("types").map(|node| read_types(reader, node)).unwrap_or_default();
    let Some(node) = fields.get("clusters") else {
        reader.fault_with_hint(
            fields.place,
            "a toolbox.yaml needs `clusters`",
            "clusters: {NAME: {bootstrapServers: …}}",
        );
        return None;
    };
    let entries = reader.mapping(node, "`clusters`")?.entries();
    let clusters =
        entries.iter().filter_map(|entry| Some((entry.key.to_string(), read_cluster(reader, &entry.value, &types)?)));
    Some(clusters.collect())
}

fn read_cluster(reader: &mut Reader, node: &Node<'_>, types: &Types) -> Option<Cluster> {
    let known = ["bootstrapServers", "commandConfig", "zookeeper", "zookeeperConfig", "clusterId", "tags", "maps"];
    let fields = reader.fields(node, "a cluster", &known)?;
    let bootstrap = fields.get("bootstrapServers");
    let tags = fields.get("tags").and_then(|node| reader.texts(node, "`tags`")).unwrap_or_default();
    Some(Cluster {
        bootstrap_servers: bootstrap.and_then(|node| read_servers(reader, node, "bootstrapServers")),
        command_config: read_text(reader, fields, "commandConfig"),
        zookeeper: fields.get("zookeeper").and_then(|node| read_servers(reader, node, "zookeeper")),
        zookeeper_config: read_text(reader, fields, "zookeeperConfig"),
        cluster_id: read_text(reader, fields, "clusterId"),
        tags: tags.into_iter().map(|(key, tag)| (key, tag.value)).collect(),
        maps: fields.get("maps").map(|node| read_maps(reader, node, types)).unwrap_or_default(),
    })
}

fn read_text(reader: &mut Reader, fields: Fields<'_, '_>, key: &str) -> Option<String> {
    let node = fields.get(key)?;
    reader.text(node, &format!("`{key}`")).map(|text| text.value)
}

/// One text with commas, or a list of texts.
fn read_servers(reader: &mut Reader, node: &Node<'_>, key: &str) -> Option<String> {
    let what = format!("a server of `{key}`");
    if let Value::List(items) = &node.value {
        let servers: Vec<_> = items.iter().filter_map(|item| reader.text(item, &what)).collect();
        return Some(servers.into_iter().map(|server| server.value).collect::<Vec<_>>().join(","));
    }
    reader.text(node, &format!("`{key}`")).map(|text| text.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::broker::BrokerId;
    use crate::cluster::map::Capacity;
    use crate::cluster::size::ByteRate;
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
    fn an_instance_type_says_what_the_brokers_of_its_maps_can_hold() {
        let text = "types: {i3.4xlarge: {disk: 3.4TB, network: 1.2GB/s}}\nclusters: {main: {maps: {\n  \
                    m1: {topics: 'test_topic.*', brokers: [1001-1006], type: i3.4xlarge},\n  \
                    m2: {topics: [a.b, 'c.*'], brokers: [1006, 2001], disk: 1TiB, overlap: true}}}}";
        let maps = parse("toolbox.yaml", text).unwrap().clusters.remove("main").unwrap().maps;
        let capacities = maps.capacities();
        assert_eq!(capacities[&BrokerId(1001)].disk_bytes, Some(3_400_000_000_000));
        assert_eq!(capacities[&BrokerId(1001)].network, Some(ByteRate(1_200_000_000)));
        assert_eq!(capacities[&BrokerId(2001)], Capacity { disk_bytes: Some(1 << 40), network: None });
        let of = |name: &str| maps.of(&TopicName::new(name).unwrap()).unwrap().unwrap().name.clone();
        assert_eq!([of("a.b"), of("cx"), of("test_topic1")], ["m2", "m2", "m1"]);
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
            ("clusters: {a: {maps: {m: {topics: x, brokers: [1], typ: y}}}}", "did you mean `type`?"),
            ("clusters: {a: {maps: {m: {topics: x, brokers: [1], type: y}}}}", "there is no type `y`"),
            ("types: {big: {disk: 3}}\nclusters: {}", "`3` has no unit"),
            ("types: {big: {network: 3GB}}\nclusters: {}", "is not a rate"),
            ("types: {big: {disk: 0}}\nclusters: {}", "a disk of 0 bytes"),
            ("types: {big: {disc: 3TB}}\nclusters: {}", "did you mean `disk`?"),
            (
                "types: {big: {disk: 3TB}}\nclusters: {a: {maps: {m: {topics: x, brokers: [1], type: bigg}}}}",
                "did you mean `big`?",
            ),
            (
                "clusters: {a: {maps: {m: {topics: x, brokers: [1-3]}, n: {topics: y, brokers: [3-5]}}}}",
                "map `n` shares broker 3 with map `m`",
            ),
            ("clusters: {a: {maps: {m: {topics: [], brokers: [1]}}}}", "`topics` is empty"),
            ("clusters: {a: {maps: {m: {topics: x, brokers: []}}}}", "a map needs at least one broker"),
            ("clusters: {a: {}, a: {}}", "a"),
            ("clusters: {}\n---\nclusters: {}", "a second one"),
        ];
        for (text, expected) in cases {
            let faults = parse("toolbox.yaml", text).unwrap_err().to_string();
            assert!(faults.contains(expected) && faults.contains("toolbox.yaml:"), "{text}: {faults}");
        }
    }
}
