//! A real ZooKeeper ensemble on loopback: started, disturbed and ended by a test.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use rustix::process::Signal;
use sha1::{Digest, Sha1};

use super::shape::{Role, Shape, Tls};
use crate::live::kafka::jars::java;
use crate::live::kafka::keeper::Keeper;
use crate::live::kafka::ports::{Port, reserve};
use crate::live::kafka::start::{slot, trained_zookeeper};
use crate::live::kafka::{ask, wait};
use crate::live::security::certificates::{Authority, BROKER_NAMES};
use crate::support::toolbox::bound_by_modes;

/// Longest wait for servers to start or to elect a leader, also on a machine that does much else.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// Longest wait for a server to stop by itself.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// Another process may take a port between our look and the server's: then all is tried again with other ports.
const TRIES: usize = 3;

/// A running ensemble; dropped, its servers end and its folder is removed.
#[derive(Debug)]
pub(crate) struct Ensemble {
    keeper: Keeper,
    shape: Shape,
    members: Vec<Member>,
    authority: Option<String>,
    _ports: Vec<Port>,
}

/// One server: its number, which is its id unless a test gives it another, and its ports.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// 1, 2, …
    pub(crate) number: u32,
    /// Where clients connect.
    pub(crate) client: u16,
    /// Where followers connect to the leader.
    pub(crate) quorum: u16,
    /// Where votes go.
    pub(crate) election: u16,
    /// Where clients connect with TLS.
    pub(crate) secure: u16,
    command: Vec<String>,
}

impl Member {
    /// Its line of the dynamic configuration.
    pub(crate) fn line(&self, role: Role) -> String {
        let Self { number, client, quorum, election, .. } = self;
        format!("server.{number}=127.0.0.1:{quorum}:{election}:{};127.0.0.1:{client}", role.name())
    }

    fn name(&self) -> String {
        format!("zookeeper-{}", self.number)
    }
}

impl Ensemble {
    /// Starts the servers of the shape and waits until each of them serves.
    pub(crate) fn start(shape: &Shape) -> anyhow::Result<Self> {
        Self::start_as(shape, false)
    }

    /// Three servers with a TLS port (`want`), the user `super` (`secret`) and the SASL user `ada` (`lovelace`), for tests
    /// that do not disturb each other: own paths, no server stopped, no membership changed. It ends with the process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Ensemble, String>> = OnceLock::new();
        let ensemble = SHARED.get_or_init(|| {
            let authority = Authority::new("ensemble");
            let store = authority.broker(&BROKER_NAMES, 2020..2100).store();
            let tls = Tls { store, trust: authority.certificate.clone(), client_auth: "want" };
            let shape = Shape { tls: Some(tls), sasl_users: vec![("ada", "lovelace")], ..Shape::of(3) };
            let started = Self::start_as(&shape, true).map_err(|error| format!("{error:#}"))?;
            Ok(Self { authority: Some(authority.certificate), ..started })
        });
        match ensemble {
            Ok(ensemble) => ensemble,
            Err(error) => panic!("the shared ensemble did not start: {error}"),
        }
    }

    fn start_as(shape: &Shape, shared: bool) -> anyhow::Result<Self> {
        let flags = trained_zookeeper()?;
        let _slot = slot()?;
        let mut left = TRIES;
        loop {
            left -= 1;
            match Self::try_start(shape, &flags, shared) {
                Err(error) if left > 0 && format!("{error:#}").contains("Address already in use") => {}
                done => return done.context("the ensemble did not start"),
            }
        }
    }

    fn try_start(shape: &Shape, flags: &[String], shared: bool) -> anyhow::Result<Self> {
        let keeper = Keeper::start(shared)?;
        let (mut members, mut ports) = (Vec::new(), Vec::new());
        for number in 1..=shape.servers + shape.spares {
            let own = reserve(4)?;
            let [client, quorum, election, secure] = [0, 1, 2, 3].map(|position: usize| own[position].number);
            members.push(Member { number, client, quorum, election, secure, command: Vec::new() });
            ports.extend(own);
        }
        let mut ensemble = Self { keeper, shape: shape.clone(), members, authority: None, _ports: ports };
        ensemble.lay_out(flags)?;
        let first: Vec<u32> = (1..=shape.servers).collect();
        let started = first.iter().try_for_each(|&number| ensemble.launch(number));
        if let Err(error) = started.and_then(|()| ensemble.await_serving(&first)) {
            ensemble.keeper.keep_logs();
            return Err(error);
        }
        Ok(ensemble)
    }

    /// Writes the files of every server; a spare one's dynamic file lists the others, and itself as an observer.
    fn lay_out(&mut self, flags: &[String]) -> anyhow::Result<()> {
        let files = self.keeper.folder().join("files");
        fs::create_dir(&files)?;
        if let Some(tls) = &self.shape.tls {
            fs::write(files.join("store.pem"), &tls.store)?;
            fs::write(files.join("trust.pem"), &tls.trust)?;
        }
        let users: Vec<_> =
            self.shape.sasl_users.iter().map(|(user, word)| format!("user_{user}=\"{word}\"")).collect();
        let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
        fs::write(files.join("jaas.conf"), format!("Server {{ {module} required {}; }};\n", users.join(" ")))?;
        let lines = |role| move |member: &Member| format!("{}\n", member.line(role));
        let (first, spares) = self.members.split_at(usize::try_from(self.shape.servers)?);
        let first: String = first.iter().map(lines(Role::Participant)).collect();
        let spares: Vec<(u32, String)> =
            spares.iter().map(|member| (member.number, lines(Role::Observer)(member))).collect();
        for position in 0..self.members.len() {
            let member = &self.members[position];
            let (home, data) = (self.home(member), self.data(member));
            fs::create_dir_all(&home)?;
            fs::create_dir_all(&data)?;
            fs::write(data.join("myid"), format!("{}\n", member.number))?;
            let own = spares.iter().find(|(number, _)| *number == member.number).map_or("", |(_, line)| line);
            fs::write(home.join("zoo.cfg.dynamic"), format!("{first}{own}"))?;
            fs::write(home.join("zoo.cfg"), self.zoo_cfg(member, &files))?;
            let command = self.command(flags, &home, &files)?;
            self.members[position].command = command;
        }
        Ok(())
    }

    fn zoo_cfg(&self, member: &Member, files: &Path) -> String {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut set = |key: &str, value: String| {
            lines.retain(|(other, _)| other != key);
            if !value.is_empty() {
                lines.push((key.to_owned(), value));
            }
        };
        // Short ticks: sessions and servers that are gone are noticed within seconds.
        set("tickTime", "500".to_owned());
        set("initLimit", "20".to_owned());
        set("syncLimit", "8".to_owned());
        set("dataDir", self.data(member).display().to_string());
        set("dynamicConfigFile", self.home(member).join("zoo.cfg.dynamic").display().to_string());
        set("standaloneEnabled", "false".to_owned());
        set("reconfigEnabled", "true".to_owned());
        set("admin.enableServer", "false".to_owned());
        set("maxClientCnxns", "0".to_owned());
        set("4lw.commands.whitelist", self.shape.four_letter_words.unwrap_or_default().to_owned());
        if let Some(tls) = &self.shape.tls {
            set("secureClientPort", member.secure.to_string());
            set("secureClientPortAddress", "127.0.0.1".to_owned());
            set("serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory".to_owned());
            set("ssl.keyStore.location", files.join("store.pem").display().to_string());
            set("ssl.trustStore.location", files.join("trust.pem").display().to_string());
            set("ssl.clientAuth", tls.client_auth.to_owned());
        }
        for (key, value) in &self.shape.properties {
            set(key, value.clone());
        }
        lines.iter().fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{key}={value}");
            text
        })
    }

    fn command(&self, flags: &[String], home: &Path, files: &Path) -> anyhow::Result<Vec<String>> {
        let heap = if self.shape.heap == 0 { 96 } else { self.shape.heap };
        let mut command = if self.shape.obeys_modes { bound_by_modes() } else { Vec::new() };
        command.extend([java()?.display().to_string(), format!("-Xmx{heap}m")]);
        command.push("-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned());
        if let Some(password) = self.shape.super_password {
            let digest = super_digest(password);
            command.push(format!("-Dzookeeper.DigestAuthenticationProvider.superDigest={digest}"));
        }
        if !self.shape.sasl_users.is_empty() {
            let provider = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider";
            command.push(format!("-Dzookeeper.authProvider.sasl={provider}"));
            command.push(format!("-Djava.security.auth.login.config={}", files.join("jaas.conf").display()));
        }
        command.extend(flags.iter().cloned());
        command.push("org.apache.zookeeper.server.quorum.QuorumPeerMain".to_owned());
        command.push(home.join("zoo.cfg").display().to_string());
        Ok(command)
    }

    /// One server.
    pub(crate) fn member(&self, number: u32) -> &Member {
        let found = self.members.iter().find(|member| member.number == number);
        found.unwrap_or_else(|| panic!("the shape has no server {number}"))
    }

    /// `HOST:PORT,…` of these servers, plaintext.
    pub(crate) fn addresses(&self, numbers: &[u32]) -> String {
        let address = |number: &u32| format!("127.0.0.1:{}", self.member(*number).client);
        numbers.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// `HOST:PORT,…` of the TLS ports of these servers.
    pub(crate) fn secure_addresses(&self, numbers: &[u32]) -> String {
        let address = |number: &u32| format!("localhost:{}", self.member(*number).secure);
        numbers.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// Whom clients of the shared ensemble's TLS ports may believe, as PEM.
    pub(crate) fn authority(&self) -> &str {
        self.authority.as_deref().unwrap_or_else(|| panic!("only the shared ensemble has one"))
    }

    /// The process id of a server that runs.
    pub(crate) fn pid(&self, number: u32) -> Option<i32> {
        self.keeper.pid(&self.member(number).name())
    }

    /// Starts a server and does not wait: it may have to end at once, or to wait for others.
    pub(crate) fn launch(&self, number: u32) -> anyhow::Result<()> {
        let member = self.member(number);
        self.keeper.launch(&member.name(), &member.command)
    }

    /// Ends a server: by SIGTERM, or as a power cut would, by SIGKILL.
    pub(crate) fn stop(&self, number: u32, signal: Signal) -> anyhow::Result<()> {
        let name = self.member(number).name();
        self.keeper.signal(&name, signal)?;
        self.keeper.ended(&name, STOP_LIMIT)
    }

    /// Stops a server in its tracks (SIGSTOP): connections to it open, answers never come.
    pub(crate) fn freeze(&self, number: u32) -> anyhow::Result<()> {
        let name = self.member(number).name();
        self.keeper.signal(&name, Signal::STOP)?;
        self.keeper.stands_still(&name)
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self, number: u32) -> anyhow::Result<()> {
        self.keeper.signal(&self.member(number).name(), Signal::CONT)
    }

    /// Runs a server that is to end by itself; its exit code, and what it said.
    pub(crate) fn run_to_its_end(&self, number: u32) -> anyhow::Result<(Option<i32>, String)> {
        let mut command = Command::new("timeout");
        let ended = command.arg(LIMIT.as_secs().to_string()).args(&self.member(number).command).output()?;
        let said = [ended.stdout, ended.stderr].concat();
        Ok((ended.status.code(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// Waits until a server has ended by itself.
    pub(crate) fn await_end(&self, number: u32) -> anyhow::Result<()> {
        self.keeper.ended(&self.member(number).name(), LIMIT)
    }

    /// Removes snapshots and logs of a server that does not run; its id stays.
    pub(crate) fn wipe(&self, number: u32) -> anyhow::Result<()> {
        ensure!(self.pid(number).is_none(), "server {number} runs");
        let folder = self.data(self.member(number)).join("version-2");
        if folder.exists() { Ok(fs::remove_dir_all(folder)?) } else { Ok(()) }
    }

    /// The folder of a server's zoo.cfg.
    pub(crate) fn home_of(&self, number: u32) -> PathBuf {
        self.home(self.member(number))
    }

    /// A server's dataDir.
    pub(crate) fn data_of(&self, number: u32) -> PathBuf {
        self.data(self.member(number))
    }

    /// Removes all files of a server that does not run: a new disk.
    pub(crate) fn bare(&self, number: u32) -> anyhow::Result<()> {
        ensure!(self.pid(number).is_none(), "server {number} runs");
        for folder in [self.home_of(number), self.data_of(number)] {
            fs::remove_dir_all(&folder)?;
            fs::create_dir_all(&folder)?;
        }
        Ok(())
    }

    /// Gives a server another id.
    pub(crate) fn write_id(&self, number: u32, id: u32) -> anyhow::Result<()> {
        Ok(fs::write(self.data(self.member(number)).join("myid"), format!("{id}\n"))?)
    }

    /// The dynamic configuration that a server would start with.
    pub(crate) fn dynamic(&self, number: u32) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.dynamic_file(number)?)?)
    }

    /// Writes the dynamic configuration that a server starts with next.
    pub(crate) fn write_dynamic(&self, number: u32, text: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.dynamic_file(number)?, text)?)
    }

    /// The file that zoo.cfg names now: the server writes another one at each change.
    pub(crate) fn dynamic_file(&self, number: u32) -> anyhow::Result<PathBuf> {
        let text = fs::read_to_string(self.zoo_cfg_file(number))?;
        let path = text.lines().find_map(|line| line.strip_prefix("dynamicConfigFile="));
        Ok(PathBuf::from(path.context("zoo.cfg names no dynamicConfigFile")?))
    }

    /// A server's zoo.cfg.
    pub(crate) fn zoo_cfg_file(&self, number: u32) -> PathBuf {
        self.home(self.member(number)).join("zoo.cfg")
    }

    /// A server's answer to `srvr`.
    pub(crate) fn srvr(&self, number: u32) -> anyhow::Result<String> {
        ask::zookeeper(self.member(number).client)
    }

    /// Waits until each of these servers serves.
    pub(crate) fn await_serving(&self, numbers: &[u32]) -> anyhow::Result<()> {
        numbers.iter().try_for_each(|&number| {
            let name = self.member(number).name();
            wait::until(LIMIT, &format!("{name} to serve"), || {
                ensure!(self.keeper.pid(&name).is_some(), "{name} ended.{}", self.keeper.tail(&name));
                Ok(match self.srvr(number) {
                    Ok(answer) if answer.contains("Mode:") => Ok(()),
                    Ok(answer) => Err(answer),
                    Err(error) => Err(format!("{error:#}.{}", self.keeper.tail(&name))),
                })
            })
        })
    }

    /// Waits until one of these servers leads, and says which.
    pub(crate) fn await_leader(&self, numbers: &[u32]) -> anyhow::Result<u32> {
        wait::until(LIMIT, "a leader", || {
            let leads = |number: u32| self.srvr(number).is_ok_and(|answer| answer.contains("Mode: leader"));
            Ok(numbers.iter().copied().find(|&number| leads(number)).ok_or_else(|| "none leads".to_owned()))
        })
    }

    /// The ensemble's folder, with the logs of all servers.
    pub(crate) fn folder(&self) -> &Path {
        self.keeper.folder()
    }

    fn home(&self, member: &Member) -> PathBuf {
        self.keeper.folder().join(member.name())
    }

    fn data(&self, member: &Member) -> PathBuf {
        self.keeper.folder().join("data").join(member.name())
    }
}

/// What a server compares the password of `super` with.
pub(crate) fn super_digest(password: &str) -> String {
    let digest = Sha1::digest(format!("super:{password}"));
    format!("super:{}", base64::engine::general_purpose::STANDARD.encode(digest))
}
