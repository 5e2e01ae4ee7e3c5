//! How the API server is found: flags, `KUBECONFIG`, the files that a pod has, the kubeconfig at home; and who we are.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde::Deserialize;

use crate::clients::files;
use crate::clients::kubernetes::{Identity, KubernetesError, Pod};
use crate::formats::secret::{ExposeSecret, remember};

/// Where a pod finds its ServiceAccount's token.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A longer file is no kubeconfig and no token.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How to find the API server. Where nothing is given: `KUBECONFIG`, else the pod's own files, else `~/.kube/config`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// A kubeconfig (`--kubeconfig`).
    pub kubeconfig: Option<PathBuf>,
    /// A context in it (`--kube-context`); none is its current one.
    pub context: Option<String>,
    /// The namespace (`--namespace`); none is the pod's or the context's.
    pub namespace: Option<String>,
}

impl Access {
    /// Whether we run in a pod that has a ServiceAccount.
    pub fn is_in_cluster() -> bool {
        variable("KUBERNETES_SERVICE_HOST").is_some() && Path::new(TOKEN_FILE).exists()
    }

    /// The client's settings, and who we are with them.
    pub(super) async fn resolve(&self) -> Result<(Config, Identity), KubernetesError> {
        let (mut config, source) = self.find().await?;
        // Retries are the door's: kube would also send writes again after a 504.
        config.default_retry = false;
        let claims = match &config.auth_info.token_file {
            Some(file) => claims_of_file(Path::new(file)),
            None => config.auth_info.token.as_ref().and_then(|token| claims_of(token.expose_secret())),
        };
        let claims = claims.unwrap_or_default();
        let namespace = self.namespace.clone().or_else(|| variable("POD_NAMESPACE"));
        let identity = Identity {
            namespace: namespace.unwrap_or_else(|| config.default_namespace.clone()),
            pod: claims.pod().or_else(pod_of_environment),
            service_account: claims.service_account(),
            source,
            server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
        };
        Ok((config, identity))
    }

    async fn find(&self) -> Result<(Config, String), KubernetesError> {
        if let Some(file) = &self.kubeconfig {
            has_an_end(file)?;
            let kubeconfig =
                Kubeconfig::read_from(file).map_err(|error| unusable(&file.display().to_string(), &error))?;
            return self.choose(kubeconfig, &file.display().to_string()).await;
        }
        if let Some(files) = variable("KUBECONFIG") {
            std::env::split_paths(&files).try_for_each(|file| has_an_end(&file))?;
            let kubeconfig = Kubeconfig::from_env().map_err(|error| unusable(&files, &error))?;
            return self.choose(kubeconfig.unwrap_or_default(), &files).await;
        }
        if self.context.is_none() && Self::is_in_cluster() {
            let config = Config::incluster().map_err(|error| {
                KubernetesError::Settings(format!("failed to read the pod's ServiceAccount files: {}", chain(&error)))
            })?;
            return Ok((config, "in cluster".into()));
        }
        let kubeconfig = Kubeconfig::read().map_err(|error| {
            KubernetesError::Settings(format!(
                "no way to the Kubernetes API: this is no pod with a ServiceAccount, KUBECONFIG is not set, and \
                 ~/.kube/config can't be used ({}); give --kubeconfig",
                chain(&error)
            ))
        })?;
        self.choose(kubeconfig, "~/.kube/config").await
    }

    async fn choose(&self, kubeconfig: Kubeconfig, file: &str) -> Result<(Config, String), KubernetesError> {
        let context = self.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
        let known: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        if !known.contains(&context) {
            let wanted =
                if context.is_empty() { "no current context".into() } else { format!("no context `{context}`") };
            let has = if known.is_empty() { "it has none".into() } else { format!("it has: {}", known.join(", ")) };
            return Err(KubernetesError::Settings(format!(
                "kubeconfig {file} has {wanted} ({has}); see --kube-context"
            )));
        }
        let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(file, &error))?;
        Ok((config, format!("context {context} of {file}")))
    }
}

/// A kubeconfig is read whole: one without an end would take all memory, and a named pipe would hold us up. What is not there is for
/// kube to say.
fn has_an_end(file: &Path) -> Result<(), KubernetesError> {
    match files::check_length(file, FILE_BYTES_MAX) {
        Err(error) if matches!(error.kind(), ErrorKind::FileTooLarge | ErrorKind::InvalidInput) => {
            Err(unusable(&file.display().to_string(), &error))
        }
        _ => Ok(()),
    }
}

fn unusable(file: &str, error: &dyn std::error::Error) -> KubernetesError {
    KubernetesError::Settings(format!("kubeconfig {file} can't be used: {}", chain(error)))
}

/// An error with its causes, each said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn pod_of_environment() -> Option<Pod> {
    let named = variable("POD_NAME");
    let name = if Access::is_in_cluster() { named.or_else(|| variable("HOSTNAME")) } else { named };
    name.map(|name| Pod { name, uid: variable("POD_UID") })
}

/// What a ServiceAccount's token says of its bearer.
#[derive(Debug, Default, Deserialize)]
struct Claims {
    #[serde(default)]
    sub: String,
    #[serde(default, rename = "kubernetes.io")]
    kubernetes: Bound,
}

#[derive(Debug, Default, Deserialize)]
struct Bound {
    pod: Option<BoundPod>,
}

#[derive(Debug, Deserialize)]
struct BoundPod {
    name: String,
    uid: Option<String>,
}

impl Claims {
    fn service_account(&self) -> Option<String> {
        let account = self.sub.strip_prefix("system:serviceaccount:")?;
        account.split_once(':').map(|(namespace, name)| format!("{namespace}/{name}"))
    }

    fn pod(&self) -> Option<Pod> {
        self.kubernetes.pod.as_ref().map(|pod| Pod { name: pod.name.clone(), uid: pod.uid.clone() })
    }
}

fn claims_of_file(file: &Path) -> Option<Claims> {
    let token = remember(files::read_text(file, FILE_BYTES_MAX).ok()?.trim());
    claims_of(token.expose_secret())
}

/// The claims of a JSON Web Token; not verified, as they serve only to name ourselves.
fn claims_of(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_service_account_and_pod() {
        let payload = r#"{"sub":"system:serviceaccount:kafka:toolbox",
            "kubernetes.io":{"namespace":"kafka","pod":{"name":"topics-1","uid":"u-1"}}}"#;
        let token = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload));
        let claims = claims_of(&token).unwrap();
        assert_eq!(claims.service_account().as_deref(), Some("kafka/toolbox"));
        assert_eq!(claims.pod(), Some(Pod { name: "topics-1".into(), uid: Some("u-1".into()) }));
    }

    #[test]
    fn a_kubeconfig_that_is_a_named_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("config");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(has_an_end(&pipe).unwrap_err().to_string().contains("a named pipe"));
        assert!(has_an_end(Path::new("/dev/null")).is_ok() && has_an_end(&folder.path().join("none")).is_ok());
    }

    #[test]
    fn an_opaque_token_names_nobody_and_is_no_error() {
        for token in ["", "abc", "a.b.c", "e30.e30.e30"] {
            assert_eq!(claims_of(token).unwrap_or_default().service_account(), None, "{token}");
        }
    }
}
