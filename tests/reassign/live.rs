//! `reassign` on real clusters: small data, each way of moving, all that the twin can't know.

use crate::live::kafka::records::{digest, fill};
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::reassign::bench::plan;
use crate::support::toolbox::{Ran, Toolbox};

const KINDS: [Kind; 3] = [Kind::Kafka39Zookeeper, Kind::Kafka39Kraft, Kind::Kafka43Kraft];

/// A topic with its replicas, made by `topics apply`'s own door: through Kafka's tool.
pub(crate) fn create(cluster: &Cluster, topic: &str, assignment: &str) {
    let arguments =
        ["--bootstrap-server", &cluster.bootstrap(), "--create", "--topic", topic, "--replica-assignment", assignment];
    cluster.tool("org.apache.kafka.tools.TopicCommand", &arguments).unwrap();
}

fn execute(toolbox: &Toolbox, file: &str, more: &[&str]) -> Ran {
    let line = ["reassign", "execute", file, "--yes", "--max-risk", "moves-data"];
    toolbox.run(&[&line[..], more].concat())
}

#[test]
fn partitions_move_verified_with_every_record() {
    for kind in KINDS {
        let cluster = Cluster::start(kind, &Shape::racks(&["a", "b", "c"])).unwrap();
        create(&cluster, "orders", "1:2,2:1");
        fill(&cluster, "orders", 20_000, 1_000).unwrap();
        let before = digest(&cluster, "orders").unwrap();
        let toolbox = Toolbox::new(&cluster.bootstrap());
        let rows: [crate::reassign::bench::Row<'_>; 2] =
            [("orders", 0, &[1, 2], &[3, 2], 10_000_000), ("orders", 1, &[2, 1], &[1, 3, 2], 10_000_000)];
        let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
        let ran = execute(&toolbox, &file, &["--throttle", "20MB/s"]).ends_with(0);
        assert!(ran.out.ends_with("2 of 2 partitions are as planned\n"), "{}: {ran:#?}", kind.name());
        toolbox.run(&["reassign", "verify"]).ends_with(0);
        assert_eq!(digest(&cluster, "orders").unwrap(), before, "{}", kind.name());
        for (id, outcomes) in toolbox.outcomes() {
            assert_eq!(outcomes.len(), 1, "side effect {id}: {outcomes:#?}");
        }
    }
}
