//! The project's own manifests on a real API server: they are what it understands, and the ServiceAccounts may do
//! what they must and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::control_plane::ControlPlane;
use super::supervisor::run;

/// A copy of `manifests/` and `configmaps/` under what a user lays over them.
pub(crate) struct Overlay {
    folder: tempfile::TempDir,
}

impl Overlay {
    /// For a namespace, with the cluster `main` at these bootstrap servers; `patches` are kustomize's.
    pub(crate) fn new(namespace: &str, bootstrap_servers: &str, patches: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["manifests", "configmaps"] {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(part), &folder.path().join(part));
        }
        let settings = format!("clusters: {{main: {{bootstrapServers: \"{bootstrap_servers}\"}}}}\n");
        fs::write(folder.path().join("manifests/settings/toolbox.yaml"), settings).unwrap();
        let text = format!("namespace: {namespace}\nresources: [../manifests]\n{patches}");
        fs::create_dir(folder.path().join("overlay")).unwrap();
        fs::write(folder.path().join("overlay/kustomization.yaml"), text).unwrap();
        Self { folder }
    }

    /// All objects, as kustomize renders them.
    pub(crate) fn render(&self, cluster: &ControlPlane) -> String {
        cluster.kubectl(&["kustomize", self.folder.path().join("overlay").to_str().unwrap()])
    }

    /// Makes the objects on the API server, which refuses whatever it does not know.
    pub(crate) fn apply(&self, cluster: &ControlPlane) -> String {
        cluster.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &self.render(cluster))
    }

    /// Makes the examples of declared topics.
    pub(crate) fn declare_examples(&self, cluster: &ControlPlane, namespace: &str) {
        let folder = self.folder.path().join("configmaps");
        cluster.kubectl(&["--namespace", namespace, "apply", "--validate=strict", "-k", folder.to_str().unwrap()]);
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The lines of an overlay that put its namespace into the names of what belongs to no namespace, as the component
/// `ACCOUNT/nodes` has them.
pub(crate) fn named_by_namespace(account: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("manifests/{account}/nodes/kustomization.yaml"));
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let lines: Vec<_> = lines.skip_while(|line| *line != "replacements:").collect();
    assert!(!lines.is_empty(), "the component {account}/nodes has no replacements");
    lines.join("\n").replace("identity-map1", "identity") + "\n"
}

#[test]
fn the_api_server_accepts_every_field_and_a_second_time_changes_nothing() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("manifests");
    let overlay = Overlay::new(&namespace, "127.0.0.1:9", "");
    let first = overlay.apply(cluster);
    for object in [
        "cronjob.batch/topics",
        "deployment.apps/toolbox",
        "deployment.apps/throttle",
        "configmap/toolbox",
        "service/throttle",
        "networkpolicy.networking.k8s.io/throttle",
    ] {
        assert!(first.contains(&format!("{object} created")), "{first}");
    }
    assert!(!first.contains("configmap/topics"), "no topic is declared: {first}");
    let second = overlay.apply(cluster);
    assert!(second.lines().all(|line| line.ends_with(" unchanged")), "{second}");
}

#[test]
fn pods_of_the_manifests_are_admitted_where_only_restricted_ones_are() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("manifests");
    cluster.kubectl(&["label", "namespace", &namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    Overlay::new(&namespace, "127.0.0.1:9", "").apply(cluster);
    cluster.kubectl(&["--namespace", &namespace, "create", "job", "--from=cronjob/topics", "by-hand"]);
    let wait = |selector: &str| {
        let arguments = ["--namespace", &namespace, "wait", "--for=create", "pod", "--timeout=20s", "--selector"];
        cluster.kubectl(&[&arguments[..], &[selector]].concat());
    };
    wait("app.kubernetes.io/name=topics");
    wait("app.kubernetes.io/name=toolbox");
    wait("app.kubernetes.io/name=throttle");
}

#[test]
fn every_config_map_with_the_label_holds_a_valid_spec() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("manifests");
    Overlay::new(&namespace, "127.0.0.1:9", "").declare_examples(cluster, &namespace);
    let selector = ["--namespace", &namespace, "get", "configmaps", "--selector=toolbox/topics=true", "-o", "name"];
    let names = cluster.kubectl(&selector);
    assert_eq!(names.lines().collect::<Vec<_>>(), ["configmap/topics-shop", "configmap/topics-web"]);
    for name in names.lines() {
        let manifest = cluster.kubectl(&["--namespace", &namespace, "get", name, "-o", "yaml"]);
        let mut toolbox = Command::new(env!("CARGO_BIN_EXE_toolbox"));
        let output = run(toolbox.args(["topics", "validate", "-f", "-"]), &manifest, Duration::from_secs(10));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_example_overlay_has_its_own_namespace_cluster_and_images_everywhere() {
    let cluster = ControlPlane::shared();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples/prod");
    let rendered = cluster.kubectl(&["kustomize", folder.to_str().unwrap()]);
    let lines = || rendered.lines().map(str::trim);
    assert!(lines().filter(|line| line.starts_with("namespace: ")).all(|line| line == "namespace: kafka-toolbox-prod"));
    let names = lines().filter(|line| line.starts_with("- toolbox-")).collect::<Vec<_>>();
    let is_of_prod =
        |name: &&str| ["-prod", "-prod-controllers", "-prod-ensemble"].iter().any(|end| name.ends_with(end));
    assert!(names.len() > 10 && names.iter().all(is_of_prod), "{names:?}");
    let images: Vec<_> = lines().filter_map(|line| line.strip_prefix("image: ")).collect();
    assert!(images.len() == 4 && images.iter().all(|image| image.starts_with("registry.example.com/")), "{images:?}");
    assert!(rendered.contains("  cluster: prod\n") && rendered.contains("name: kafka-toolbox-prod\n"), "{rendered}");
    cluster.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &rendered);
}

/// The Lease and the ConfigMap of the CronJob's runs.
const STATE: &str = "toolbox-topics-main";

/// Requests of a ServiceAccount and whether the API server lets them through.
struct Requests<'a> {
    cluster: &'a ControlPlane,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Requests<'_> {
    fn may(&self, line: &str, input: &str) {
        let (succeeded, answer) = self.send(line, input);
        assert!(succeeded, "kubectl {line} must work: {answer}");
    }

    fn may_not(&self, line: &str, input: &str) {
        let (_, answer) = self.send(line, input);
        assert!(
            answer.contains("is forbidden: User \"system:serviceaccount:"),
            "kubectl {line} must be forbidden: {answer}"
        );
    }

    fn send(&self, line: &str, input: &str) -> (bool, String) {
        let arguments: Vec<&str> = ["--namespace", &self.namespace].into_iter().chain(line.split(' ')).collect();
        let output = self.cluster.kubectl_as(&self.kubeconfig, &arguments, input);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

#[test]
fn the_service_accounts_may_do_what_a_run_needs_and_nothing_else() {
    let cluster = ControlPlane::shared();
    let namespace = cluster.namespace("manifests");
    let other = cluster.namespace("manifests");
    let overlay = Overlay::new(&namespace, "127.0.0.1:9", "");
    overlay.apply(cluster);
    overlay.declare_examples(cluster, &namespace);
    let secret = ["create", "secret", "generic", "kafka-client", "--from-literal=client.properties=x", "--namespace"];
    cluster.kubectl(&[&secret[..], &[&namespace]].concat());
    for account in ["topics", "toolbox"] {
        let kubeconfig = cluster.kubeconfig_of(&namespace, account);
        let requests = Requests { cluster, kubeconfig, namespace: namespace.clone() };
        what_a_run_needs(&requests);
        what_it_must_not_do(&requests, &other);
        // Locks of one cluster may have several names: whoever restarts servers looks for them.
        match account {
            "toolbox" => requests.may("get leases", ""),
            _ => requests.may_not("get leases", ""),
        }
        cluster.kubectl(&["--namespace", &namespace, "delete", "configmap,lease", STATE]);
    }
}

fn what_a_run_needs(requests: &Requests) {
    requests.may("get configmaps --selector=toolbox/topics=true", "");
    requests.may("get configmap topics-shop", "");
    requests.may("create -f -", &object("v1", "ConfigMap", STATE, r#""data": {"a": "1"}"#));
    requests.may("replace -f -", &object("v1", "ConfigMap", STATE, r#""data": {"a": "2"}"#));
    let lease = |holder: &str| {
        let spec = format!(r#""spec": {{"holderIdentity": "{holder}", "leaseDurationSeconds": 15}}"#);
        object("coordination.k8s.io/v1", "Lease", STATE, &spec)
    };
    requests.may("create -f -", &lease("a"));
    requests.may(&format!("get lease {STATE}"), "");
    requests.may("replace -f -", &lease("b"));
    requests.may("create -f -", &event(&requests.namespace));
}

fn what_it_must_not_do(requests: &Requests, other: &str) {
    for line in [
        "get secrets",
        "get secret kafka-client",
        "get pods",
        "get cronjobs",
        "get lease other",
        "get events.events.k8s.io",
        "delete configmap topics-shop",
        "patch configmap topics-shop -p {\"data\":{}}",
        "create serviceaccount x",
        "create token topics",
        "create job x --image=x",
        "get nodes",
        "get namespaces",
    ] {
        requests.may_not(line, "");
    }
    for line in ["delete configmap", "delete lease", "patch -p {} configmap"] {
        requests.may_not(&format!("{line} {STATE}"), "");
    }
    for line in ["get configmaps", "get configmap kube-root-ca.crt", "get secrets", "create configmap x"] {
        requests.may_not(&format!("{line} --namespace={other}"), "");
    }
    let role = object("rbac.authorization.k8s.io/v1", "Role", "topics", r#""rules": []"#);
    requests.may_not("replace -f -", &role);
    let shop = object("v1", "ConfigMap", "topics-shop", r#""data": {}"#);
    requests.may_not("replace -f -", &shop);
}

fn object(api_version: &str, kind: &str, name: &str, rest: &str) -> String {
    format!(r#"{{"apiVersion": "{api_version}", "kind": "{kind}", "metadata": {{"name": "{name}"}}, {rest}}}"#)
}

fn event(namespace: &str) -> String {
    format!(
        r#"{{"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {{"generateName": "topics-"}},
            "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "TopicsApplied", "action": "Apply",
            "note": "3 topics created", "reportingController": "kafka-toolbox", "reportingInstance": "topics",
            "regarding": {{"apiVersion": "batch/v1", "kind": "CronJob", "name": "topics", "namespace": "{namespace}"}}}}"#
    )
}
