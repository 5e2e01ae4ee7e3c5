//! `ensemble status` of real servers.

use crate::live::kafka::{Cluster, Kind};
use crate::support::toolbox::Toolbox;

fn page(out: &str) -> serde_json::Value {
    serde_json::from_str(out).unwrap()
}

#[test]
fn the_quorum_of_a_kraft_cluster_is_shown_by_way_of_a_broker() {
    for kind in [Kind::Kafka39Kraft, Kind::Kafka43Kraft] {
        let cluster = Cluster::shared(kind);
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let ran = toolbox.run(&["ensemble", "status", "-o", "json"]);
        let page = page(&ran.out);
        let voters = page["tolerance"]["voters"].as_u64().unwrap();
        assert_eq!(page["tolerance"]["live"], voters, "{}: {ran:#?}", kind.name());
        assert!(page["leader"].is_i64() && page["highWatermark"].as_i64() > Some(0), "{ran:#?}");
        let rows = page["replicas"].as_array().unwrap();
        let leads = |row: &&serde_json::Value| row["role"] == "leader";
        assert_eq!(rows.iter().filter(leads).count(), 1, "{ran:#?}");
        assert!(rows.iter().all(|row| row["caughtUp"] == true), "{ran:#?}");
        let table = toolbox.run(&["ensemble", "status", "-o", "wide"]);
        assert!(table.out.contains(" leads, epoch ") && table.out.contains("DIRECTORY"), "{}", table.out);
        assert_eq!(table.code, ran.code);
    }
}

#[test]
fn a_cluster_in_zookeeper_mode_is_asked_for_its_ensemble_and_one_server_alone_is_unsafe() {
    let cluster = Cluster::shared(Kind::Kafka39Zookeeper);
    let ran = Toolbox::new(&cluster.bootstrap()).run(&["ensemble", "status"]).ends_with(2);
    assert!(ran.err.contains("give --zookeeper HOST:PORT"), "{}", ran.err);
    let ran = super::status(&Toolbox::alone(), &cluster.zookeeper(), &["-o", "json"]).ends_with(5);
    let page = page(&ran.out);
    assert_eq!(page["servers"][0]["answer"]["mode"], "standalone", "{ran:#?}");
}
