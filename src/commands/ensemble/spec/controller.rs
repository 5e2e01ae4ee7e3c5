//! `server.properties` of a controller: what its start depends on, and the file that its server starts with.

use crate::cluster::quorum::NodeId;
use crate::formats::place::Faults;
use crate::formats::properties::{self, Property};

/// Kafka's default of `log.dirs`.
const LOG_DIR: &str = "/tmp/kafka-logs";

/// What the properties say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// The folder of the metadata log: `metadata.log.dir`, else the first of `log.dirs`.
    pub metadata_dir: String,
    /// The other log dirs.
    pub other_dirs: Vec<String>,
    /// Whether they name a static quorum.
    pub is_static: bool,
    /// `controller.quorum.bootstrap.servers`, as it stands there.
    pub bootstrap: Option<String>,
    /// `node.id`, where it is set.
    pub node: Option<String>,
    /// Whether `process.roles` has `controller`.
    pub is_controller: bool,
}

/// Reads them.
pub fn read(source: &str, bytes: &[u8]) -> Result<Properties, Faults> {
    let found = properties::parse(source, bytes)?;
    let value = |key: &str| {
        let property = found.iter().find(|property| property.key == key);
        property.map(Property::value).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let dirs = value("log.dirs").or_else(|| value("log.dir")).unwrap_or_else(|| LOG_DIR.to_owned());
    let dirs: Vec<_> = dirs.split(',').map(|dir| dir.trim().to_owned()).filter(|dir| !dir.is_empty()).collect();
    let metadata_dir = value("metadata.log.dir").or_else(|| dirs.first().cloned()).unwrap_or_default();
    Ok(Properties {
        other_dirs: dirs.into_iter().filter(|dir| *dir != metadata_dir).collect(),
        metadata_dir,
        is_static: value("controller.quorum.voters").is_some(),
        bootstrap: value("controller.quorum.bootstrap.servers"),
        node: value("node.id"),
        is_controller: value("process.roles").is_some_and(|it| it.split(',').any(|role| role.trim() == "controller")),
    })
}

/// The text for one server: placeholders are filled in, and `node.id` is added where it is missing.
pub fn of_node(text: &str, node: NodeId, pod: Option<&str>, namespace: Option<&str>) -> Result<String, String> {
    let mut filled = text.replace("{id}", &node.to_string());
    for (name, value) in [("{pod-name}", pod), ("{namespace}", namespace)] {
        match value {
            Some(value) => filled = filled.replace(name, value),
            None if filled.contains(name) => {
                return Err(format!("{name} is in the properties, and its value is not known here"));
            }
            None => {}
        }
    }
    let found = read("properties", filled.as_bytes()).map_err(|faults| faults.to_string())?;
    match found.node {
        Some(own) if own != node.to_string() => Err(format!("node.id is {own}, this controller is {node}")),
        Some(_) => Ok(filled),
        None => {
            let end = if filled.ends_with('\n') || filled.is_empty() { "" } else { "\n" };
            Ok(format!("{filled}{end}node.id={node}\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_log_is_where_kafka_looks_for_it() {
        let dir = |text: &str| read("x", text.as_bytes()).unwrap().metadata_dir;
        assert_eq!(dir(""), "/tmp/kafka-logs");
        assert_eq!(dir("log.dir=/a\n"), "/a");
        assert_eq!(dir("log.dirs=/b, /c\nlog.dir=/a\n"), "/b");
        assert_eq!(dir("log.dirs=/b\nmetadata.log.dir=/m\n"), "/m");
        let found = read("x", b"process.roles=broker, controller\ncontroller.quorum.voters=1@a:1\n").unwrap();
        assert!(found.is_static && found.is_controller);
    }

    #[test]
    fn each_controller_gets_its_id_and_its_own_address_and_another_id_is_refused() {
        let text = "process.roles=controller\nadvertised.listeners=CONTROLLER://{pod-name}.c.{namespace}.svc:9093";
        let filled = of_node(text, NodeId(2), Some("controller-1"), Some("kafka")).unwrap();
        assert!(filled.contains("CONTROLLER://controller-1.c.kafka.svc:9093\nnode.id=2\n"), "{filled}");
        assert_eq!(of_node(&filled, NodeId(2), None, None).unwrap(), filled);
        assert!(of_node(&filled, NodeId(3), None, None).unwrap_err().contains("node.id is 2"));
        assert!(of_node(text, NodeId(2), None, None).unwrap_err().contains("{pod-name}"));
    }
}
