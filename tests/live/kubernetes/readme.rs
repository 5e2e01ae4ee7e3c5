//! What README says of Kubernetes, typed line by line on a real node: the example overlay, edited as it says, for a
//! namespace and a cluster of other names.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::control_plane::ControlPlane;
use super::manifests::copy;
use super::pods::Bed;
use super::program::kube;
use super::supervisor::run;

/// Longest time for all of README's lines.
const SCRIPT_MAX: Duration = Duration::from_mins(8);

/// The namespace of README and of the example overlay.
const NAMESPACE: &str = "kafka-toolbox-prod";

/// Pods share the host's network, where the brokers are, which no standard of pod security lets them; and the CronJob does not
/// start beside the script's own Job.
const PATCHES: &str = r#"
patches:
- target: {kind: Namespace}
  patch: |
    - {op: remove, path: /metadata/labels/pod-security.kubernetes.io~1enforce}
- target: {kind: CronJob}
  patch: |
    - {op: add, path: /spec/suspend, value: true}
    - {op: add, path: /spec/jobTemplate/spec/template/spec/hostNetwork, value: true}
- target: {kind: Deployment}
  patch: |
    - {op: add, path: /spec/template/spec/hostNetwork, value: true}
- target: {kind: Deployment, name: throttle}
  patch: |
    - {op: replace, path: /spec/template/spec/containers/0/args/2, value: "--api-listen=0.0.0.0:PORT"}
    - {op: replace, path: /spec/template/spec/containers/0/ports/0/containerPort, value: PORT}
"#;

/// The lines between the two comments.
fn script() -> String {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- script: kubernetes -->\n```sh\n").unwrap();
    let (script, _) = rest.split_once("```\n<!-- end of script -->").unwrap();
    script.to_owned()
}

/// A newcomer's copy of the tree, with a `kubectl` that finds the cluster.
struct Newcomer {
    folder: tempfile::TempDir,
    namespace: String,
    /// Where the agent listens.
    port: u16,
}

impl Newcomer {
    fn new(bed: &Bed, cluster: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["manifests", "configmaps"] {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &folder.path().join(part));
        }
        let namespace = format!("readme-{}", &uuid::Uuid::now_v7().simple().to_string()[22..]);
        let port = TcpListener::bind(("0.0.0.0", 0)).unwrap().local_addr().unwrap().port();
        let this = Self { folder, namespace, port };
        this.edit("manifests/examples/prod/kustomization.yaml", |text| {
            let text = text.replace(NAMESPACE, &this.namespace).replace("cluster=prod", &format!("cluster={cluster}"));
            let text = text.replace("registry.example.com/", "docker.io/library/");
            format!("{text}{}", PATCHES.replace("PORT", &port.to_string()))
        });
        this.edit("manifests/examples/prod/toolbox.yaml", |text| {
            let text = text.replace("prod:", &format!("{cluster}:"));
            text.replace("[kafka-bootstrap.kafka.svc:9092]", &format!("\"{}\"", bed.kafka.bootstrap()))
        });
        // Other tests have the topics of the shop.
        this.edit("configmaps/topics/shop.yaml", |text| text.replace("name: shop.", "name: readme."));
        this.give_kubectl(&bed.kubernetes);
        this
    }

    fn edit(&self, file: &str, change: impl Fn(&str) -> String) {
        let path = self.folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, change(&text)).unwrap();
    }

    fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn give_kubectl(&self, cluster: &ControlPlane) {
        fs::create_dir(self.bin()).unwrap();
        let (kube, kubeconfig) = (kube().display(), cluster.admin_kubeconfig());
        let text = format!("#!/bin/sh\nexec {kube} kubectl --kubeconfig {} \"$@\"\n", kubeconfig.display());
        let path = self.bin().join("kubectl");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The status of the agent's answer to a request under this name.
    fn asks_agent(&self, host: &str, path: &str) -> String {
        let (host, port) = (format!("Host: {host}"), self.port);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--header", &host]);
        let output = run(curl.arg(format!("http://127.0.0.1:{port}{path}")), "", Duration::from_secs(10));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types the lines; the first that fails ends them. Returns all that was shown.
    fn types(&self, script: &str) -> (bool, String) {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut bash = Command::new("bash");
        bash.args(["-euxo", "pipefail", "-c", &format!("exec 2>&1\n{script}")]).current_dir(self.folder.path());
        bash.env("PATH", format!("{}:{path}", self.bin().display()))
            .env("KUBECACHEDIR", self.folder.path().join("cache"));
        let output = run(&mut bash, "", SCRIPT_MAX);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[test]
fn the_readme_brings_up_topics_throttle_and_moves_in_another_namespace_and_cluster() {
    let Some(bed) = Bed::shared() else { return };
    let newcomer = Newcomer::new(bed, "orders-eu");
    let script = script().replace(NAMESPACE, &newcomer.namespace).replace("shop[.]", "readme[.]");
    // Nothing is in these topics: a Job that takes longer has failed.
    let (succeeded, shown) = newcomer.types(&script.replace("--timeout=30m", "--timeout=3m"));
    let namespace = ["--namespace", newcomer.namespace.as_str()];
    let kubectl = |arguments: &[&str]| bed.kubernetes.try_kubectl(&[&namespace, arguments].concat()).1;
    if !succeeded {
        let logs = ["topics", "reassign", "throttle"].map(|name| {
            kubectl(&["logs", "--tail=50", "--prefix", &format!("--selector=app.kubernetes.io/name={name}")])
        });
        panic!("{shown}\n{}\n{}", kubectl(&["get", "pods,jobs,events"]), logs.join("\n"));
    }
    let topics = bed.topic_tool(&["--describe", "--topic", "readme.*"]);
    assert!(topics.contains("Topic: readme.orders"), "{topics}");
    let replicas: Vec<_> = topics.lines().filter_map(|line| line.split("Replicas: ").nth(1)).collect();
    let on_four = |line: &&&str| line.split(['\t', ' ']).next().is_some_and(|ids| ids.split(',').any(|id| id == "4"));
    assert!(
        !replicas.is_empty() && replicas.iter().filter(on_four).count() == 0,
        "broker 4 is empty: {topics}\n{shown}"
    );
    let kept = kubectl(&["get", "configmaps", "-o", "name"]);
    for name in ["toolbox-topics-orders-eu", "toolbox-moves-orders-eu"] {
        assert!(kept.contains(name), "{name} is not in {kept}");
    }
    let service = format!("throttle.{}.svc:8080", newcomer.namespace);
    assert_eq!(["/livez", "/healthz", "/metrics"].map(|path| newcomer.asks_agent(&service, path)), ["200"; 3]);
    assert_eq!(newcomer.asks_agent("elsewhere.example.com", "/livez"), "421");
    // The namespace goes with its pods and the agent's lock.
    bed.kubernetes.kubectl(&["delete", "namespace", &newcomer.namespace, "--wait=false"]);
}
