//! A drain guard beside a control plane: the manifests with a URL instead of a Service, the process with the rights of its
//! ServiceAccount, and evictions as `kubectl drain` sends them.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::live::kafka::Cluster;
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::manifests::copy;
use crate::live::kubernetes::supervisor::wait_until;
use crate::support::toolbox::Toolbox;

/// A guard that runs.
pub(super) struct Guarded<'a> {
    pub(super) kubernetes: &'a ControlPlane,
    pub(super) namespace: String,
    pub(super) toolbox: Toolbox,
    port: u16,
    process: Option<Child>,
    said: Arc<Mutex<String>>,
}

impl<'a> Guarded<'a> {
    /// Applies the manifests in a namespace; the guard does not run yet.
    pub(super) fn new(kubernetes: &'a ControlPlane, kafka: &Cluster, namespace: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let toolbox = Toolbox::alone();
        let settings = format!(
            "clusters: {{main: {{bootstrapServers: \"{}\", maps: {{map1: {{topics: '.*', brokers: [1-3]}}}}}}}}\n",
            kafka.bootstrap()
        );
        toolbox.file("toolbox.yaml", &settings);
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests"), &folder.path().join("manifests"));
        let overlay = folder.path().join("overlay");
        std::fs::create_dir(&overlay).unwrap();
        let text = OVERLAY.replace("NAMESPACE", namespace).replace("PORT", &port.to_string());
        std::fs::write(overlay.join("kustomization.yaml"), text).unwrap();
        let rendered = kubernetes.kubectl(&["kustomize", overlay.to_str().unwrap()]);
        kubernetes.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &rendered);
        let said = Arc::default();
        Self { kubernetes, namespace: namespace.to_owned(), toolbox, port, process: None, said }
    }

    /// Starts the guard and waits until the API server trusts it.
    pub(super) fn start(&mut self, more: &[&str]) {
        let account = self.kubernetes.kubeconfig_of(&self.namespace, "drain-guard");
        let listen = format!("--listen=127.0.0.1:{}", self.port);
        let configuration = format!("--webhook-configuration=guard-{}", self.namespace);
        let own =
            ["rollout", "drain-guard", "--health-listen=127.0.0.1:0", "--apart=1s", "--timeout=3s", "--cluster=main"];
        let place = ["--state=kubernetes", "--namespace", &self.namespace, "--kubeconfig", account.to_str().unwrap()];
        let line = [&own[..], &[&listen, &configuration], &place, more].concat();
        let mut command = self.toolbox.command(&line);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, said) = (BufReader::new(process.stderr.take().unwrap()), Arc::clone(&self.said));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut said = said.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        self.process = Some(process);
        wait_until("the guard to be trusted", Duration::from_secs(20), || {
            self.said().contains("the API server trusts")
        });
    }

    /// Asks the guard to stop, as a kubelet does, and gives all that it said.
    pub(super) fn stop(&mut self) -> String {
        if let Some(mut process) = self.process.take() {
            let pid = rustix::process::Pid::from_child(&process);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            let ended = process.wait().unwrap();
            assert!(ended.success(), "{ended}: {}", self.said());
        }
        self.said()
    }

    /// What the guard said on standard error.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(super) fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubernetes.kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// Asks for an eviction; whether it was allowed, and the answer.
    pub(super) fn evict(&self, pod: &str) -> (bool, String) {
        self.evict_with(pod, "{}")
    }

    /// The same with these `deleteOptions`.
    pub(super) fn evict_with(&self, pod: &str, options: &str) -> (bool, String) {
        let eviction = format!(
            r#"{{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {{"name": "{pod}", "namespace": "{}"}},
                "deleteOptions": {options}}}"#,
            self.namespace
        );
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", self.namespace);
        let line = ["create", "--raw", &path, "-f", "-"];
        let output = self.kubernetes.kubectl_as(&self.kubernetes.admin_kubeconfig(), &line, &eviction);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Asks until the eviction is allowed, as `kubectl drain` does; the refusals before.
    pub(super) fn evict_in_the_end(&self, pod: &str, within: Duration) -> Vec<String> {
        let mut refusals = Vec::new();
        wait_until(&format!("the eviction of {pod}"), within, || {
            let (is_allowed, answer) = self.evict(pod);
            if !is_allowed {
                refusals.push(answer);
                std::thread::sleep(Duration::from_millis(500));
            }
            is_allowed
        });
        refusals
    }

    /// Who holds the lock of disruptions.
    pub(super) fn lock_holder(&self) -> String {
        let line = ["--namespace", &self.namespace, "get", "lease", "toolbox-disruption-main", "-o"];
        let (_, holder) = self.kubernetes.try_kubectl(&[&line[..], &["jsonpath={.spec.holderIdentity}"]].concat());
        if holder.contains("NotFound") { String::new() } else { holder }
    }

    /// Gives each pod its broker's id, as its init container would.
    pub(super) fn register(&self, kafka: &Cluster, pods: &[&str]) {
        let admin = self.kubernetes.admin_kubeconfig();
        for (id, pod) in (1..).zip(pods) {
            let disk = tempfile::tempdir().unwrap();
            let meta = format!("version=1\nnode.id={id}\ncluster.id={}\n", kafka.id());
            std::fs::write(disk.path().join("meta.properties"), meta).unwrap();
            let (disk_path, out) = (disk.path().to_str().unwrap(), disk.path().join("out"));
            let own = ["identity", "assign", "--yes", "--map=map1", "--rack-optional", "--cluster=main", "--log-dirs"];
            let of_pod = [disk_path, "--out", out.to_str().unwrap(), "--pod-name", pod, "--pod-uid", "u"];
            let place = ["--state=kubernetes", "--namespace", &self.namespace, "--kubeconfig", admin.to_str().unwrap()];
            let line = [&own[..], &of_pod, &place, &["--events-to=none"]].concat();
            let output = self.toolbox.command(&line).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[expect(clippy::print_stderr, reason = "what the guard said explains a test that failed")]
impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
        // It belongs to no namespace.
        let name = format!("guard-{}", self.namespace);
        self.kubernetes.try_kubectl(&["delete", "validatingwebhookconfiguration", &name]);
        if std::thread::panicking() {
            eprintln!("the guard said:\n{}", self.said());
        }
    }
}

/// The manifests of the guard under names of this test, and reached by a URL: no Service leads anywhere without kube-proxy.
const OVERLAY: &str = r#"namespace: NAMESPACE
resources: [../manifests/drain-guard]
replacements:
  - source: {kind: Service, name: drain-guard, fieldPath: metadata.namespace}
    targets:
      - select: {kind: ValidatingWebhookConfiguration}
        fieldPaths:
          - webhooks.*.namespaceSelector.matchLabels.kubernetes\.io/metadata\.name
      - select: {kind: ClusterRoleBinding}
        fieldPaths: [subjects.0.namespace]
patches:
  - target: {kind: ValidatingWebhookConfiguration}
    patch: |
      - {op: replace, path: /metadata/name, value: guard-NAMESPACE}
      - {op: replace, path: /webhooks/0/clientConfig, value: {url: "https://127.0.0.1:PORT/evict"}}
  - target: {kind: ClusterRole}
    patch: |
      - {op: replace, path: /metadata/name, value: guard-NAMESPACE}
      - {op: replace, path: /rules/0/resourceNames/0, value: guard-NAMESPACE}
  - target: {kind: ClusterRoleBinding}
    patch: |
      - {op: replace, path: /metadata/name, value: guard-NAMESPACE}
      - {op: replace, path: /roleRef/name, value: guard-NAMESPACE}
  - target: {kind: Deployment}
    patch: |
      - {op: replace, path: /spec/replicas, value: 0}
"#;
