//! Real ZooKeeper servers that start from what `prestart` wrote, one document for all of them, and changes of the membership as
//! `ensemble apply` makes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use kafka_toolbox::clients::zookeeper::live::Live;
use kafka_toolbox::clients::zookeeper::settings::{Given, Settings};
use kafka_toolbox::clients::zookeeper::{Creation, Mode, Reconfiguration, ZooKeeper};
use kafka_toolbox::cluster::ensemble::desired::{Desired, LastConfig, MemberState};
use kafka_toolbox::cluster::ensemble::member::{Role as Vote, ServerId};
use kafka_toolbox::formats::ensemble_config;
use kafka_toolbox::state::document::Document;
use kafka_toolbox::state::identity::Identity;
use kafka_toolbox::state::place::Place;
use rustix::process::Signal;
use uuid::Uuid;

use crate::live::zookeeper::{Ensemble, Role, Shape};
use crate::support::toolbox::{Ran, Toolbox, finish};

/// Servers with one document.
pub(super) struct Servers {
    pub(super) ensemble: Ensemble,
    pub(super) toolbox: Toolbox,
    own: String,
}

impl Servers {
    /// So many servers with empty disks, of which none runs.
    pub(super) fn bare(count: u32) -> Self {
        Self::bare_of(&Shape::of(0).spares(count))
    }

    /// The same in this shape.
    pub(super) fn bare_of(shape: &Shape) -> Self {
        let servers = Self::of(Ensemble::start(shape).unwrap());
        (1..=shape.spares).for_each(|number| servers.ensemble.bare(number).unwrap());
        servers
    }

    /// Servers that others started.
    pub(super) fn of(ensemble: Ensemble) -> Self {
        let toolbox = super::named();
        let own = "tickTime=500\ninitLimit=20\nsyncLimit=8\nadmin.enableServer=false\nmaxClientCnxns=0\nskipACL=yes\n";
        let own = toolbox.file("own.cfg", own);
        Self { ensemble, toolbox, own }
    }

    /// An ensemble that was begun by server 1, and grown to so many, each from what `prestart` wrote.
    pub(super) fn grown(count: u32, spares: u32) -> Self {
        let servers = Self::bare(count + spares);
        for number in 1..=count {
            servers.starts(number);
            if number > 1 {
                servers.promote(number);
            }
        }
        servers
    }

    /// What the init container of a server runs.
    pub(super) fn prestart(&self, number: u32, more: &[&str]) -> Ran {
        self.prestart_as(number, number, more)
    }

    /// The same where file modes bind it.
    pub(super) fn bound_prestart(&self, number: u32) -> Ran {
        let words = self.words(number, number);
        finish(&mut self.toolbox.bound_command(&words.iter().map(String::as_str).collect::<Vec<_>>()))
    }

    /// The same on the disk and at the address of a server, as another one.
    pub(super) fn prestart_as(&self, number: u32, id: u32, more: &[&str]) -> Ran {
        let words = self.words(number, id);
        self.toolbox.run(&words.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    }

    fn words(&self, number: u32, id: u32) -> Vec<String> {
        let line = self.ensemble.member(number).line(Role::Participant);
        let line = line.split_once('=').unwrap().1;
        let (id, data, home) =
            (id.to_string(), text(&self.ensemble.data_of(number)), text(&self.ensemble.home_of(number)));
        let own = ["ensemble", "prestart", "zookeeper", "--yes", "--cluster", "main", "--id", &id, "--size", "3"];
        let places = ["--data-dir", &data, "--conf-dir", &home, "--zoo-cfg", &self.own, "--server-line", line];
        let begin: &[&str] = if number == 1 { &["--begin"] } else { &[] };
        [&own[..], &places, begin].concat().into_iter().map(str::to_owned).collect()
    }

    /// The same, where it is to wait in vain. The disk stays as it is.
    #[track_caller]
    pub(super) fn waits(&self, number: u32) -> Ran {
        let before = self.files(number);
        let ran = self.prestart(number, &["--within", "1s"]).ends_with(5);
        assert_eq!(self.files(number), before);
        ran
    }

    /// The same, where it is refused under this name. The disk stays as it is.
    #[track_caller]
    pub(super) fn refused(&self, number: u32, code: &str) {
        let before = self.files(number);
        let ran = self.prestart(number, &["--within", "1s"]).ends_with(4);
        assert!(ran.out.contains(code), "{code}: {ran:#?}");
        assert_eq!(self.files(number), before);
    }

    /// Runs a verb of `ensemble` on the document, by way of these servers.
    pub(super) fn ensemble(&self, numbers: &[u32], words: &[&str]) -> Ran {
        let address = self.ensemble.addresses(numbers);
        let place = ["--yes", "--cluster", "main", "--zookeeper", &address, "--timeout", "10s"];
        self.toolbox.run(&[&["ensemble"], words, &place].concat())
    }

    /// A server starts as its pod does: init container first.
    #[track_caller]
    pub(super) fn starts(&self, number: u32) {
        self.prestart(number, &[]).ends_with(0);
        self.ensemble.launch(number).unwrap();
        self.ensemble.await_serving(&[number]).unwrap();
    }

    #[track_caller]
    pub(super) fn stops(&self, numbers: &[u32]) {
        for number in numbers {
            self.ensemble.stop(*number, Signal::KILL).unwrap();
        }
    }

    /// Starts servers without any init container.
    #[track_caller]
    pub(super) fn launch(&self, numbers: &[u32]) {
        for number in numbers {
            self.ensemble.launch(*number).unwrap();
        }
    }

    /// Changes the document as a person or `ensemble apply` does.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Desired)) {
        let mut document = self.document();
        let mut desired: Desired = ready(document.load()).unwrap().unwrap_or_default();
        change(&mut desired);
        ready(document.save(&desired)).unwrap();
    }

    fn document(&self) -> Document {
        Document::new(Place::Folder(self.toolbox.state()), Identity::of_ensemble("main"), Uuid::nil(), Timestamp::now)
    }

    /// A session with one server.
    pub(super) fn session(&self, number: u32) -> Session {
        Session::with(&self.ensemble.addresses(&[number]))
    }

    /// Makes a server a voter, and records it.
    pub(super) fn promote(&self, number: u32) {
        let line = self.ensemble.member(number).line(Role::Participant);
        self.change(1, &Reconfiguration { joining: vec![line], ..Reconfiguration::default() });
    }

    /// Removes a server, and records it.
    pub(super) fn remove(&self, by: u32, number: u32) {
        self.change(by, &Reconfiguration { leaving: vec![u64::from(number)], ..Reconfiguration::default() });
    }

    fn change(&self, by: u32, change: &Reconfiguration) {
        let text = self.session(by).run(async |session: &Live| {
            // A follower that has just joined may not be counted yet.
            let mut left = 40;
            loop {
                match session.reconfigure(change).await {
                    Err(error) if left > 0 => {
                        left -= 1;
                        tracing::info!("{error}");
                        tokio::time::sleep(Duration::from_millis(250)).await;
                    }
                    done => break done.unwrap().text,
                }
            }
        });
        self.recorded(&text);
    }

    /// Records what is live as the last good configuration.
    pub(super) fn recorded(&self, text: &[u8]) {
        let config = ensemble_config::read("live", text).unwrap().config;
        self.edit(|desired| {
            for (id, member) in &mut desired.members {
                if config.membership.servers.contains_key(id) {
                    member.state = MemberState::Voter;
                }
            }
            desired.last_config = Some(LastConfig { config, since: Timestamp::now() });
        });
    }

    /// What the file that a server would start from says: voters and observers.
    #[track_caller]
    pub(super) fn written(&self, number: u32) -> (Vec<i64>, Vec<i64>) {
        let text = self.ensemble.dynamic(number).unwrap();
        let membership = ensemble_config::read("dynamic", text.as_bytes()).unwrap().config.membership;
        let ids = |role| membership.of_role(role).into_iter().map(|id: ServerId| id.0).collect::<Vec<_>>();
        (ids(Vote::Participant), ids(Vote::Observer))
    }

    /// The configuration as a server that serves has it.
    #[track_caller]
    pub(super) fn configuration_seen_by(&self, number: u32) -> String {
        let text = self.session(number).run(async |session: &Live| session.configuration().await.unwrap().text);
        String::from_utf8(text).unwrap()
    }

    /// The voters as a server that serves has them.
    #[track_caller]
    pub(super) fn voters_seen_by(&self, number: u32) -> Vec<i64> {
        let text = self.configuration_seen_by(number);
        let membership = ensemble_config::read("live", text.as_bytes()).unwrap().config.membership;
        membership.voters().into_iter().map(|id| id.0).collect()
    }

    /// The document, byte by byte.
    pub(super) fn record(&self) -> String {
        std::fs::read_to_string(self.toolbox.state().join("records/ensemble-main.json")).unwrap()
    }

    /// Copies the disk of a server to another one.
    pub(super) fn copy_disk(&self, from: u32, to: u32) {
        copy_files(&self.ensemble.data_of(from), &self.ensemble.data_of(to));
        self.copy_data(from, to);
    }

    /// The same for the data alone.
    pub(super) fn copy_data(&self, from: u32, to: u32) {
        let folder = |number: u32| self.ensemble.data_of(number).join("version-2");
        std::fs::create_dir_all(folder(to)).unwrap();
        copy_files(&folder(from), &folder(to));
    }

    /// Servers of these that lead.
    pub(super) fn leaders(&self, numbers: &[u32]) -> Vec<u32> {
        let leads = |number: &u32| self.ensemble.srvr(*number).is_ok_and(|answer| answer.contains("Mode: leader"));
        numbers.iter().copied().filter(leads).collect()
    }

    /// Writes a node by way of a server, and waits until it is committed.
    pub(super) fn write(&self, number: u32, path: &str) {
        let creation = Creation::open(Mode::Persistent);
        self.session(number).run(async |session: &Live| {
            session.create(path, b"kept", &creation).await.unwrap();
        });
    }

    /// Whether a server that serves has a node.
    pub(super) fn has(&self, number: u32, path: &str) -> bool {
        self.session(number).run(async |session: &Live| {
            session.sync("/").await.unwrap();
            session.stat(path).await.unwrap().is_some()
        })
    }

    /// Writes a template over the configuration of a server; what was there, by paths.
    pub(super) fn overwrite(&self, number: u32, members: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let (dynamic, zoo_cfg) = (self.ensemble.dynamic_file(number).unwrap(), self.ensemble.zoo_cfg_file(number));
        let before = [dynamic.clone(), zoo_cfg.clone()].map(|path| (path.clone(), std::fs::read(path).unwrap()));
        let plain = zoo_cfg.with_file_name("zoo.cfg.dynamic");
        std::fs::write(&plain, members).unwrap();
        let text = std::fs::read_to_string(&zoo_cfg).unwrap();
        std::fs::write(&zoo_cfg, text.replace(dynamic.to_str().unwrap(), plain.to_str().unwrap())).unwrap();
        before.into()
    }

    /// All files in a server's folders, where `prestart` writes, with their texts. Those of its data are not among them.
    pub(super) fn files(&self, number: u32) -> BTreeMap<String, String> {
        let folders = [self.ensemble.home_of(number), self.ensemble.data_of(number)];
        let paths = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|it| it.unwrap().path());
        paths.filter(|path| path.is_file()).map(|path| (text(&path), std::fs::read_to_string(&path).unwrap())).collect()
    }
}

/// What is opened for one question.
pub(super) struct Session {
    servers: String,
}

impl Session {
    fn with(servers: &str) -> Self {
        Self { servers: servers.to_owned() }
    }

    /// Connects, and runs what is to be done.
    pub(super) fn run<T>(&self, what: impl AsyncFnOnce(&Live) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let given = Given { zookeeper: &self.servers, timeout: Some(Duration::from_secs(20)), ..Given::default() };
            let settings = Settings::load(None, given).unwrap();
            let session = Live::connect(settings).await.unwrap();
            let result = what(&session).await;
            session.close().await.unwrap();
            result
        })
    }
}

/// Documents in files never wait for more than their lock.
fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// Copies the files of a folder, without those of folders in it.
fn copy_files(from: &Path, to: &Path) {
    let paths = std::fs::read_dir(from).unwrap().map(|file| file.unwrap().path());
    for path in paths.filter(|path| path.is_file()) {
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

pub(super) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
