//! Maps and instance types as people write them: in `toolbox.yaml`, or in documents of their own.
//!
//! ```yaml
//! types: {i3.4xlarge: {disk: 3.4TB, network: 1.2GB/s}}
//! maps:
//!   map1: {topics: "test_topic.*", brokers: [1001-1006], type: i3.4xlarge}
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::cluster::broker::{BrokerId, BrokerRange};
use crate::cluster::map::{Capacity, Map, Maps};
use crate::cluster::size::{ByteRate, Bytes};
use crate::formats::place::{Fault, Faults, Place};
use crate::formats::source::Source;
use crate::formats::suggest::nearest;
use crate::formats::yaml::{self, Fields, Node, Origin, Reader, Value};

/// Most maps of one mapping: each is compared with each.
const MAPS_MAX: usize = 1_000;

/// Instance types by name.
pub type Types = BTreeMap<String, Capacity>;

/// Reads documents that have `maps` and `types`. All maps together are those of the cluster; a name that is used twice
/// is a fault.
pub fn parse(sources: &[Source]) -> Result<Maps, Faults> {
    let mut reader = Reader::default();
    let mut maps = Vec::new();
    for source in sources {
        let origin = Origin::new(&*source.label);
        let text = match yaml::decode(&origin, &source.bytes) {
            Ok(text) => text,
            Err(fault) => {
                reader.faults.push(fault);
                continue;
            }
        };
        let (documents, faults) = yaml::documents(&origin, text);
        reader.faults.extend(faults);
        for document in &documents {
            read_document(&mut reader, document, &mut maps);
        }
    }
    check_names(&mut reader, &maps);
    check_overlap(&mut reader, &maps);
    Faults::check(reader.faults)?;
    Ok(Maps(maps.into_iter().map(|(map, _)| map).collect()))
}

fn read_document(reader: &mut Reader, document: &Node<'_>, maps: &mut Vec<(Map, Place)>) {
    let Some(fields) = reader.fields(document, "a file of maps", &["maps", "types"]) else { return };
    let types = fields.get("types").map(|node| read_types(reader, node)).unwrap_or_default();
    match fields.get("maps") {
        Some(node) => maps.extend(placed_maps(reader, node, &types)),
        None => reader.fault_with_hint(fields.place, "it has no `maps`", "maps: {NAME: {topics: …, brokers: […]}}"),
    }
}

/// The maps of one cluster.
pub(super) fn read_maps(reader: &mut Reader, node: &Node<'_>, types: &Types) -> Maps {
    let maps = placed_maps(reader, node, types);
    check_overlap(reader, &maps);
    Maps(maps.into_iter().map(|(map, _)| map).collect())
}

/// Instance types: what their brokers can hold and carry.
pub(super) fn read_types(reader: &mut Reader, node: &Node<'_>) -> Types {
    let Some(fields) = reader.mapping(node, "`types`") else { return Types::default() };
    let mut types = Types::new();
    for entry in fields.entries() {
        if let Some(fields) = reader.fields(&entry.value, "an instance type", &["disk", "network"]) {
            types.insert(entry.key.to_string(), capacity(reader, fields));
        }
    }
    types
}

fn placed_maps(reader: &mut Reader, node: &Node<'_>, types: &Types) -> Vec<(Map, Place)> {
    let Some(fields) = reader.mapping(node, "`maps`") else { return Vec::new() };
    if fields.entries().len() > MAPS_MAX {
        reader.fault(&node.place, format!("there are more than {MAPS_MAX} maps, the most that are read"));
        return Vec::new();
    }
    let read =
        |entry: &yaml::Entry<'_>| Some((read_map(reader, &entry.key, &entry.value, types)?, entry.place.clone()));
    fields.entries().iter().filter_map(read).collect()
}

fn read_map(reader: &mut Reader, name: &str, node: &Node<'_>, types: &Types) -> Option<Map> {
    let known = ["topics", "brokers", "type", "disk", "network", "overlap"];
    let fields = reader.fields(node, "a map", &known)?;
    let (Some(topics), Some(brokers)) = (fields.get("topics"), fields.get("brokers")) else {
        let hint = "brokers: [1001-1006]";
        reader.fault_with_hint(fields.place, format!("map `{name}` needs `topics` and `brokers`"), hint);
        return None;
    };
    let of_type = fields.get("type").and_then(|node| type_of(reader, node, types)).unwrap_or_default();
    let own = capacity(reader, fields);
    let overlap = fields.get("overlap").and_then(|node| reader.flag(node, "`overlap`"));
    let patterns = read_topics(reader, topics)?;
    let brokers = read_brokers(reader, brokers)?;
    let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
    match Map::of(name, &patterns, brokers) {
        Ok(mut map) => {
            map.capacity.disk_bytes = own.disk_bytes.or(of_type.disk_bytes);
            map.capacity.network = own.network.or(of_type.network);
            map.overlap = overlap.is_some_and(|overlap| overlap.value);
            Some(map)
        }
        Err(message) => {
            reader.fault(&topics.place, message);
            None
        }
    }
}

/// One pattern, or a list of them.
fn read_topics(reader: &mut Reader, node: &Node<'_>) -> Option<Vec<String>> {
    let Value::List(items) = &node.value else {
        return Some(vec![reader.text(node, "`topics`")?.value]);
    };
    if items.is_empty() {
        reader.fault_with_hint(&node.place, "`topics` is empty", "a name, a regular expression, or a list of them");
    }
    items.iter().map(|item| Some(reader.text(item, "a topic pattern")?.value)).collect()
}

fn type_of(reader: &mut Reader, node: &Node<'_>, types: &Types) -> Option<Capacity> {
    let name = reader.text(node, "`type`")?;
    let found = types.get(&name.value).copied();
    if found.is_none() {
        let hint = match nearest(&name.value, types.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("say what it is: types: {{{}: {{disk: 3.4TB, network: 1.2GB/s}}}}", name.value),
        };
        reader.fault_with_hint(&name.place, format!("there is no type `{}`", name.value), hint);
    }
    found
}

fn capacity(reader: &mut Reader, fields: Fields<'_, '_>) -> Capacity {
    let disk = amount::<Bytes>(reader, fields, "disk").map(|bytes| bytes.0);
    let network = amount::<ByteRate>(reader, fields, "network");
    if let (Some(0), Some(node)) = (disk, fields.get("disk")) {
        reader.fault_with_hint(&node.place, "a disk of 0 bytes holds nothing", "leave the line out if it is not known");
    }
    Capacity { disk_bytes: disk, network }
}

fn amount<T: FromStr<Err = String>>(reader: &mut Reader, fields: Fields<'_, '_>, key: &str) -> Option<T> {
    let text = reader.text(fields.get(key)?, &format!("`{key}`"))?;
    match text.value.parse() {
        Ok(amount) => Some(amount),
        Err(error) => {
            reader.fault(&text.place, error);
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
        match text.value.parse::<BrokerRange>() {
            Ok(range) => brokers.extend(range.ids()),
            Err(error) => reader.faults.push(Fault::new(text.place, error).with_hint("write 1001, or 1001-1006")),
        }
    }
    if items.is_empty() {
        reader.fault(&node.place, "a map needs at least one broker");
    }
    Some(brokers)
}

fn check_names(reader: &mut Reader, maps: &[(Map, Place)]) {
    let mut seen: BTreeMap<&str, &Place> = BTreeMap::new();
    for (map, place) in maps {
        match seen.get(map.name.as_str()) {
            Some(first) => reader.fault(place, format!("map `{}` is declared twice: at {first}, too", map.name)),
            None => _ = seen.insert(&map.name, place),
        }
    }
}

/// Two maps may share brokers only where one of them says so.
fn check_overlap(reader: &mut Reader, maps: &[(Map, Place)]) {
    for (index, (map, place)) in maps.iter().enumerate() {
        for (other, _) in &maps[..index] {
            let is_same = map.name == other.name;
            let Some(shared) = map.brokers.intersection(&other.brokers).next() else { continue };
            if !is_same && !map.overlap && !other.overlap {
                let words = format!("map `{}` shares broker {shared} with map `{}`", map.name, other.name);
                reader.fault_with_hint(place, words, "if that is meant, say `overlap: true` in one of them");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Maps, String> {
        let sources: Vec<_> = texts.iter().map(|text| Source::new("maps.yaml", *text)).collect();
        parse(&sources).map_err(|faults| faults.to_string())
    }

    #[test]
    fn maps_of_several_documents_are_those_of_the_cluster() {
        let one = "types: {big: {disk: 2TB}}\nmaps:\n  a: {topics: 'a.*', brokers: [1-3], type: big}\n";
        let maps = read(&[one, "maps: {b: {topics: b, brokers: [4]}}"]).unwrap();
        assert_eq!(maps.0.len(), 2);
        assert_eq!(maps.capacities().len(), 3);
    }

    #[test]
    fn faults_of_all_documents_are_listed() {
        let two = "maps: {b: {topics: b, brokers: [3]}, a: {topics: c, brokers: [9]}}";
        let words = read(&["maps: {a: {topics: a, brokers: [1-3]}}", two]).unwrap_err();
        assert!(words.contains("1:8: map `b` shares broker 3 with map `a`"), "{words}");
        assert!(words.contains("1:38: map `a` is declared twice: at maps.yaml:1:8, too"), "{words}");
        assert!(read(&["types: {}"]).unwrap_err().contains("it has no `maps`"));
        assert!(read(&["map: {}"]).unwrap_err().contains("did you mean `maps`?"));
    }
}
