//! The id that a disk holds: `meta.properties` of a Kafka log dir (Kafka's `MetaProperties`: version 0 has `broker.id`,
//! version 1 `node.id`; `directory.id` since KIP-858), `myid` of a ZooKeeper data dir.

use serde::{Deserialize, Serialize};

use crate::cluster::broker::BrokerId;
use crate::cluster::visible;
use crate::commands::identity::spec::ids;
use crate::formats::properties::{self, Property};

/// Smallest and largest id of a ZooKeeper server (ZooKeeper's documentation of `myid`).
pub const MYID: std::ops::RangeInclusive<i32> = 1..=255;

/// What a disk says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskId {
    /// The broker's or server's id.
    pub id: BrokerId,
    /// The cluster that the data belongs to; none from ZooKeeper servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The id of the folder itself, where Kafka wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_id: Option<String>,
}

/// Reads `meta.properties`. What can't be understood is an error: the folder is not empty then.
pub fn meta_properties(source: &str, bytes: &[u8]) -> Result<DiskId, String> {
    let found = properties::parse(source, bytes).map_err(|faults| faults.to_string())?;
    let value = |key: &str| found.iter().find(|property| property.key == key).map(Property::value);
    match value("version") {
        None | Some("0" | "1") => {}
        Some(other) => {
            let shown = visible::value(other);
            return Err(format!("{source} has version {shown}; versions 0 and 1 are known"));
        }
    }
    let read = |key: &str| value(key).map(|text| ids::id(text).map_err(|why| format!("{source}: {key} {why}")));
    let id = match (read("broker.id").transpose()?, read("node.id").transpose()?) {
        (Some(broker), Some(node)) if broker != node => {
            return Err(format!("{source} has broker.id {broker} and node.id {node}"));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Err(format!("{source} has neither broker.id nor node.id: it is cut, or no such file")),
    };
    let text = |key: &str| value(key).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(DiskId { id, cluster_id: text("cluster.id"), directory_id: text("directory.id") })
}

/// Reads `myid`: one number, 1 to 255.
pub fn myid(source: &str, bytes: &[u8]) -> Result<DiskId, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{source} is not a text"))?;
    let id = ids::id(text.trim()).map_err(|why| format!("{source}: {why}"))?;
    if !MYID.contains(&id.0) {
        return Err(format!("{source}: {id} is no id of a ZooKeeper server, which are 1 to 255"));
    }
    Ok(DiskId { id, cluster_id: None, directory_id: None })
}

/// Whether a folder of a log dir holds a partition: `TOPIC-NUMBER`, also one that is being deleted or moved there
/// (Kafka's `LogManager`).
pub fn is_partition(folder: &str) -> bool {
    let plain = folder.strip_suffix("-delete").or_else(|| folder.strip_suffix("-future")).unwrap_or(folder);
    let plain =
        if plain.len() == folder.len() { folder } else { plain.rsplit_once('.').map_or(plain, |(name, _)| name) };
    plain.rsplit_once('-').is_some_and(|(topic, number)| {
        !topic.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DiskId, String> {
        meta_properties("meta.properties", text.as_bytes())
    }

    #[test]
    fn both_versions_of_meta_properties_are_read() {
        let zookeeper =
            read("#\n#Mon Nov 29 10:00:00 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nversion=0\nbroker.id=1003\n");
        let expected =
            DiskId { id: BrokerId(1003), cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg".into()), directory_id: None };
        assert_eq!(zookeeper.unwrap(), expected);
        let kraft = read("version=1\nnode.id=7\ncluster.id=a\ndirectory.id=-x_y\n").unwrap();
        assert_eq!((kraft.id, kraft.directory_id.as_deref()), (BrokerId(7), Some("-x_y")));
    }

    #[test]
    fn what_is_no_meta_properties_is_an_error_and_never_an_empty_disk() {
        let cases = [
            ("", "neither broker.id nor node.id"),
            ("version=1\ncluster.id=a\n", "neither broker.id nor node.id"),
            ("version=1\nnode.id=${HOSTNAME##*-}\n", "holds `$`"),
            ("version=1\nnode.id=-1\n", "is negative"),
            ("version=1\nnode.id=1 \n", "holds a space"),
            ("version=1\nnode.id=1\nbroker.id=2\n", "broker.id 2 and node.id 1"),
            ("version=2\nnode.id=1\n", "version 2"),
            ("version=1\nnode.id=1\nnode.id=2\n", "given twice"),
            ("\0\0\0\0\0\0", "neither broker.id nor node.id"),
        ];
        for (text, why) in cases {
            let words = read(text).unwrap_err();
            assert!(words.contains(why), "{text:?}: {words}");
        }
    }

    #[test]
    fn a_myid_is_one_number_from_1_to_255() {
        assert_eq!(myid("myid", b"3\n").unwrap().id, BrokerId(3));
        for wrong in ["", "0", "256", "1 2", "$ID", "\u{ff}", "-1"] {
            assert!(myid("myid", wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(myid("myid", &[0xff, 0xfe]).is_err());
    }

    #[test]
    fn folders_of_partitions_are_known_by_their_names() {
        for name in ["orders-0", "__cluster_metadata-0", "a-b-12", "orders-0.d6e1-delete", "orders-3.0a-future"] {
            assert!(is_partition(name), "{name}");
        }
        for name in ["lost+found", "meta.properties", "-1", "orders-", "orders", "snapshots-x"] {
            assert!(!is_partition(name), "{name}");
        }
    }
}
