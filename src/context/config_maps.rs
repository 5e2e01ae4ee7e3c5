//! Specs from live ConfigMaps: by name, or by label. Each data key is one document.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::clients::kubernetes::ConfigMap;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::kubernetes::KubernetesError;
use crate::clients::kubernetes::ObjectName;
use crate::context::Context;
use crate::exit::Stop;
use crate::formats::gzip;
use crate::formats::place::Fault;
use crate::formats::source::Source;
use crate::formats::yaml::Origin;
use crate::state::document::RECORD;
use crate::state::place::{COMPONENT, MANAGED_BY};

impl Context {
    /// The documents of the ConfigMaps that the names (`NAMESPACE/NAME`, or `NAME`) and the label selectors say, ordered
    /// by namespace, name and key. What the toolbox itself keeps in ConfigMaps is never among them.
    ///
    /// What a ConfigMap holds that can't be a document is a fault: whether the others are of use, the caller decides.
    pub async fn config_map_sources(
        &self,
        names: &[String],
        selectors: &[String],
    ) -> anyhow::Result<(Vec<Source>, Vec<Fault>)> {
        if names.is_empty() && selectors.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let kubernetes = self.kubernetes().await?;
        read(kubernetes.as_ref(), names, selectors).await.context("failed to read the spec from Kubernetes")
    }
}

async fn read(
    kubernetes: &dyn Kubernetes,
    names: &[String],
    selectors: &[String],
) -> anyhow::Result<(Vec<Source>, Vec<Fault>)> {
    let namespace = &kubernetes.identity().namespace;
    let mut found: BTreeMap<ObjectName, ConfigMap> = BTreeMap::new();
    for name in names {
        let name = match name.split_once('/') {
            Some((namespace, name)) => ObjectName::new(namespace, name),
            None => ObjectName::new(namespace.clone(), name.clone()),
        };
        let Some(config_map) = kubernetes.config_map(&name).await? else {
            return Err(Stop::usage(format!("there is no ConfigMap {name}")).into());
        };
        if is_own(&config_map) {
            return Err(Stop::usage(format!("ConfigMap {name} is what was last applied, not a spec")).into());
        }
        found.insert(name, config_map);
    }
    for selector in selectors {
        let matching = match kubernetes.config_maps(namespace, selector).await {
            Err(error @ (KubernetesError::Invalid { .. } | KubernetesError::TooMuch { .. })) => {
                return Err(Stop::usage(error.to_string()).into());
            }
            matching => matching?,
        };
        let before = found.len();
        let specs = matching.into_iter().filter(|config_map| !is_own(config_map));
        let mut is_any = false;
        for config_map in specs {
            is_any = true;
            found.insert(config_map.name.clone(), config_map);
        }
        if !is_any {
            // A slip in a selector must not look like a spec that declares nothing.
            return Err(Stop::usage(format!("no ConfigMap of namespace {namespace} matches `{selector}`")).into());
        }
        tracing::debug!(selector, "{} more ConfigMaps", found.len() - before);
    }
    let (mut sources, mut faults) = (Vec::new(), Vec::new());
    for config_map in found.values() {
        for document in documents(config_map) {
            match document {
                Ok(source) => sources.push(source),
                Err(fault) => faults.push(fault),
            }
        }
    }
    Ok((sources, faults))
}

/// Each key as a document, ordered by key; bytes only where gzip packed a text.
fn documents(config_map: &ConfigMap) -> Vec<Result<Source, Fault>> {
    let label = |key: &str| format!("configmap {}, key {key}", config_map.name);
    let mut documents: BTreeMap<&String, Result<Source, Fault>> = BTreeMap::new();
    for (key, text) in &config_map.data {
        documents.insert(key, Ok(Source::new(label(key), text.as_bytes())));
    }
    for (key, bytes) in &config_map.binary_data {
        let message = match gzip::is_packed(bytes).then(|| gzip::unpacked(bytes.clone())) {
            Some(Ok(text)) => {
                documents.insert(key, Ok(Source::new(label(key), text)));
                continue;
            }
            Some(Err(error)) => format!("`binaryData`: {error}"),
            None => "it holds bytes (`binaryData`), not a text".to_owned(),
        };
        documents.insert(key, Err(Fault::new(Origin::new(label(key)).place(1, 1), message)));
    }
    if documents.is_empty() {
        let place = Origin::new(format!("configmap {}", config_map.name)).place(1, 1);
        return vec![Err(Fault::new(place, "it has no data"))];
    }
    documents.into_values().collect()
}

fn is_own(config_map: &ConfigMap) -> bool {
    let label = |key: &str| config_map.labels.get(key).map(String::as_str);
    label(MANAGED_BY.0) == Some(MANAGED_BY.1) && label(COMPONENT) == Some(RECORD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::kubernetes::Identity;
    use crate::clients::kubernetes::Memory;

    fn config_map(name: &str, labels: &[(&str, &str)], keys: &[&str]) -> ConfigMap {
        let mut config_map = ConfigMap::new(ObjectName::new("kafka", name));
        config_map.labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        config_map.data = keys.iter().map(|key| ((*key).into(), format!("# {name} {key}"))).collect();
        config_map
    }

    async fn server(config_maps: &[ConfigMap]) -> Memory {
        let words = String::from;
        let (namespace, server, source) = (words("kafka"), words("memory"), words("memory"));
        let memory = Memory::new(Identity { namespace, pod: None, service_account: None, source, server });
        for config_map in config_maps {
            memory.create_namespace(&config_map.name.namespace);
            memory.create_config_map(config_map).await.unwrap();
        }
        memory
    }

    async fn labels(memory: &Memory, names: &[&str], selectors: &[&str]) -> Result<Vec<String>, String> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let sources = read(memory, &owned(names), &owned(selectors)).await;
        let (sources, faults) = sources.map_err(|error| error.to_string())?;
        if let Some(fault) = faults.first() {
            return Err(fault.to_string());
        }
        Ok(sources.iter().map(|source| source.label.to_string()).collect())
    }

    #[tokio::test]
    async fn each_key_is_a_document_and_none_is_read_twice() {
        let mut elsewhere = config_map("far", &[], &["a"]);
        elsewhere.name.namespace = "other".into();
        let app = [("app", "topics")];
        let memory =
            server(&[config_map("b", &app, &["z.yaml", "a.yaml"]), config_map("a", &app, &["t"]), elsewhere]).await;
        let found = labels(&memory, &["b", "other/far"], &["app=topics", "app"]).await.unwrap();
        let expected = ["kafka/a, key t", "kafka/b, key a.yaml", "kafka/b, key z.yaml", "other/far, key a"];
        assert_eq!(found, expected.map(|rest| format!("configmap {rest}")));
    }

    #[tokio::test]
    async fn what_the_toolbox_keeps_is_never_a_spec() {
        let own = [(MANAGED_BY.0, MANAGED_BY.1), (COMPONENT, RECORD)];
        let memory =
            server(&[config_map("own", &own, &["last-applied.json"]), config_map("b", &[own[0]], &["t"])]).await;
        assert_eq!(
            labels(&memory, &[], &["app.kubernetes.io/managed-by"]).await.unwrap(),
            ["configmap kafka/b, key t"]
        );
        let words = labels(&memory, &["own"], &[]).await.unwrap_err();
        assert_eq!(words, "ConfigMap kafka/own is what was last applied, not a spec");
    }

    #[tokio::test]
    async fn a_slip_is_no_empty_spec() {
        let mut bytes = config_map("bytes", &[], &[]);
        bytes.binary_data.insert("x".into(), vec![0]);
        let memory = server(&[config_map("empty", &[], &[]), bytes]).await;
        let said = [
            (labels(&memory, &["none"], &[]).await, "there is no ConfigMap kafka/none"),
            (labels(&memory, &[], &["app=topcis"]).await, "no ConfigMap of namespace kafka matches `app=topcis`"),
            (labels(&memory, &["empty"], &[]).await, "configmap kafka/empty:1:1: it has no data"),
            (
                labels(&memory, &["bytes"], &[]).await,
                "configmap kafka/bytes, key x:1:1: it holds bytes (`binaryData`), not a text",
            ),
            (labels(&memory, &[], &["a=b=c"]).await, "`b=c` is not a label's value"),
        ];
        for (answer, expected) in said {
            let words = answer.unwrap_err();
            assert!(words.contains(expected), "{words}");
        }
    }
}
