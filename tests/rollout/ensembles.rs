//! `rollout run --kind server` and `ensemble apply` exclude each other, whatever name each of them has for the ensemble; and so do
//! changes of an ensemble and rolls of the brokers whose cluster it serves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::clients::zookeeper::live::Live;
use kafka_toolbox::clients::zookeeper::settings::{Given, Settings};
use kafka_toolbox::clients::zookeeper::{Creation, Mode, ZooKeeper};
use kafka_toolbox::exit::Exit;
use kafka_toolbox::state::identity::{ClusterRef, Identity, Purpose};
use kafka_toolbox::state::lock::file::{Holder, take};

use crate::live::zookeeper::{Ensemble, Shape};
use crate::support::desk::{Desk, Said};
use crate::support::toolbox::{Ran, Toolbox};

/// Longest wait for a command of a roll to begin.
const LIMIT: Duration = Duration::from_mins(1);

/// A real ensemble of three servers, adopted as `one`; and a Kafka cluster in memory.
struct Bed {
    servers: Ensemble,
    desk: Desk,
}

impl Bed {
    fn start() -> Self {
        let servers = Ensemble::start(&Shape::of(3)).unwrap();
        servers.await_leader(&[1, 2, 3]).unwrap();
        let bed = Self { servers, desk: Desk::new(Memory::zookeeper(3)) };
        let adopted = bed.toolbox().run(&["ensemble", "adopt", "--yes", "--ensemble", "one"]);
        adopted.ends_with(0);
        bed
    }

    fn state(&self) -> PathBuf {
        self.desk.folder().join("state")
    }

    /// A process of its own that keeps its state in the same place.
    fn toolbox(&self) -> Toolbox {
        Toolbox::alone()
            .with("TOOLBOX_STATE_FOLDER", self.state().to_str().unwrap())
            .with("TOOLBOX_ZOOKEEPER", &self.servers.addresses(&[1, 2, 3]))
    }

    fn apply(&self) -> Ran {
        apply(&self.toolbox())
    }

    /// The id of the ensemble, as its record has it.
    fn id(&self) -> String {
        let text = std::fs::read_to_string(self.state().join("records/ensemble-one.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        record["document"]["ensembleId"].as_str().unwrap().to_owned()
    }

    fn cluster_id(&self) -> String {
        self.desk.kafka.look(|model| model.cluster_id.clone())
    }

    /// Says which Kafka cluster the ensemble serves.
    async fn serves(&self, id: &str) {
        let addresses = self.servers.addresses(&[1]);
        let given = Given { zookeeper: &addresses, timeout: Some(Duration::from_secs(20)), ..Given::default() };
        let session = Live::connect(Settings::load(None, given).unwrap()).await.unwrap();
        let (data, open) = (format!(r#"{{"version":"1","id":"{id}"}}"#), Creation::open(Mode::Persistent));
        if session.stat("/cluster/id").await.unwrap().is_none() {
            session.create("/cluster", b"", &open).await.unwrap();
            session.create("/cluster/id", data.as_bytes(), &open).await.unwrap();
        } else {
            session.set("/cluster/id", data.as_bytes(), None).await.unwrap();
        }
        session.close().await.unwrap();
    }

    /// Rolls server 2; a command waits for the file `go` and notes itself in `ran`.
    async fn roll(&self) -> Said {
        let (ran, go) = (self.desk.folder().join("ran"), self.desk.folder().join("go"));
        let (ran, go) = (ran.display(), go.display());
        let stop = format!("echo stop {{id}} >> {ran}; while [ ! -e {go} ]; do sleep 0.05; done");
        let start = format!("echo start {{id}} >> {ran}");
        let addresses = self.servers.addresses(&[1, 2, 3]);
        let line = ["rollout", "run", "--yes", "--kind", "server", "--ids", "2", "--zookeeper", &addresses];
        let commands = ["--stop-cmd", &stop, "--start-cmd", &start, "--apart", "1ms", "--every", "10ms"];
        self.desk.run(&[&line[..], &commands].concat()).await
    }

    /// What the commands of a roll were run for.
    fn ran(&self) -> Vec<String> {
        noted(&self.desk.folder().join("ran"))
    }
}

fn apply(toolbox: &Toolbox) -> Ran {
    toolbox.run(&["ensemble", "apply", "--once", "--yes", "--ensemble", "one"])
}

fn noted(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Another run.
fn holder(command: &str) -> Holder {
    Holder {
        pid: std::process::id(),
        host: "elsewhere".to_owned(),
        since: jiff::Timestamp::UNIX_EPOCH,
        run_id: uuid::Uuid::nil(),
        command: command.to_owned(),
        member_id: None,
    }
}

/// The lock of a Kafka cluster, by another name than anybody else has for it.
fn of_cluster(id: &str) -> Identity {
    let cluster = ClusterRef { id: id.to_owned(), name: Some("payments".to_owned()) };
    Identity { purpose: Purpose::Disruption, cluster, owner: None }
}

#[tokio::test]
async fn a_roll_of_servers_and_a_change_of_their_ensemble_exclude_each_other_whatever_their_names() {
    let bed = Bed::start();
    let (state, id, cluster_id) = (bed.state(), bed.id(), bed.cluster_id());

    // Somebody changes the ensemble, and has another name for it.
    let change = take(&state, &Identity::of_ensemble_lock(&id, "other"), holder("ensemble apply")).unwrap();
    let refused = bed.roll().await.ends_with(Exit::Refused);
    let words =
        ["another run works on the restarts and membership changes", "on elsewhere (`toolbox ensemble apply`) holds"];
    assert!(words.iter().all(|words| refused.err.contains(words)), "{refused:#?}");
    drop(change);

    // Somebody rolls the brokers of the cluster that the ensemble serves.
    bed.serves(&cluster_id).await;
    let brokers = take(&state, &of_cluster(&cluster_id), holder("rollout run")).unwrap();
    let refused = bed.apply().ends_with(4);
    assert!(refused.err.contains("on elsewhere (`toolbox rollout run`) holds"), "{refused:#?}");
    let refused = bed.roll().await.ends_with(Exit::Refused);
    assert!(refused.err.contains("on elsewhere (`toolbox rollout run`) holds"), "{refused:#?}");
    drop(brokers);

    // The cluster that was named is not the one whose brokers need the ensemble.
    bed.serves("another").await;
    let refused = bed.roll().await.ends_with(Exit::Refused);
    let words = format!("this ensemble serves the Kafka cluster another, but {cluster_id} is expected");
    assert!(refused.err.contains(&words), "{refused:#?}");
    assert_eq!(bed.ran(), [""; 0], "nothing was stopped so far");

    // The other way round: while a server is out, nobody changes the ensemble, or rolls the brokers.
    bed.serves(&cluster_id).await;
    let toolbox = bed.toolbox();
    let meanwhile = async {
        let begun = std::time::Instant::now();
        while bed.ran().is_empty() {
            assert!(begun.elapsed() < LIMIT, "the roll does not begin");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let brokers = take(&state, &of_cluster(&cluster_id), holder("rollout run"));
        let refused = tokio::task::spawn_blocking(move || apply(&toolbox)).await.unwrap();
        std::fs::write(bed.desk.folder().join("go"), "").unwrap();
        (refused, brokers)
    };
    let (rolled, (refused, brokers)) = tokio::join!(bed.roll(), meanwhile);
    let rolled = rolled.ends_with(Exit::Done);
    assert!(refused.code == Some(4) && refused.err.contains("(`toolbox rollout run`) holds"), "{refused:#?}");
    let brokers = brokers.unwrap_err().to_string();
    assert!(brokers.contains("(`toolbox rollout run`) holds"), "{brokers}");
    assert_eq!(bed.ran(), ["stop 2", "start 2"], "{rolled:#?}");
    bed.apply().ends_with(0);
}
