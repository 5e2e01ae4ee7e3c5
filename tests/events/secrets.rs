//! Secrets planted in every input reach no sink: audit log, spool, quarantine, Datadog, DogStatsD, Kubernetes Events,
//! standard error.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kafka_toolbox::change::event::{Event, Outcome, Recorder};
use kafka_toolbox::clients::datadog::{self, DatadogError, UNIX_BYTES_MAX, datagram};
use kafka_toolbox::clients::kubernetes::{Access, Identity, Memory, Pod};
use kafka_toolbox::formats::secret::{remember, shown_arguments};
use kafka_toolbox::recorders::outbox::{JOURNAL_BYTES, Outbox, Settings};
use kafka_toolbox::recorders::sink::{DatadogSink, KubernetesSink, Sink};
use kafka_toolbox::recorders::spool::Bounds;
use proptest::prelude::*;

use super::late::run;

static SAID: Mutex<String> = Mutex::new(String::new());

/// The doors of one outbox.
struct Doors {
    taking: Arc<datadog::Memory>,
    refusing: Arc<datadog::Memory>,
    kubernetes: Arc<Memory>,
}

impl Doors {
    fn new() -> Self {
        let pod = Some(Pod { name: "p".into(), uid: None });
        let [namespace, source, server] = ["kafka", "in cluster", "https://10.0.0.1"].map(str::to_owned);
        Self {
            taking: Arc::new(datadog::Memory::new(|| Timestamp::now().as_second())),
            refusing: Arc::new(datadog::Memory::new(|| Timestamp::now().as_second())),
            kubernetes: Arc::new(Memory::new(Identity { namespace, pod, service_account: None, source, server })),
        }
    }

    fn sinks(&self) -> Vec<Arc<dyn Sink>> {
        vec![
            Arc::new(DatadogSink::http(self.taking.clone(), vec![])),
            Arc::new(DatadogSink::dogstatsd(self.refusing.clone(), vec![])),
            Arc::new(KubernetesSink::new(Access::default(), None).with_door(self.kubernetes.clone())),
        ]
    }

    fn seen(&self) -> String {
        let taken = self.taking.taken();
        let datagrams = taken.iter().map(|event| datagram(event, UNIX_BYTES_MAX).unwrap());
        let datagrams: Vec<_> = datagrams.map(|sent| String::from_utf8(sent).unwrap()).collect();
        format!("{}\n{datagrams:?}\n{:?}", serde_json::to_string(&taken).unwrap(), self.kubernetes.events())
    }
}

/// Everything in a folder.
fn files(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        all += &if path.is_dir() { files(&path) } else { std::fs::read_to_string(&path).unwrap() };
    }
    all
}

/// An event with a secret in each field: some are known, others stand where secrets stand.
fn event([known, password, user, query, config, plugin, tag]: &[String; 7]) -> Event {
    let title = format!("+ topic orders: told {known}, password={password} https://u:{user}@host/x?key={query}");
    let planted = run().event("topics.config_changed", "topic:orders", Outcome::Failed, &title);
    let lines = format!("retention.ms: 1\nsasl.jaas.config: {config}\nssl.keystore.key: {config}\nmy.plugin: {plugin}");
    Event {
        reason: Some(format!("{{\"api_key\": \"{password}\"}} Authorization: Bearer {password} {title}")),
        cluster: format!("prod-{known}"),
        cluster_id: Some(format!("id-{known}")),
        actor: format!("ann {known}"),
        command: format!("topics apply {known}"),
        before: Some(lines.clone()),
        after: Some(lines),
        tags: BTreeMap::from([("api_token".into(), tag.clone()), ("team".into(), known.clone())]),
        ..planted
    }
}

async fn record(state: &Path, secrets: &[String; 7], doors: &Doors) {
    let line = ["topics", "apply", "--text", &secrets[0], &format!("--x={}", secrets[1]), &secrets[2]];
    let arguments = line.iter().map(|text| (*text).to_owned());
    let mut outbox = Outbox::new(Settings {
        state: state.to_owned(),
        run: run(),
        command_line: Some(shown_arguments("topics apply", arguments)),
        sinks: doors.sinks(),
        flush_within: Duration::from_millis(300),
        bounds: Bounds::default(),
        journal_bytes: JOURNAL_BYTES,
        say: |text| {
            let mut said = SAID.lock().unwrap();
            said.push_str(&kafka_toolbox::formats::secret::scrub(text));
        },
    });
    outbox.record(&[event(secrets)]).await;
    outbox.close().await;
}

fn check(secrets: &[String; 7], trouble: DatadogError) {
    drop(remember(secrets[0].as_str()));
    SAID.lock().unwrap().clear();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let doors = Doors::new();
    doors.refusing.set_trouble(Some(trouble));
    runtime.block_on(record(folder.path(), secrets, &doors));
    // The same where nothing can be kept, so that every event is said.
    let no_folder = folder.path().join("audit.jsonl/none");
    runtime.block_on(record(&no_folder, secrets, &Doors::new()));
    let kept = files(folder.path());
    let said = SAID.lock().unwrap().clone();
    let seen = doors.seen();
    for (place, text) in [("files", &kept), ("standard error", &said), ("sinks", &seen)] {
        assert!(text.contains("orders"), "nothing came to {place}: {text}");
        for (n, secret) in secrets.iter().enumerate() {
            assert!(!text.contains(secret.as_str()), "secret {n}, {secret}, is in {place}: {text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn secrets_planted_in_every_input_reach_no_sink(secrets in prop::array::uniform7("[A-Za-z0-9+/_.!-]{14,30}")) {
        check(&secrets, DatadogError::Malformed("no".into()));
        check(&secrets, DatadogError::Refused("no".into()));
    }
}
