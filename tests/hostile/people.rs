//! What people type or set by mistake, and whoever reads the answer by a program.

use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::exit::Exit;

use crate::support::desk::Desk;
use crate::support::toolbox::Toolbox;

#[test]
fn a_variable_that_is_empty_or_odd_is_named_and_not_its_flag_alone() {
    for (name, value, words) in [
        (
            "TOOLBOX_OUTPUT",
            "tabel",
            "the environment variable TOOLBOX_OUTPUT (for --output) has a wrong value: it takes",
        ),
        ("TOOLBOX_TIMEOUT", "5 x", "the environment variable TOOLBOX_TIMEOUT (for --timeout) has a wrong value: `5 x`"),
        ("TOOLBOX_TIMEOUT", "", "the environment variable TOOLBOX_TIMEOUT (for --timeout) is set but empty"),
        ("TOOLBOX_CLUSTER", "", "the environment variable TOOLBOX_CLUSTER (for --cluster) is set but empty"),
    ] {
        let ran = Toolbox::alone().with(name, value).run(&["topics", "list"]).ends_with(2);
        assert!(ran.err.contains(words), "{ran:#?}");
    }
    let typed = Toolbox::alone().with("TOOLBOX_OUTPUT", "json").run(&["topics", "list", "-o", "tabel"]).ends_with(2);
    assert!(typed.err.contains("--output") && !typed.err.contains("TOOLBOX_OUTPUT"), "{typed:#?}");
}

#[test]
fn a_schedule_that_could_ask_nobody_is_refused_before_its_first_run() {
    let toolbox = Toolbox::new("127.0.0.1:1");
    let spec = toolbox.file("spec.yaml", "topics: []\n");
    let ran = toolbox.run(&["topics", "apply", "-f", &spec, "--schedule", "@hourly"]).ends_with(4);
    assert!(ran.err.contains("--yes") && ran.err.contains("--dry-run"), "{ran:#?}");
}

/// A large spec is parsed while connections are made; what is wrong with it is all that is said, whether anybody listens.
#[test]
fn a_fault_of_a_large_spec_is_said_before_anything_about_the_cluster() {
    let toolbox = Toolbox::new("127.0.0.1:1");
    let topics: Vec<_> = (0..2_000).map(|topic| format!("  - {{name: topic-{topic}, partitions: 3}}\n")).collect();
    let topics = topics.concat();
    let spec = toolbox.file("large.yaml", &format!("topics:\n{topics}  - {{name: last, partitions: many}}\n"));
    for keep_going in [&[][..], &["--keep-going"]] {
        let ran = toolbox.run(&[&["topics", "apply", "--yes", "-f", &spec], keep_going].concat()).ends_with(2);
        assert!(ran.err.contains("large.yaml:2002:"), "{ran:#?}");
        assert!(!ran.err.contains("127.0.0.1:1"), "{ran:#?}");
    }
    let wrong = toolbox.file("wrong.properties", "security.protocol=NONE\n");
    let good = toolbox.file("good.yaml", &format!("topics:\n{topics}"));
    let words = ["topics", "apply", "--yes", "-f", &good, "--command-config", &wrong];
    let ran = toolbox.run(&words).ends_with(2);
    assert_eq!(ran.err.matches("security.protocol").count(), 1, "{ran:#?}");
}

#[test]
fn an_error_is_a_document_for_a_program() {
    let ran = Toolbox::alone().run(&["topics", "list", "-o", "json"]).ends_with(2);
    let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["exit"], 2);
    assert!(document["error"].as_str().unwrap().contains("which cluster?"), "{document}");
}

#[tokio::test]
async fn a_plan_that_nobody_agreed_to_is_a_document_for_a_program() {
    let desk = Desk::new(Memory::kraft(1));
    let spec = desk.declare(&["{name: new, partitions: 1}"]);
    for answer in [None, Some(false)] {
        let said = desk.run_and_answer(answer, &["topics", "apply", "-f", &spec, "-o", "json"]).await;
        let said = said.ends_with(Exit::Refused);
        let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(document["plan"]["steps"].as_array().unwrap().len(), 1, "{document}");
        assert!(document.get("result").is_none(), "{document}");
    }
}

#[tokio::test]
async fn an_export_as_json_is_json_and_is_read_again() {
    let desk = Desk::new(Memory::kraft(2).topic("orders", &[&[1, 2]]).config("orders", "retention.ms", "5"));
    for form in ["toolbox", "strimzi", "configmap"] {
        let said = desk.run(&["topics", "export", "--to", form, "-o", "json"]).await.ends_with(Exit::Done);
        let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert!(document.is_object(), "{document}");
        let file = desk.folder().join("again.json");
        std::fs::write(&file, &said.out).unwrap();
        let diff = desk.run(&["topics", "diff", "-f", file.to_str().unwrap()]).await.ends_with(Exit::Done);
        assert!(diff.lines().contains(&"nothing to do"), "{form}: {diff:#?}");
    }
}
