//! A server's own line with placeholders, so that all pods of a StatefulSet have one text.

use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::server_line::{GRAMMAR, ServerLine};

/// What may be filled in.
const KNOWN: &str = "{pod-name}, {namespace}, {ordinal} and {id} are filled in";

/// What is filled in.
#[derive(Debug, Clone, Default)]
pub struct Values<'a> {
    /// The pod's name.
    pub pod: Option<&'a str>,
    /// The namespace.
    pub namespace: Option<&'a str>,
    /// The pod's number.
    pub ordinal: Option<u32>,
}

/// A line such as `{pod-name}.zookeeper:2888:3888;2181`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLine(String);

impl OwnLine {
    /// Checks the placeholders, and the line with a value in each.
    pub fn parse(text: &str) -> Result<Self, String> {
        let line = Self(text.trim().to_owned());
        let some = Values { pod: Some("zk-0"), namespace: Some("kafka"), ordinal: Some(0) };
        line.filled(ServerId(1), &some).map(|_| line)
    }

    /// The line of one server.
    pub fn filled(&self, id: ServerId, values: &Values<'_>) -> Result<ServerLine, String> {
        let mut text = self.0.clone();
        let ordinal = values.ordinal.map(|ordinal| ordinal.to_string());
        let id = id.to_string();
        let all = [
            ("{pod-name}", values.pod),
            ("{namespace}", values.namespace),
            ("{ordinal}", ordinal.as_deref()),
            ("{id}", Some(id.as_str())),
        ];
        for (name, value) in all {
            match value {
                Some(value) => text = text.replace(name, value),
                None if text.contains(name) => return Err(format!("`{}`: {name} is not known here", self.0)),
                None => {}
            }
        }
        if text.contains(['{', '}']) {
            return Err(format!("`{}` has an unknown placeholder: {KNOWN}", self.0));
        }
        let line = ServerLine::parse(&text).map_err(|fault| format!("`{text}`: {fault}; expected `{GRAMMAR}`"))?;
        if line.client.is_none() {
            return Err(format!("`{text}` has no client port; expected `{GRAMMAR}`"));
        }
        if let Some(host) = line.unspecified_hosts().next() {
            return Err(format!("`{text}`: the other servers can't reach {host}; give a name or an address"));
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_filled_in_for_each_pod_and_what_is_wrong_is_named() {
        let line = OwnLine::parse("{pod-name}.zookeeper.{namespace}.svc:2888:3888;2181").unwrap();
        let values = Values { pod: Some("zookeeper-2"), namespace: Some("kafka"), ordinal: Some(2) };
        let filled = line.filled(ServerId(3), &values).unwrap();
        assert_eq!(filled.to_string(), "zookeeper-2.zookeeper.kafka.svc:2888:3888:participant;0.0.0.0:2181");
        assert!(line.filled(ServerId(3), &Values::default()).unwrap_err().contains("{pod-name} is not known here"));
        for (text, why) in [
            ("{pod}.x:1:2;3", "unknown placeholder"),
            ("a:1:2", "no client port"),
            ("0.0.0.0:1:2;3", "can't reach 0.0.0.0"),
            ("a:1;3", "expected"),
        ] {
            assert!(OwnLine::parse(text).unwrap_err().contains(why), "{text}");
        }
    }
}
