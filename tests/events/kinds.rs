//! Kinds of events: the first word is a command.

use std::collections::BTreeSet;

use kafka_toolbox::cli::Cli;

use crate::reassign::bench::four_brokers;
use crate::support::desk::Desk;
use crate::support::toolbox::audited;

#[tokio::test]
async fn every_kind_begins_with_the_command_that_it_belongs_to() {
    let desk = Desk::new(four_brokers(true).copying(u64::MAX));
    desk.declare(&["{name: fresh, partitions: 1, replicationFactor: 2}", "{name: orders, replicationFactor: 3}"]);
    desk.apply(&["--max-risk", "moves-data"]).await;
    desk.declare(&["{name: orders, partitions: 1}"]);
    desk.apply(&[]).await;
    desk.kafka.edit(|cluster| cluster.stop_broker(2));
    desk.run(&["reassign", "elect", "--all", "--yes"]).await;
    desk.run(&["reassign", "pause"]).await;
    desk.run(&["topics", "apply", "--yes", "-f", "/nowhere.yaml"]).await;
    let commands: BTreeSet<_> = Cli::definition().get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let kinds: BTreeSet<_> = audited(&desk.folder().join("state")).into_iter().map(|event| event.kind).collect();
    let is_known = |kind: &&String| {
        let first = kind.split('.').next().unwrap_or_default();
        commands.contains(first) || *kind == "command.executed"
    };
    assert_eq!(kinds.iter().filter(|kind| !is_known(kind)).collect::<Vec<_>>(), Vec::<&String>::new());
    for kind in [
        "reassign.execute.completed",
        "reassign.move_started",
        "reassign.paused",
        "reassign.refused",
        "topics.apply.completed",
        "topics.apply.failed",
        "topics.created",
        "topics.moves_planned",
        "topics.refused",
    ] {
        assert!(kinds.contains(kind), "{kind}: {kinds:#?}");
    }
}
