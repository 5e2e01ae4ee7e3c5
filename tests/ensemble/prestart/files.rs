//! Files and the document, without any server.

use std::io::{Read, Write};

use serde_json::Value;

use crate::support::toolbox::{Ran, Toolbox};

const LINE: &str = "127.0.0.1:1:2;127.0.0.1:3";

/// A disk of a server.
struct Pod {
    toolbox: Toolbox,
    disk: tempfile::TempDir,
}

impl Pod {
    fn new() -> Self {
        Self { toolbox: super::named(), disk: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.disk.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn prestart(&self, more: &[&str]) -> Ran {
        let data = self.disk.path().to_str().unwrap();
        let own = ["ensemble", "prestart", "zookeeper", "--cluster", "main", "--data-dir", data, "--server-line", LINE];
        self.toolbox.run(&[&own[..], &["--within", "1s"], more].concat())
    }
}

#[test]
fn the_first_server_writes_all_files_and_a_second_run_changes_no_byte() {
    let pod = Pod::new();
    let own = pod.toolbox.file("own.cfg", "autopurge.purgeInterval=1\nssl.keyStore.password=secret-of-test\n");
    let first = ["--yes", "--size", "3", "--pod-name", "zookeeper-0", "--zoo-cfg", &own];
    let rehearsed = pod.prestart(&["--dry-run", "--size", "3", "--pod-name", "zookeeper-0"]).ends_with(3);
    assert!(rehearsed.out.contains("a new ensemble of 3 voters") && !pod.path("conf").exists(), "{rehearsed:#?}");
    let ran = pod.prestart(&first).ends_with(0);
    assert!(!ran.out.contains("secret-of-test"), "{ran:#?}");
    let data = pod.disk.path().display();
    assert_eq!(
        pod.read("conf/zoo.cfg").lines().skip(1).collect::<Vec<_>>(),
        [
            "tickTime=2000",
            "initLimit=10",
            "syncLimit=5",
            "autopurge.purgeInterval=1",
            "ssl.keyStore.password=secret-of-test",
            &format!("dataDir={data}"),
            "standaloneEnabled=false",
            "reconfigEnabled=true",
            "db.autocreate=false",
            "4lw.commands.whitelist=srvr,conf,mntr",
            &format!("dynamicConfigFile={data}/conf/zoo.cfg.dynamic"),
        ]
    );
    assert_eq!(pod.read("conf/zoo.cfg.dynamic"), "server.1=127.0.0.1:1:2:participant;127.0.0.1:3\n");
    assert_eq!((pod.read("myid"), pod.read("initialize")), ("1\n".to_owned(), String::new()));
    let marker: Value = serde_json::from_str(&pod.read(".member")).unwrap();
    assert_eq!(marker["id"], 1);

    let names = ["conf/zoo.cfg", "conf/zoo.cfg.dynamic", "myid", ".member"];
    let before = names.map(|name| pod.read(name));
    assert_eq!(pod.prestart(&first).ends_with(0).lines(), ["nothing to do"]);
    assert_eq!(names.map(|name| pod.read(name)), before);
    assert!(pod.toolbox.audit().iter().any(|event| event.kind == "ensemble.recorded"));
    assert!(pod.toolbox.audit().iter().all(|event| !format!("{event:?}").contains("secret-of-test")));
}

#[test]
fn nobody_begins_an_ensemble_over_data_or_in_the_place_of_another() {
    let pod = Pod::new();
    let refused = pod.prestart(&["--yes", "--id", "1"]).ends_with(4);
    assert!(refused.out.contains("E_NOT_ADOPTED") && refused.out.contains("--size"), "{refused:#?}");
    let waits = pod.prestart(&["--yes", "--size", "3", "--pod-name", "zookeeper-1"]).ends_with(5);
    assert!(waits.err.contains("the pod with ordinal 0 begins the ensemble"), "{waits:#?}");
    let waits = pod.prestart(&["--yes", "--size", "3", "--id", "1"]).ends_with(5);
    assert!(waits.err.contains("nobody has begun the ensemble") && waits.err.contains("--begin"), "{waits:#?}");
    pod.prestart(&["--yes", "--begin", "--id", "1"]).ends_with(2);
    std::fs::create_dir(pod.path("version-2")).unwrap();
    std::fs::write(pod.path("version-2/snapshot.0"), "").unwrap();
    let refused = pod.prestart(&["--yes", "--size", "3", "--id", "1"]).ends_with(4);
    assert!(refused.out.contains("E_NOT_ADOPTED") && refused.out.contains("the disk is not empty"), "{refused:#?}");
    assert!(!pod.path("conf").exists() && !pod.path("myid").exists());
}

#[test]
fn a_fourth_server_of_three_is_not_let_in_and_a_pod_keeps_its_id() {
    let pod = Pod::new();
    pod.prestart(&["--yes", "--size", "1", "--dev", "--pod-name", "zookeeper-0"]).ends_with(0);
    let other = tempfile::tempdir().unwrap();
    let data = other.path().to_str().unwrap();
    let run = |more: &[&str]| {
        let own = ["ensemble", "prestart", "zookeeper", "--yes", "--cluster", "main", "--data-dir", data];
        pod.toolbox.run(&[&own[..], &["--within", "1s", "--server-line", "127.0.0.1:4:5;127.0.0.1:6"], more].concat())
    };
    let refused = run(&["--pod-name", "zookeeper-1"]).ends_with(4);
    assert!(refused.out.contains("E_UNSAFE_SIZE: the ensemble should have 1 voters"), "{refused:#?}");
    let refused = run(&["--pod-name", "zookeeper-1", "--id", "1"]).ends_with(4);
    assert!(refused.out.contains("E_ID_CONFLICT: the document has id 1 for pod zookeeper-0"), "{refused:#?}");
    let wrong = run(&["--size", "2", "--id", "2"]).ends_with(2);
    assert!(wrong.err.contains("an even number survives no more"), "{wrong:#?}");
    let wrong = run(&[]).ends_with(2);
    assert!(wrong.err.contains("which server is this?"), "{wrong:#?}");
}

#[test]
fn a_folder_that_is_not_mounted_and_a_name_that_is_unknown_are_no_new_ensemble() {
    let pod = Pod::new();
    let own =
        ["ensemble", "prestart", "zookeeper", "--yes", "--cluster", "main", "--size", "3", "--id", "1", "--begin"];
    let run = |more: &[&str]| pod.toolbox.run(&[&own[..], &["--within", "1s"], more].concat());
    let refused = run(&["--data-dir", "/nonexistent/data", "--server-line", LINE]).ends_with(4);
    assert!(refused.out.contains("E_DISK_IO") && refused.out.contains("is the volume mounted?"), "{refused:#?}");
    let data = pod.disk.path().to_str().unwrap();
    let waits = run(&["--data-dir", data, "--server-line", "zk-0.invalid:1:2;3"]).ends_with(5);
    assert!(waits.err.contains("the name of server 1 does not resolve yet"), "{waits:#?}");
    assert!(!pod.path("conf").exists(), "nothing is written before the name is known");
}

#[test]
fn without_a_document_no_ensemble_is_begun_beside_another_pod_that_answers() {
    let listener = std::net::TcpListener::bind("127.0.0.11:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut word = [0; 4];
            if stream.read_exact(&mut word).is_ok() {
                drop(stream.write_all(b"This ZooKeeper instance is not currently serving requests\n"));
            }
        }
    });
    let pod = Pod::new();
    let (data, line) = (pod.disk.path().to_str().unwrap(), format!("127.0.0.1{{ordinal}}:1:2;{port}"));
    let own = ["ensemble", "prestart", "zookeeper", "--yes", "--cluster", "main", "--size", "3", "--within", "1s"];
    let more = ["--pod-name", "zookeeper-0", "--data-dir", data, "--server-line", &line];
    let refused = pod.toolbox.run(&[&own[..], &more].concat()).ends_with(4);
    assert!(refused.out.contains("E_NOT_ADOPTED") && refused.out.contains("answers"), "{refused:#?}");
    assert!(!pod.path("conf").exists());
}
