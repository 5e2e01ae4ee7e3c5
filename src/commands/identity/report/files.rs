//! The files for the broker's container.

use crate::commands::identity::plan::{Code, Decision, Kind, OutputFile, Refusal, Seen, Terms};
use crate::commands::identity::report::evidence::Evidence;
use crate::commands::identity::spec::listeners::Values;

/// All files of a decision; the evidence is the last one. Fails where `advertised.listeners` can't be filled in.
pub fn files(terms: &Terms, seen: &Seen, decision: &Decision) -> Result<Vec<OutputFile>, Refusal> {
    let me = &seen.me;
    let line = |text: Option<&str>| text.map(|text| format!("{text}\n")).unwrap_or_default();
    let file = |name: &'static str, text: String| OutputFile { name, text };
    let id = decision.id.0;
    let rack = decision.rack.as_ref().map(|found| found.rack.as_str());
    let values = Values { host_ip: me.host_ip.as_deref(), node_name: me.node.as_deref(), pod_name: Some(&me.pod), id };
    let listeners = terms.listeners.as_ref().map(|listeners| listeners.filled(&values)).transpose();
    let listeners = listeners
        .map_err(|words| Refusal { code: Code::BadListeners, words: format!("--advertised-listeners: {words}") })?;
    let mut files = vec![
        file("node.name", line(me.node.as_deref())),
        file("host.ip", line(me.host_ip.as_deref())),
        file("map", line(Some(&terms.map))),
    ];
    match terms.kind {
        Kind::Kafka => {
            let settings = [
                ("KAFKA_BROKER_ID", "broker.id", Some(id.to_string())),
                ("KAFKA_NODE_ID", "node.id", Some(id.to_string())),
                ("KAFKA_BROKER_RACK", "broker.rack", rack.map(str::to_owned)),
                ("KAFKA_ADVERTISED_LISTENERS", "advertised.listeners", listeners),
            ];
            let known: Vec<_> =
                settings.into_iter().filter_map(|(name, key, value)| Some((name, key, value?))).collect();
            let environment: Vec<_> = known.iter().map(|(name, _, value)| format!("{name}={value}\n")).collect();
            let properties: Vec<_> = known.iter().map(|(_, key, value)| format!("{key}={value}\n")).collect();
            files.extend([
                file("broker.id", line(Some(&id.to_string()))),
                file("rack.id", line(rack)),
                file("env", environment.concat()),
                file("overrides.properties", properties.concat()),
            ]);
        }
        Kind::Zookeeper => {
            files.extend([file("myid", line(Some(&id.to_string()))), file("env", format!("ZOO_MY_ID={id}\n"))]);
        }
    }
    // It is plain data: writing it as JSON does not fail.
    let evidence = serde_json::to_string_pretty(&Evidence::of(terms, seen, decision)).unwrap_or_default();
    files.push(file("identity.json", evidence + "\n"));
    Ok(files)
}
