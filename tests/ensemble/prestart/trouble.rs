//! An API server in trouble: slow, with 409, 429, 500 and 503, answers that are lost. One entry, and an end within limits.

use std::time::Duration;

use crate::identity::scripted::{Fault, Server};
use crate::support::toolbox::{Ran, Toolbox};

const DOCUMENT: &str = "toolbox-ensemble-main";

/// The read before the write that a script is about.
const READ: Fault = Fault::Late(Duration::ZERO);

struct Pods {
    toolbox: Toolbox,
    disks: tempfile::TempDir,
}

impl Pods {
    fn new(server: &Server) -> Self {
        let toolbox = super::named();
        let kubeconfig = toolbox.file("kubeconfig", &server.kubeconfig());
        Self { toolbox: toolbox.with("TOOLBOX_KUBECONFIG", &kubeconfig), disks: tempfile::tempdir().unwrap() }
    }

    fn prestart(&self, ordinal: usize, more: &[&str]) -> Ran {
        let pod = format!("zookeeper-{ordinal}");
        let disk = self.disks.path().join(&pod);
        std::fs::create_dir_all(&disk).unwrap();
        let line = format!("127.0.0.1:1{ordinal}1:1{ordinal}2;127.0.0.1:1{ordinal}3");
        let own =
            ["ensemble", "prestart", "zookeeper", "--yes", "--cluster", "main", "--size", "15", "--pod-name", &pod];
        let flags = ["--data-dir", disk.to_str().unwrap(), "--server-line", &line, "--state", "kubernetes"];
        self.toolbox.run(&[&own[..], &flags, &["--timeout", "1s"], more].concat())
    }
}

#[test]
fn whatever_the_api_server_answers_at_first_each_pod_gets_one_entry_in_the_end() {
    let server = Server::start();
    let pods = Pods::new(&server);
    let late = Fault::Late(Duration::from_secs(2));
    // A document that is not there is looked for under other names, too: a second read.
    let (refused, busy) = (Fault::Status(500), Fault::Status(429));
    server.script(&[refused, Fault::Status(503), busy, READ, READ, Fault::DoneAnd(500)]);
    let ran = pods.prestart(0, &[]).ends_with(0);
    assert!(ran.took < Duration::from_mins(1), "{ran:#?}");
    let scripts: [&[Fault]; 4] = [
        &[READ, Fault::Status(409), Fault::Status(429)],
        &[READ, Fault::DoneAnd(504), Fault::Status(500)],
        &[late],
        &[READ, late],
    ];
    for (number, script) in (1..).zip(scripts) {
        server.script(script);
        // The first server does not run: the entry is made, and then the others are waited for.
        let ran = pods.prestart(number, &["--within", "3s"]).ends_with(5);
        assert!(ran.took < Duration::from_secs(40), "{script:?}: {ran:#?}");
        let members = server.document(DOCUMENT)["members"].clone();
        assert_eq!(members.as_object().unwrap().len(), 1 + number, "{script:?}: {members}");
        assert_eq!(members[(number + 1).to_string()]["pod"], format!("zookeeper-{number}"));
    }
}

#[test]
fn an_api_server_that_stays_in_trouble_ends_the_run_within_its_limit_and_nothing_is_written() {
    let server = Server::start();
    let pods = Pods::new(&server);
    // Errors, and then silence: a single call alone would wait for longer than the whole run may.
    for fault in [Fault::Status(500), Fault::Status(429), Fault::Late(Duration::from_mins(5))] {
        server.script(&vec![fault; 1_000]);
        let failed = pods.prestart(0, &["--within", "2s"]).ends_with(1);
        assert!(failed.took < Duration::from_secs(8), "{fault:?}: {failed:#?}");
        assert!(failed.err.contains("failed to read ConfigMap kafka/toolbox-ensemble-main"), "{failed:#?}");
    }
    assert!(!pods.disks.path().join("zookeeper-0/conf").exists());
}

#[test]
fn an_init_container_of_zookeeper_does_not_wait_for_datadog() {
    let server = Server::start();
    let pods = Pods::new(&server);
    // Nobody answers there: connections are taken and hang.
    let hole = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", hole.local_addr().unwrap());
    let ran = pods.prestart(0, &["--datadog-url", &url, "--events-to", "datadog"]).ends_with(0);
    assert!(ran.took < Duration::from_secs(8), "it does not wait the 10 s: {ran:#?}");
}
