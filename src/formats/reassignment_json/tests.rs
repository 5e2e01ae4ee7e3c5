//! Files of moves: what is read, what is refused, and where.

use super::*;

fn source(text: &str) -> Source {
    Source::new("moves.json", text)
}

fn faults(text: &str) -> String {
    read(&source(text)).unwrap_err().to_string()
}

#[test]
fn kafkas_own_file_is_read_and_written() {
    let text = "{\"version\":1,\"partitions\":[{\"topic\":\"a.b\",\"partition\":0,\"replicas\":[3,1]},\
                {\"topic\":\"a.b\",\"partition\":1,\"replicas\":[2]}]}\n";
    let read = read(&source(text)).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].0.to_string(), "a.b-0");
    assert_eq!(read[0].1, [BrokerId(3), BrokerId(1)]);
    assert_eq!(write(read.iter().map(|(at, replicas)| (at, &replicas[..]))).unwrap(), text);
}

#[test]
fn what_kafkas_tools_print_with_log_dirs_is_read() {
    let text = r#"{"partitions":[{"topic":"a","partition":0,"replicas":[1,2],"log_dirs":["any","any"]}],"version":1}"#;
    assert_eq!(read(&source(text)).unwrap()[0].1.len(), 2);
    let text = text.replacen("any", "/data/2", 1);
    assert!(faults(&text).contains("moves.json:1:16: `log_dirs` names /data/2"), "{}", faults(&text));
}

#[test]
fn every_wrong_entry_is_named_with_its_place() {
    let text = "{\"version\": 1, \"partitions\": [\n  {\"topic\": \"a\", \"partition\": 0, \"replicas\": [1, 1]},\n  \
                {\"topic\": \"a\", \"partition\": 0, \"replicas\": []},\n  {\"topic\": \"[{\\\"\", \"partition\": 0, \"replicas\": [1]},\n  \
                {\"topic\": \"a\", \"partition\": -1, \"replicas\": [-1]},\n  {\"topic\": \"b\", \"partition\": 3, \"replicas\": [1],\n   \
                \"log_dirs\": [\"any\", \"any\"]}\n]}";
    let found = faults(text);
    let lines: Vec<_> = found.lines().collect();
    assert_eq!(
        lines,
        [
            "moves.json:2:3: `replicas` has broker 1 twice",
            "moves.json:3:3: a-0 is listed twice: it is entry 1, too",
            "moves.json:3:3: `replicas` is empty: a partition has at least one replica",
            "moves.json:4:3: `[{\"` has the character '['; a topic's name may have only a-z A-Z 0-9 . _ -",
            "moves.json:5:3: a has no partition -1: they are counted from 0",
            "moves.json:5:3: `replicas` has -1, which is no broker id",
            "moves.json:6:3: `log_dirs` has 2 entries for 1 replicas",
        ]
    );
}

#[test]
fn what_is_no_such_file_is_refused_at_its_place() {
    let cases = [
        ("{\"partitions\":[]}", "moves.json:1:1: it names no partition"),
        ("{\"version\":2,\"partitions\":[{\"topic\":\"a\",\"partition\":0,\"replicas\":[1]}]}", "its version is 2"),
        (
            "{\"version\":1,\"partition\":[]}",
            "moves.json:1:24: this is not the JSON that was expected: unknown field `partition`",
        ),
        ("{\"partitions\":[{\"topic\":\"a\",\n\"partition\":\"0\"}]}", "moves.json:2:15: "),
        ("{\"partitions\":[{\"topic\":\"a\",\"topic\":\"b\"}]}", "duplicate field `topic`"),
        ("[]", "moves.json:1:1: this is not the JSON that was expected: it begins with a list"),
        ("\n [2, [], []]", "moves.json:2:2: this is not the JSON that was expected: it begins with a list"),
        (
            "{\"version\":1,\"partitions\":[{\"topic\":\"a\",\"partition\":0,\"replicas\":[7,7,7]}]}",
            "moves.json:1:28: `replicas` has broker 7 3 times",
        ),
        (
            "{\"version\":1,\"partitions\":[{\"topic\":\"a\",\"partition\":\"0\",\"replicas\":[7]}]}",
            "a whole number is expected here, not the text \"0\": remove the quotes",
        ),
        ("", "moves.json:1:1: this is not the JSON that was expected: the file is empty"),
        ("{\"partitions\":[]} x", "trailing characters"),
        ("Current partition replica assignment\n{}", "keep only the JSON below `Proposed …`"),
    ];
    for (text, expected) in cases {
        assert!(faults(text).contains(expected), "{text}: {}", faults(text));
    }
    let bytes = Source::new("moves.json", &b"{\n\"\xFF"[..]);
    assert!(read(&bytes).unwrap_err().to_string().starts_with("moves.json:2:2: a byte that is not UTF-8"));
}

fn plan() -> MovePlan {
    let at = |partition| TopicPartition { topic: TopicName::new("a").unwrap(), partition };
    let step = |partition, bytes| PartitionMove {
        partition: at(partition),
        from: vec![BrokerId(1), BrokerId(2)],
        to: vec![BrokerId(3), BrokerId(1)],
        bytes,
    };
    MovePlan {
        version: MOVE_PLAN_VERSION,
        tool_version: "0.1.0".into(),
        cluster_id: "abc".into(),
        observed_at: "2026-11-22T00:00:00Z".into(),
        made_by: "mapping rebalance".into(),
        topic_ids: [(TopicName::new("a").unwrap(), Uuid::from_u128(7))].into(),
        moves: vec![step(0, 5), step(1, 0)],
    }
}

#[test]
fn a_plan_survives_being_written_and_read() {
    for plan in [plan(), MovePlan { moves: Vec::new(), ..plan() }] {
        let text = write_plan(&plan).unwrap();
        assert_eq!(read_plan(&source(&text)), Ok(plan.clone()));
        assert_eq!(read_either(&source(&text)), Ok(Moves::Plan(plan)));
    }
    assert_eq!(write_plan(&plan()).unwrap().lines().count(), 14, "one move a line");
}

#[test]
fn a_plan_with_a_fault_is_refused_whole() {
    let good = write_plan(&plan()).unwrap();
    let cases = [
        (
            "\"version\": 1",
            "\"version\": 7",
            "moves.json:1:1: it is a plan of version 7; this toolbox reads 1: make it anew with `toolbox mapping rebalance`",
        ),
        ("\"partition\":1", "\"partition\":0", "moves.json:12:5: a-0 is listed twice"),
        ("\"to\":[3,1]", "\"to\":[3,3]", "moves.json:11:5: `to` has broker 3 twice"),
        ("\"to\":[3,1]", "\"to\":[1,2]", "moves.json:11:5: a-0 does not change"),
        ("\"from\":[1,2]", "\"from\":[]", "`from` is empty"),
        ("\"bytes\":5", "\"bytes\":-5", "moves.json:11:"),
        ("\"bytes\":5", "\"byte\":5", "unknown field `byte`"),
        ("\"made_by\"", "\"made\"", "unknown field `made`"),
    ];
    for (right, wrong, expected) in cases {
        let text = good.replacen(right, wrong, 1);
        assert_ne!(text, good, "{right}");
        let found = read_plan(&source(&text)).unwrap_err().to_string();
        assert!(found.contains(expected), "{wrong}: {found}");
    }
}

#[test]
fn either_file_is_recognised_and_another_one_is_not() {
    let kafka = r#"{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[1]}]}"#;
    assert!(matches!(read_either(&source(kafka)), Ok(Moves::Assignment(one)) if one.len() == 1));
    let found = read_either(&source("{\"version\": 1}")).unwrap_err().to_string();
    assert!(found.contains("this is no file of moves"), "{found}");
}

#[test]
fn the_schema_names_every_field_of_a_plan() {
    let schema = plan_schema();
    let written: Value = serde_json::from_str(&write_plan(&plan()).unwrap()).unwrap();
    for key in written.as_object().unwrap().keys() {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
    for key in written["moves"][0].as_object().unwrap().keys() {
        assert!(schema["$defs"]["PartitionMove"]["properties"].get(key).is_some(), "{key}");
    }
}
