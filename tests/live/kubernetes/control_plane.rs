//! A real Kubernetes control plane on loopback: etcd, API server, controllers, scheduler. Ready in four seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use super::address::{Network, api_port};
use super::certificates::Authority;
use super::program::kube;
use super::supervisor::{Supervisor, run, used_by_this_test, wait_until};

/// Longest wait for a server to be ready.
const READY_MAX: Duration = Duration::from_mins(1);
/// Longest wait for one kubectl.
const KUBECTL_MAX: Duration = Duration::from_mins(2);

/// A running control plane. It ends when the value is dropped, or with the test process.
pub(crate) struct ControlPlane {
    supervisor: Mutex<Supervisor>,
    folder: PathBuf,
    authority: Authority,
    network: Network,
}

impl ControlPlane {
    /// Starts one that only the caller uses.
    pub(crate) fn start() -> Self {
        let supervisor = Supervisor::new("kubernetes");
        let folder = supervisor.folder().to_owned();
        used_by_this_test(&folder);
        let authority = Authority::new(&folder.join("pki"));
        let this = Self { supervisor: Mutex::new(supervisor), folder, authority, network: Network::free() };
        this.write_certificates();
        this.start_etcd();
        this.start_api();
        this.start_controllers();
        this
    }

    /// One that all tests share: each test makes a namespace of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        let shared = SHARED.get_or_init(Self::start);
        shared.is_used_by_this_test();
        shared
    }

    /// Should this thread's test fail, the logs stay and are named.
    pub(crate) fn is_used_by_this_test(&self) {
        used_by_this_test(&self.folder);
    }

    /// Where the API server answers, as `https://HOST:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("https://{}:{}", self.network.control_plane(), api_port())
    }

    /// A kubeconfig that may do everything.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.conf")
    }

    /// A kubeconfig that may do what the ServiceAccount may.
    pub(crate) fn kubeconfig_of(&self, namespace: &str, service_account: &str) -> PathBuf {
        let token = self.token_of(namespace, service_account);
        let path = self.folder.join(format!("{namespace}-{service_account}.conf"));
        self.write_kubeconfig(&path, &format!("{{token: {token}}}"), namespace);
        path
    }

    /// A token with which a caller is that ServiceAccount, for an hour.
    pub(crate) fn token_of(&self, namespace: &str, service_account: &str) -> String {
        self.kubectl(&["create", "token", "--namespace", namespace, service_account]).trim().to_owned()
    }

    /// A new namespace in which ServiceAccounts work.
    pub(crate) fn namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{}", &uuid::Uuid::now_v7().simple().to_string()[22..]);
        self.kubectl(&["create", "namespace", &name]);
        wait_until("a default ServiceAccount", READY_MAX, || {
            self.try_kubectl(&["get", "serviceaccount", "default", "--namespace", &name]).0
        });
        name
    }

    /// Runs kubectl as admin; returns what it printed, and fails with its error.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.kubectl_with_input(arguments, "")
    }

    /// The same, with what it reads from `-f -`.
    pub(crate) fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> String {
        let output = self.kubectl_as(&self.admin_kubeconfig(), arguments, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {}\n{error}", arguments.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs kubectl as admin; returns whether it succeeded, and all that it printed.
    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.kubectl_as(&self.admin_kubeconfig(), arguments, "");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether a pod is ready, as its kubelet says.
    pub(crate) fn is_ready(&self, namespace: &str, pod: &str) -> bool {
        let status = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
        self.try_kubectl(&["--namespace", namespace, "get", "pod", pod, "-o", status]).1 == "True"
    }

    /// Runs kubectl as whoever the kubeconfig names.
    pub(crate) fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(kube());
        command.arg("kubectl").arg("--kubeconfig").arg(kubeconfig).args(arguments);
        // Its caches of discovery stay in the cluster's folder.
        command.env("KUBECACHEDIR", self.folder.join("kubectl")).env_remove("KUBECONFIG");
        run(&mut command, input, KUBECTL_MAX)
    }

    /// Kills the API server, as a crash would. Everything else goes on.
    pub(crate) fn stop_api(&self) {
        self.supervisor().kill("kube-apiserver");
    }

    /// Starts the API server and waits until it answers.
    pub(crate) fn start_api(&self) {
        let (address, port) = (self.network.control_plane(), api_port());
        let pki = |file: &str| self.authority.path(file);
        let flags = [
            format!("--etcd-servers=http://{address}:2379"),
            format!("--bind-address={address}"),
            format!("--advertise-address={address}"),
            format!("--secure-port={port}"),
            // Endpoints refuse loopback addresses, so the server's own Service has none.
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--service-cluster-ip-range={}", self.network.services()),
            format!("--tls-cert-file={}", pki("kube-apiserver.crt")),
            format!("--tls-private-key-file={}", pki("kube-apiserver.key")),
            format!("--client-ca-file={}", pki("ca.crt")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", pki("sa.pub")),
            format!("--service-account-signing-key-file={}", pki("sa.key")),
            "--authorization-mode=Node,RBAC".to_owned(),
            format!("--kubelet-client-certificate={}", pki("kubelet-client.crt")),
            format!("--kubelet-client-key={}", pki("kubelet-client.key")),
            format!("--kubelet-certificate-authority={}", pki("ca.crt")),
            "--kubelet-preferred-address-types=Hostname".to_owned(),
            "--profiling=false".to_owned(),
        ];
        self.start_part("kube-apiserver", &flags);
        let is_ready = || self.try_kubectl(&["get", "--raw", "/readyz"]).0.then_some(());
        self.supervisor().wait_for("kube-apiserver", READY_MAX, is_ready);
    }

    pub(super) fn supervisor(&self) -> MutexGuard<'_, Supervisor> {
        // A test that failed with the lock in its hand is no reason for the others to fail.
        self.supervisor.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// Where everything of this cluster is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A kubeconfig for a client certificate of this authority.
    pub(super) fn write_client(&self, file: &str, name: &str, group: Option<&str>) {
        self.authority.client(file, name, group);
        let user = format!(
            "{{client-certificate: {}, client-key: {}}}",
            self.authority.path(&format!("{file}.crt")),
            self.authority.path(&format!("{file}.key"))
        );
        self.write_kubeconfig(&self.folder.join(format!("{file}.conf")), &user, "default");
    }

    fn write_kubeconfig(&self, path: &Path, user: &str, namespace: &str) {
        let (url, ca) = (self.url(), self.authority.path("ca.crt"));
        let text = format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: live, cluster: {{server: \"{url}\", certificate-authority: {ca}}}}}]\n\
             users: [{{name: user, user: {user}}}]\n\
             contexts: [{{name: live, context: {{cluster: live, user: user, namespace: {namespace}}}}}]\n\
             current-context: live\n"
        );
        fs::write(path, text).unwrap();
    }

    fn write_certificates(&self) {
        let names = [&self.network.control_plane(), "localhost", "kubernetes.default.svc"];
        self.authority.server("kube-apiserver", "kube-apiserver", &names);
        self.authority.client("kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters"));
        self.write_client("admin", "admin", Some("system:masters"));
        self.write_client("kube-controller-manager", "system:kube-controller-manager", None);
        self.write_client("kube-scheduler", "system:kube-scheduler", None);
    }

    fn start_etcd(&self) {
        let address = self.network.control_plane();
        let flags = [
            "--name=etcd".to_owned(),
            format!("--data-dir={}", self.folder.join("etcd").display()),
            "--unsafe-no-fsync".to_owned(),
            format!("--listen-client-urls=http://{address}:2379"),
            format!("--advertise-client-urls=http://{address}:2379"),
            format!("--listen-peer-urls=http://{address}:2380"),
            format!("--initial-advertise-peer-urls=http://{address}:2380"),
            format!("--initial-cluster=etcd=http://{address}:2380"),
            "--log-level=warn".to_owned(),
        ];
        self.start_part("etcd", &flags);
    }

    fn start_controllers(&self) {
        let pki = |file: &str| self.authority.path(file);
        let mut flags = self.client_flags("kube-controller-manager", 10257);
        flags.extend([
            "--use-service-account-credentials=true".to_owned(),
            format!("--service-account-private-key-file={}", pki("sa.key")),
            format!("--root-ca-file={}", pki("ca.crt")),
            format!("--cluster-signing-cert-file={}", pki("ca.crt")),
            format!("--cluster-signing-key-file={}", pki("ca.key")),
        ]);
        self.start_part("kube-controller-manager", &flags);
        self.start_part("kube-scheduler", &self.client_flags("kube-scheduler", 10259));
        // The first ServiceAccount shows that the controllers run.
        let has_account = || self.try_kubectl(&["get", "serviceaccount", "default"]).0.then_some(());
        self.supervisor().wait_for("kube-controller-manager", READY_MAX, has_account);
    }

    /// Flags of a part that is a client of the API server.
    fn client_flags(&self, part: &str, secure_port: u16) -> Vec<String> {
        let kubeconfig = self.folder.join(format!("{part}.conf"));
        let kubeconfig = kubeconfig.display();
        vec![
            format!("--kubeconfig={kubeconfig}"),
            format!("--authentication-kubeconfig={kubeconfig}"),
            format!("--authorization-kubeconfig={kubeconfig}"),
            format!("--bind-address={}", self.network.control_plane()),
            format!("--secure-port={secure_port}"),
            format!("--cert-dir={}", self.folder.join(part).display()),
            "--leader-elect=false".to_owned(),
            // Its own default of 20 requests a second makes a start take twice as long.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
        ]
    }

    fn start_part(&self, part: &str, flags: &[String]) {
        let program = kube().to_str().unwrap();
        let command: Vec<_> = [program, part].into_iter().chain(flags.iter().map(String::as_str)).collect();
        self.supervisor().start(part, &command);
    }
}
