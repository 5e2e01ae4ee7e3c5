//! What the API server trusts when it calls a webhook (`caBundle` of a ValidatingWebhookConfiguration). As for pods, the few
//! fields are read into a type of our own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Request;
use kube::Error;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Live};
use crate::clients::kubernetes::{KubernetesError, ObjectName, Resource, TrustBundles, Verb};

/// Where such configurations are.
const PATH: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// Most bytes of a name in a path.
const NAME_BYTES_MAX: usize = 253;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Configuration {
    webhooks: Vec<Webhook>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Webhook {
    name: String,
    client_config: ClientConfig,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ClientConfig {
    ca_bundle: Option<String>,
}

impl Live {
    pub(super) async fn webhook_bundles(&self, configuration: &str) -> Result<Option<TrustBundles>, KubernetesError> {
        let (name, path) = place(configuration)?;
        let call = Call::new(Verb::Get, Resource::ValidatingWebhooks, &name);
        let ask = || async {
            let request = Request::get(&path).body(Vec::new()).map_err(Error::HttpError)?;
            self.client.request::<Configuration>(request).await
        };
        match self.read(call, ask).await {
            Ok(found) => Ok(Some(bundles(found))),
            Err(KubernetesError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A JSON patch that tests what was read: a merge patch would replace the list of webhooks as a whole.
    pub(super) async fn set_webhook_bundles(
        &self,
        configuration: &str,
        read: &TrustBundles,
        pem: &str,
    ) -> Result<(), KubernetesError> {
        let (name, path) = place(configuration)?;
        let call = Call::new(Verb::Patch, Resource::ValidatingWebhooks, &name);
        let body = patch(read, pem).to_string();
        let send = || async {
            let request = Request::patch(&path).header("Content-Type", "application/json-patch+json");
            let request = request.body(body.clone().into_bytes()).map_err(Error::HttpError)?;
            self.client.request::<Configuration>(request).await
        };
        match self.write(call, send).await {
            Ok(_) => Ok(()),
            // A test of the patch that fails is a 422: somebody changed the object since it was read.
            Err(KubernetesError::Invalid { what, message }) if message.contains("the server rejected our request") => {
                Err(KubernetesError::Conflict { what })
            }
            Err(error) => Err(error),
        }
    }
}

fn bundles(found: Configuration) -> TrustBundles {
    let bundle = |webhook: Webhook| {
        let bundle = webhook.client_config.ca_bundle.unwrap_or_default();
        // One that can't be read is replaced.
        (webhook.name, STANDARD.decode(bundle).unwrap_or_default())
    };
    TrustBundles { webhooks: found.webhooks.into_iter().map(bundle).collect() }
}

fn patch(read: &TrustBundles, pem: &str) -> Value {
    let encoded = STANDARD.encode(pem);
    let steps = read.webhooks.iter().enumerate().flat_map(|(index, (name, before))| {
        let place = format!("/webhooks/{index}/clientConfig/caBundle");
        let same_name = json!({"op": "test", "path": format!("/webhooks/{index}/name"), "value": name});
        let same_bundle = json!({"op": "test", "path": place, "value": STANDARD.encode(before)});
        let set = json!({"op": "add", "path": place, "value": encoded});
        if before.is_empty() { vec![same_name, set] } else { vec![same_name, same_bundle, set] }
    });
    Value::Array(steps.collect())
}

/// Where the object is. Its name comes from a flag: nothing else than a legal name gets into the path.
fn place(configuration: &str) -> Result<(ObjectName, String), KubernetesError> {
    let name = ObjectName::new("", configuration);
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let is_legal = !configuration.is_empty()
        && configuration.len() <= NAME_BYTES_MAX
        && configuration.chars().all(is_of_name)
        && !configuration.starts_with('.');
    if !is_legal {
        let message = "a name has lower-case letters, digits, `-` and `.`".to_owned();
        return Err(KubernetesError::Invalid { what: format!("ValidatingWebhookConfiguration {name}"), message });
    }
    Ok((name, format!("{PATH}/{configuration}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_tests_what_was_read_and_touches_nothing_but_the_bundles() {
        let read = TrustBundles { webhooks: vec![("a.b.c".into(), Vec::new()), ("d.e.f".into(), b"old".to_vec())] };
        let ops: Vec<_> = patch(&read, "new").as_array().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            ops,
            [
                r#"{"op":"test","path":"/webhooks/0/name","value":"a.b.c"}"#,
                r#"{"op":"add","path":"/webhooks/0/clientConfig/caBundle","value":"bmV3"}"#,
                r#"{"op":"test","path":"/webhooks/1/name","value":"d.e.f"}"#,
                r#"{"op":"test","path":"/webhooks/1/clientConfig/caBundle","value":"b2xk"}"#,
                r#"{"op":"add","path":"/webhooks/1/clientConfig/caBundle","value":"bmV3"}"#,
            ]
        );
    }

    #[test]
    fn only_legal_names_get_into_a_path() {
        assert!(place("kafka-drain-guard").is_ok());
        for wrong in ["", "../x", "a/b", "A", ".x"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
