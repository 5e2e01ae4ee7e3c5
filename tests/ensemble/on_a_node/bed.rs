//! One node for these tests, what stands for the images of servers, and the manifests as they are applied there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::live::kafka::jars::{Package, java};
use crate::live::kubernetes::control_plane::ControlPlane;
use crate::live::kubernetes::image::pause;
use crate::live::kubernetes::manifests::{copy, named_by_namespace};
use crate::live::kubernetes::node::Node;

/// Longest wait for pods, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(90);

/// A script in the place of one of the servers' own.
pub(super) struct Script {
    /// As `zkServer.sh`.
    pub(super) name: &'static str,
    /// What is run; JAVA and LIBS are filled in.
    pub(super) line: &'static str,
}

/// What is laid over the manifests.
pub(super) struct Overlay<'a> {
    /// Of manifests that are not of every test, as `zookeeper`.
    pub(super) parts: &'a [&'a str],
    /// The StatefulSet, whose container of the server has this name.
    pub(super) set: (&'a str, &'a str),
    /// Patches of the StatefulSet beyond what each of them needs here, as kustomize has them.
    pub(super) patches: &'a str,
    /// Variables of the agent's environment.
    pub(super) agent: Value,
    /// Where the agent listens.
    pub(super) port: u16,
    /// Files for the generators of ConfigMaps: the ConfigMap, the file, its text.
    pub(super) files: Vec<(&'a str, &'a str, String)>,
    /// What stands for the image of the server: the name, the folder in it, the jars, the scripts.
    pub(super) image: (&'a str, &'a str, Package, &'a [Script]),
}

/// A node of its own.
pub(super) struct Bed {
    kubernetes: ControlPlane,
    node: Node,
}

impl Bed {
    /// The one of all tests here, where this machine can have it.
    fn shared() -> Option<&'static Self> {
        static BED: OnceLock<Bed> = OnceLock::new();
        if !Node::is_possible() {
            return None;
        }
        let bed = BED.get_or_init(|| {
            let kubernetes = ControlPlane::start();
            let image = pause::image(kubernetes.folder());
            let node = Node::start(&kubernetes, &[&image]);
            Bed { kubernetes, node }
        });
        bed.kubernetes.is_used_by_this_test();
        Some(bed)
    }
}

/// A namespace on that node.
pub(super) struct World {
    bed: &'static Bed,
    namespace: String,
}

impl World {
    /// A new one; none where this machine can't have a node.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let bed = Bed::shared()?;
        Some(Self { bed, namespace: bed.kubernetes.namespace(prefix) })
    }

    /// What the addresses of servers begin with: a part of the cluster's own loopback network, `127.100.2.`.
    pub(super) fn network(&self, number: u8) -> String {
        let network = self.bed.node.name().strip_suffix("1.1").unwrap();
        format!("{network}{number}.")
    }

    /// Applies the manifests under an overlay; the agent has no pods yet.
    pub(super) fn apply(&self, overlay: &Overlay<'_>) {
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests"), &folder.path().join("manifests"));
        let own = folder.path().join("overlay");
        fs::create_dir(&own).unwrap();
        for (_, name, text) in &overlay.files {
            fs::write(own.join(name), text).unwrap();
        }
        fs::write(own.join("kustomization.yaml"), self.kustomization(overlay)).unwrap();
        let kubernetes = &self.bed.kubernetes;
        self.make_disks(overlay.set.0);
        let rendered = kubernetes.kubectl(&["kustomize", own.to_str().unwrap()]);
        kubernetes.kubectl_with_input(&["apply", "--validate=strict", "-f", "-"], &rendered);
    }

    /// Everything but images, addresses, the selectors of nodes and the time between probes stays as the manifests have it.
    fn kustomization(&self, overlay: &Overlay<'_>) -> String {
        let (name, place, package, scripts) = overlay.image;
        let software = self.bed.kubernetes.folder().join(name.replace('/', "-"));
        lay_out(&software, place, package, scripts);
        let mut folders = machine();
        folders.push(("software".to_owned(), software, place.to_owned()));
        let (set, container) = overlay.set;
        let parts = ["settings", "ensemble"].iter().chain(overlay.parts).map(|part| format!("../manifests/{part}"));
        let components = ["probe", "ensemble/nodes", "cluster-name"].map(|part| format!("../manifests/{part}"));
        let config_maps = overlay
            .files
            .iter()
            .map(|(config_map, file, _)| json!({"name": config_map, "behavior": "merge", "files": [file]}));
        let images = ["kafka-toolbox", "kafka-toolbox-shell", name];
        let images = images.map(|name| json!({"name": name, "newName": "localhost/pause", "newTag": "1"}));
        let listen = format!("--listen={}:{}", self.bed.node.name(), overlay.port);
        let mut text = json!({
            "namespace": self.namespace,
            "resources": parts.collect::<Vec<_>>(),
            "components": components,
            "configMapGenerator": config_maps.collect::<Vec<_>>(),
            "images": images,
        });
        let patches = PATCHES
            .replace("SET", set)
            .replace("CONTAINER", container)
            .replace("OVERLAY", overlay.patches)
            .replace("AGENT_ENVIRONMENT", &overlay.agent.to_string())
            .replace("LISTEN", &listen)
            .replace("PORT", &overlay.port.to_string())
            .replace("MOUNTS", &mounts(&folders).to_string())
            .replace("VOLUMES", &volumes(&folders).to_string());
        for more in [named_by_namespace("ensemble"), patches] {
            let more: serde_json::Map<String, Value> = serde_saphyr::from_str(&more).unwrap();
            text.as_object_mut().unwrap().extend(more);
        }
        text.to_string()
    }

    /// A disk for each of three pods, by the names of their claims.
    fn make_disks(&self, set: &str) {
        let (kubernetes, node) = (&self.bed.kubernetes, self.bed.node.name());
        for ordinal in 0..3 {
            let name = format!("{}-{ordinal}", self.namespace);
            let path = kubernetes.folder().join(&name);
            fs::create_dir(&path).unwrap();
            let volume = json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "local": {"path": path},
                    "claimRef": {"namespace": self.namespace, "name": format!("data-{set}-{ordinal}")},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                        {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}},
                },
            });
            kubernetes.kubectl_with_input(&["apply", "-f", "-"], &volume.to_string());
        }
    }

    /// The name of the volume of a pod.
    pub(super) fn volume(&self, ordinal: usize) -> String {
        format!("{}-{ordinal}", self.namespace)
    }

    pub(super) fn kubectl(&self, words: &[&str]) -> String {
        self.bed.kubernetes.kubectl(&[&["--namespace", self.namespace.as_str()], words].concat())
    }

    /// Whether it succeeded, and all that it printed.
    pub(super) fn try_kubectl(&self, words: &[&str]) -> (bool, String) {
        self.bed.kubernetes.try_kubectl(&[&["--namespace", self.namespace.as_str()], words].concat())
    }

    pub(super) fn is_ready(&self, pod: &str) -> bool {
        self.bed.kubernetes.is_ready(&self.namespace, pod)
    }

    /// Waits until a pod is ready.
    #[track_caller]
    pub(super) fn until_ready(&self, pod: &str) {
        self.until(&format!("{pod} to be ready"), || self.is_ready(pod));
    }

    /// Waits until something is so; what pods said explains where it never is.
    #[track_caller]
    pub(super) fn until(&self, what: &str, mut check: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !check() {
            std::thread::sleep(Duration::from_millis(200));
            if begun.elapsed() < LIMIT {
                continue;
            }
            let logs = ["logs", "--all-containers", "--prefix", "--tail=15", "--max-log-requests=20", "--selector"];
            let logs = self.try_kubectl(&[&logs[..], &["app.kubernetes.io/part-of=kafka-toolbox"]].concat()).1;
            panic!("waited for {what}\n{}\n{logs}", self.try_kubectl(&["get", "pods,events"]).1);
        }
    }

    /// How the init container `prestart` of a pod ended, once it has.
    pub(super) fn prestart(&self, pod: &str) -> String {
        let reason = "jsonpath={.status.initContainerStatuses[?(@.name==\"prestart\")].state.terminated.reason}";
        self.try_kubectl(&["get", "pod", pod, "-o", reason]).1
    }

    /// Runs a program in a container of a pod; whether it succeeded, and all that it said.
    pub(super) fn exec(&self, (pod, container): (&str, &str), words: &[&str]) -> (bool, String) {
        self.try_kubectl(&[&["exec", pod, "-c", container, "--"], words].concat())
    }

    /// A file in a container of a pod.
    #[track_caller]
    pub(super) fn file(&self, of: (&str, &str), path: &str) -> String {
        let (is_read, text) = self.exec(of, &["/busybox", "cat", path]);
        assert!(is_read, "{of:?} {path}: {text}");
        text
    }

    /// Starts the agent and waits until it says of itself that passes go well.
    pub(super) fn starts_agent(&self) {
        self.kubectl(&["scale", "deployment", "ensemble", "--replicas=1"]);
        let available = "jsonpath={.status.availableReplicas}";
        self.until("the agent to be ready", || {
            self.try_kubectl(&["get", "deployment", "ensemble", "-o", available]).1 == "1"
        });
    }

    /// The document of a record.
    pub(super) fn record(&self, config_map: &str) -> Value {
        let config_map: Value =
            serde_json::from_str(&self.kubectl(&["get", "configmap", config_map, "-o", "json"])).unwrap();
        let text: Value = serde_json::from_str(config_map["data"]["record.json"].as_str().unwrap()).unwrap();
        text["document"].clone()
    }

    /// All events, as `TYPE KIND/NAME REASON NOTE`.
    pub(super) fn events(&self) -> String {
        let event = r#"{.type} {.involvedObject.kind}/{.involvedObject.name} {.reason} {.message}{"\n"}"#;
        self.kubectl(&["get", "events", "-o", &format!("jsonpath={{range .items[*]}}{event}{{end}}")])
    }

    /// How often an object has such an event.
    pub(super) fn count(&self, about: &str, reason: &str) -> usize {
        let events = self.events();
        let event = format!(" {about} {reason} ");
        events.lines().filter(|line| line.contains(&event)).count()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Its servers need not run beside other tests. The volumes go with the cluster.
        self.try_kubectl(&["delete", "statefulset,deployment", "--all", "--wait=false"]);
        self.try_kubectl(&["delete", "pods", "--all", "--grace-period=1", "--wait=false"]);
    }
}

/// Folders of this machine that containers need: name of the volume, folder, where it is in the container.
fn machine() -> Vec<(String, PathBuf, String)> {
    let same = |name: &str, path: &Path| (name.to_owned(), path.to_owned(), path.to_str().unwrap().to_owned());
    let binary = Path::new(env!("CARGO_BIN_EXE_toolbox")).parent().unwrap().to_owned();
    let mut folders = vec![("toolbox-binary".to_owned(), binary, "/toolbox".to_owned())];
    let system = ["/bin", "/lib", "/lib64", "/usr"].into_iter().filter(|path| Path::new(path).exists());
    folders.extend(system.map(|path| same(&path[1..], Path::new(path))));
    // Debian has the settings of Java under /etc, to which its folder has links.
    let home = java().unwrap().ancestors().nth(2).unwrap().join("conf/security/java.security");
    let settings = fs::canonicalize(home).unwrap().ancestors().nth(2).unwrap().to_owned();
    if settings.starts_with("/etc") {
        folders.push(same("java-settings", &settings));
    }
    folders
}

fn mounts(folders: &[(String, PathBuf, String)]) -> Value {
    folders.iter().map(|(name, _, place)| json!({"name": name, "mountPath": place, "readOnly": true})).collect()
}

/// The program comes from this build, not from an init container.
fn volumes(folders: &[(String, PathBuf, String)]) -> Value {
    let volume = |(name, folder, _): &(String, PathBuf, String)| {
        let mut volume = json!({"name": name, "hostPath": {"path": folder}});
        if name == "toolbox-binary" {
            volume["emptyDir"] = Value::Null;
        }
        volume
    };
    folders.iter().map(volume).collect()
}

/// Makes a folder of the machine what a folder of the server's image is.
fn lay_out(folder: &Path, place: &str, package: Package, scripts: &[Script]) {
    let (libs, bin) = (folder.join("libs"), folder.join("bin"));
    if libs.exists() {
        return;
    }
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir(&libs).unwrap();
    for jar in package.class_path().unwrap().split(':').map(Path::new) {
        fs::copy(jar, libs.join(jar.file_name().unwrap())).unwrap();
    }
    for Script { name, line } in scripts {
        let java = format!(
            "{} -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.net.preferIPv4Stack=true",
            java().unwrap().display()
        );
        let line = line.replace("JAVA", &java).replace("LIBS", &format!("'{place}/libs/*'"));
        fs::write(bin.join(name), format!("#!/bin/sh\nexec {line}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// One node for all pods, on its network: no claims on processors, no ports that exclude each other, and the probes often.
const PATCHES: &str = r#"patches:
- target: {kind: StatefulSet}
  patch: |
    - {op: remove, path: /spec/template/spec/affinity}
    - {op: remove, path: /spec/template/spec/containers/0/ports}
    - {op: remove, path: /spec/template/spec/containers/0/resources/requests}
    - {op: replace, path: /spec/template/spec/terminationGracePeriodSeconds, value: 5}
    - {op: replace, path: /spec/template/spec/containers/0/startupProbe/periodSeconds, value: 1}
    - {op: replace, path: /spec/template/spec/containers/0/readinessProbe/periodSeconds, value: 1}
- target: {kind: StatefulSet}
  patch: |
    apiVersion: apps/v1
    kind: StatefulSet
    metadata: {name: SET}
    spec:
      template:
        spec:
          hostNetwork: true
          initContainers:
            - {name: toolbox, command: [/busybox, "true"]}
            - {name: prestart, command: [/toolbox/toolbox], volumeMounts: MOUNTS}
          containers:
            - name: CONTAINER
              volumeMounts: MOUNTS
          volumes: VOLUMES
OVERLAY
- target: {kind: Deployment}
  patch: |
    - {op: replace, path: /spec/replicas, value: 0}
    - {op: replace, path: /spec/template/spec/containers/0/args/2, value: "LISTEN"}
    - {op: replace, path: /spec/template/spec/containers/0/ports/0/containerPort, value: PORT}
- target: {kind: Deployment}
  patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: ensemble}
    spec:
      template:
        spec:
          hostNetwork: true
          containers:
            - name: ensemble
              command: [/toolbox/toolbox]
              env: AGENT_ENVIRONMENT
              volumeMounts: MOUNTS
          volumes: VOLUMES
"#;
