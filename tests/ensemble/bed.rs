//! A real ensemble and whoever changes it with `toolbox ensemble`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kafka_toolbox::change::event::{Event, Outcome};
use kafka_toolbox::clients::zookeeper::live::Live;
use kafka_toolbox::clients::zookeeper::settings::{Given, Login, Scheme, Settings};
use kafka_toolbox::clients::zookeeper::{Reconfiguration, ZooKeeper, ZooKeeperError};
use kafka_toolbox::formats::secret::remember;
use serde_json::Value;

use crate::live::zookeeper::{Ensemble, Role, SUPER_PASSWORD, Shape};
use crate::support::toolbox::{Ran, Toolbox};

/// An ensemble, and a toolbox that may change it.
pub(super) struct Bed {
    pub(super) servers: Ensemble,
    pub(super) toolbox: Toolbox,
    /// When the first leader was seen, at the latest.
    pub(super) led_since: Instant,
}

/// How long an ensemble rests between two changes, and after an election.
const REST: Duration = Duration::from_secs(1);

impl Bed {
    /// Started, with a leader; not adopted.
    pub(super) fn start(shape: &Shape) -> Self {
        let servers = Ensemble::start(shape).unwrap();
        let first: Vec<_> = (1..=shape.servers).collect();
        servers.await_leader(&first).unwrap();
        Self::of(servers, &first)
    }

    /// The same with a server that knows of no ensemble.
    pub(super) fn start_alone(shape: &Shape) -> Self {
        Self::of(Ensemble::start(shape).unwrap(), &[1])
    }

    fn of(servers: Ensemble, first: &[u32]) -> Self {
        let toolbox = Toolbox::alone()
            .with("TOOLBOX_ZOOKEEPER", &servers.addresses(first))
            .with("TOOLBOX_ZOOKEEPER_USER", "super")
            .with("TOOLBOX_ZOOKEEPER_PASSWORD", SUPER_PASSWORD)
            .with("TOOLBOX_ENSEMBLE_REST", &format!("{}s", REST.as_secs()));
        Self { servers, toolbox, led_since: Instant::now() }
    }

    /// The same with a variable of the environment.
    #[must_use]
    pub(super) fn with(self, name: &str, value: &str) -> Self {
        Self { toolbox: self.toolbox.with(name, value), ..self }
    }

    /// The same, adopted with this size.
    pub(super) fn adopted(shape: &Shape, size: usize) -> Self {
        let bed = Self::start(shape);
        bed.run(&["adopt", "--size", &size.to_string()]).ends_with(0);
        bed
    }

    /// Runs a verb of `toolbox ensemble`.
    pub(super) fn run(&self, words: &[&str]) -> Ran {
        self.toolbox.run(&Self::line(words))
    }

    /// The whole command line of a verb.
    pub(super) fn line<'a>(words: &[&'a str]) -> Vec<&'a str> {
        [&["ensemble"], words, &["--yes"]].concat()
    }

    /// Passes until nothing is left, for a minute at most.
    pub(super) fn apply(&self) -> Ran {
        self.run(&["apply", "--within", "60s"])
    }

    /// One pass.
    pub(super) fn pass(&self) -> Ran {
        self.run(&["apply", "--once"])
    }

    /// Passes that change something until one does: joiners have to catch up, and the ensemble rests between two changes.
    #[track_caller]
    pub(super) fn pass_until(&self, code: i32) -> Ran {
        let begun = Instant::now();
        loop {
            let ran = self.pass();
            if ran.code == Some(code) {
                return ran;
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "{ran:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Looks until a pass would send a change: joiners have caught up, and the ensemble has rested.
    #[track_caller]
    pub(super) fn until_planned(&self) -> Ran {
        let begun = Instant::now();
        loop {
            let plan = self.run(&["plan"]);
            if plan.code == Some(3) && plan.out.contains("reconfig -") {
                return plan;
            }
            assert!(begun.elapsed() < Duration::from_secs(90), "{plan:#?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Declares that these servers join, or have this role.
    pub(super) fn join(&self, numbers: &[u32], role: Role, size: usize) -> Ran {
        let lines: Vec<_> = numbers.iter().map(|number| self.servers.member(*number).line(role)).collect();
        let size = size.to_string();
        let words = lines.iter().map(String::as_str).chain(["--size", size.as_str()]);
        self.run(&std::iter::once("join").chain(words).collect::<Vec<_>>())
    }

    /// Starts spare servers and waits until they follow, and until the first election lies a rest behind: a pass may
    /// change something then.
    pub(super) fn launch(&self, numbers: &[u32]) {
        for number in numbers {
            self.servers.launch(*number).unwrap();
        }
        self.servers.await_serving(numbers).unwrap();
        std::thread::sleep((REST * 2).saturating_sub(self.led_since.elapsed()));
    }

    /// A session as `super` with one of these servers.
    pub(super) async fn session(&self, numbers: &[u32]) -> Live {
        let login = Login { scheme: Scheme::Digest, user: "super".to_owned(), password: remember(SUPER_PASSWORD) };
        session(&self.servers.addresses(numbers), Some(login)).await
    }

    /// Changes the membership behind the toolbox.
    pub(super) fn meddle(&self, change: &Reconfiguration) {
        block(async {
            let session = self.session(&[1, 2, 3]).await;
            session.reconfigure(change).await.unwrap();
            session.close().await.unwrap();
        });
    }

    /// The configuration that one of these servers has.
    pub(super) fn configuration(&self, numbers: &[u32]) -> String {
        block(async {
            let session = self.session(numbers).await;
            session.sync("/").await.unwrap();
            String::from_utf8(session.configuration().await.unwrap().text).unwrap()
        })
    }

    /// The ids of the members, as one of these servers has them.
    pub(super) fn members(&self, numbers: &[u32]) -> BTreeSet<u32> {
        let text = self.configuration(numbers);
        let id = |line: &str| line.strip_prefix("server.")?.split_once('=')?.0.parse().ok();
        text.lines().filter_map(id).collect()
    }

    /// How many configurations a server has had: it writes each into a file of its own.
    pub(super) fn versions(&self, number: u32) -> usize {
        let folder = self.servers.zoo_cfg_file(number);
        let files = std::fs::read_dir(folder.parent().unwrap()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let is_version = |name: &String| {
            let version = name.strip_prefix("zoo.cfg.dynamic.");
            version.is_some_and(|version| u64::from_str_radix(version, 16).is_ok())
        };
        names.filter(is_version).count()
    }

    /// The record.
    pub(super) fn record(&self) -> Value {
        let text: Value = serde_json::from_str(&std::fs::read_to_string(self.record_file()).unwrap()).unwrap();
        text["document"].clone()
    }

    /// Changes the record behind the toolbox.
    pub(super) fn edit_record(&self, change: impl FnOnce(&mut Value)) {
        let path = self.record_file();
        let mut text: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut text["document"]);
        std::fs::write(&path, text.to_string()).unwrap();
    }

    /// Makes the record say that a server was seen alive last so long ago: until 15 minutes have passed, it is not gone for good.
    pub(super) fn was_alive_before(&self, number: u32, ago: SignedDuration) {
        let time = (Timestamp::now() - ago).to_string();
        self.edit_record(|record| record["members"][number.to_string()]["lastSeenAlive"] = time.into());
    }

    fn record_file(&self) -> std::path::PathBuf {
        let folder = self.toolbox.state().join("records");
        let mut files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let is_record = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("ensemble-") && path.extension().is_some_and(|ending| ending == "json")
        };
        files.find(is_record).unwrap()
    }

    /// How many changes of the membership were about to be sent, by what was written down before.
    pub(super) fn intents(&self) -> usize {
        let is_intent = |event: &&Event| event.kind == "ensemble.reconfigured" && event.outcome == Outcome::Planned;
        self.toolbox.audit().iter().filter(is_intent).count()
    }

    /// The process that holds the lock of disruptions, or held it last.
    pub(super) fn holder(&self) -> Option<u32> {
        let locks = std::fs::read_dir(self.toolbox.state().join("locks")).ok()?;
        let mut paths = locks.filter_map(|lock| Some(lock.ok()?.path()));
        let path = paths
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("disruption-")))?;
        let holder: Value = serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
        u32::try_from(holder["pid"].as_u64()?).ok()
    }

    /// Every change has exactly one outcome.
    #[track_caller]
    pub(super) fn each_change_has_one_outcome(&self) {
        for (id, outcomes) in self.toolbox.outcomes() {
            let is_change = outcomes.iter().any(|event| event.kind.starts_with("ensemble.re"));
            assert!(!is_change || outcomes.len() == 1, "{id}: {outcomes:#?}");
        }
    }
}

/// A session with one of these servers.
pub(super) async fn session(addresses: &str, login: Option<Login>) -> Live {
    try_session(addresses, login, Duration::from_secs(20)).await.unwrap()
}

/// The same, if one of them gives one within this time; so long each call may take, too.
pub(super) async fn try_session(
    addresses: &str,
    login: Option<Login>,
    timeout: Duration,
) -> Result<Live, ZooKeeperError> {
    let given = Given { zookeeper: addresses, login, timeout: Some(timeout), ..Given::default() };
    Live::connect(Settings::load(None, given).unwrap()).await
}

/// Whether the tests are wanted that take longer: `make acceptance` sets the variable.
pub(super) fn is_wanted() -> bool {
    std::env::var("TOOLBOX_TEST_MEMBERSHIP").is_ok_and(|value| !value.is_empty())
}

/// Runs a future to its end.
pub(super) fn block<R>(work: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}
