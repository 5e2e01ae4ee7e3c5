//! Real servers keep the contract; servers that freeze, die and come back end in typed errors in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_toolbox::clients::zookeeper::live::Live;
use kafka_toolbox::clients::zookeeper::settings::{Given, Login, Scheme, Settings};
use kafka_toolbox::clients::zookeeper::{
    Creation, EventKind, Mode, Permissions, Reconfiguration, Refusal, WatchKind, ZooKeeper, ZooKeeperError,
};
use kafka_toolbox::formats::secret::remember;
use rustix::process::Signal;

use super::contract;
use crate::live::zookeeper::{Ensemble, Role, Shape};

/// How long calls may take here: the tests share a small machine.
const PATIENT: Duration = Duration::from_secs(40);

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn login(scheme: Scheme, user: &str, password: &str) -> Login {
    Login { scheme, user: user.to_owned(), password: remember(password) }
}

fn settings(servers: &str, login: Option<Login>, timeout: Duration) -> Settings {
    Settings::load(None, Given { zookeeper: servers, timeout: Some(timeout), login, is_implicit: false }).unwrap()
}

async fn open(servers: &str) -> Live {
    Live::connect(settings(servers, None, PATIENT)).await.unwrap()
}

async fn open_as(servers: &str, scheme: Scheme, user: &str, password: &str) -> Live {
    Live::connect(settings(servers, Some(login(scheme, user, password)), PATIENT)).await.unwrap()
}

#[test]
fn real_servers_keep_the_contract_below_a_chroot_too() {
    let ensemble = Ensemble::shared();
    wait(async {
        let root = open(&ensemble.addresses(&[1])).await;
        root.create("/contract", b"", &Creation::open(Mode::Persistent)).await.unwrap();
        let below = |number| format!("{}/contract", ensemble.addresses(&[number]));
        let (one, other) = (open(&below(1)).await, open(&below(2)).await);
        other.sync("/").await.unwrap();
        contract::nodes(&one, &other).await;
        contract::together(&one).await;
        contract::watches(&one, &other).await;
        let ada = open_as(&below(3), Scheme::Digest, "ada", "lovelace").await;
        ada.sync("/").await.unwrap();
        contract::access(&ada, &other).await;
        contract::closing(&one, &other).await;
        assert_eq!(root.children("/contract").await.unwrap(), ["nodes", "private", "together", "watched"]);
    });
}

#[test]
fn the_membership_of_a_real_server_keeps_the_contract() {
    let ensemble = Ensemble::start(&Shape::of(1).spares(2)).unwrap();
    wait(async {
        let servers = ensemble.addresses(&[1]);
        let line = |id: u64, role: &str| {
            let role = if role == "observer" { Role::Observer } else { Role::Participant };
            ensemble.member(u32::try_from(id).unwrap()).line(role)
        };
        let may = open_as(&servers, Scheme::Digest, "super", "super-of-tests").await;
        contract::membership(&may, &open(&servers).await, line).await;
        // The addresses of another server are taken, as the fake takes them: whoever changes the membership has to look.
        let same = line(1, "observer").replace("server.1=", "server.7=");
        let join = Reconfiguration { joining: vec![same], ..Reconfiguration::default() };
        may.reconfigure(&join).await.unwrap();
    });
}

#[test]
fn tls_is_that_of_the_properties_and_a_wrong_trust_store_is_said() {
    let ensemble = Ensemble::shared();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let trust = write("trust.pem", ensemble.authority());
    let stranger = write("stranger.pem", &crate::live::security::certificates::self_signed().certificate);
    let properties = |trust: &std::path::Path| {
        let text = format!("zookeeper.client.secure=true\nzookeeper.ssl.trustStore.location={}\n", trust.display());
        write("client.properties", &text)
    };
    let connect = |servers: String, trust: &std::path::Path| {
        let given = Given { zookeeper: &servers, timeout: Some(PATIENT), login: None, is_implicit: false };
        wait(async { Live::connect(Settings::load(Some(&properties(trust)), given).unwrap()).await.map(Arc::new) })
    };
    let secure = ensemble.secure_addresses(&[1]);
    let given = Given { zookeeper: &secure, timeout: Some(PATIENT), login: None, is_implicit: false };
    let settings = Settings::load(Some(&properties(&trust)), given).unwrap();
    wait(async {
        let session = Live::connect(settings).await.unwrap();
        assert!(session.configuration().await.unwrap().text.starts_with(b"server.1="));
    });
    let error = connect(secure.clone(), &stranger).unwrap_err();
    assert!(matches!(error, ZooKeeperError::Security { .. }), "{error}");
    assert!(error.to_string().contains(&*stranger.to_string_lossy()), "{error}");
}

#[test]
fn sasl_knows_the_user_and_refuses_a_wrong_password() {
    let ensemble = Ensemble::shared();
    let servers = ensemble.addresses(&[1, 2, 3]);
    wait(async {
        let ada = open_as(&servers, Scheme::Sasl, "ada", "lovelace").await;
        let acl = kafka_toolbox::clients::zookeeper::Acl {
            permissions: Permissions::ALL,
            scheme: "sasl".to_owned(),
            id: "ada".to_owned(),
        };
        ada.create("/sasl", b"x", &Creation { mode: Mode::Ephemeral, acl: vec![acl] }).await.unwrap();
        assert_eq!(ada.get("/sasl").await.unwrap().data, b"x");
        assert_eq!(open(&servers).await.get("/sasl").await.unwrap_err().refusal(), Some(Refusal::NoAuth));
        let wrong = settings(&servers, Some(login(Scheme::Sasl, "ada", "not-it-at-all")), PATIENT);
        let error = Live::connect(wrong).await.unwrap_err();
        assert!(matches!(error, ZooKeeperError::AuthFailed(_)), "{error}");
        assert!(!error.to_string().contains("not-it-at-all"), "{error}");
    });
}

#[test]
fn a_session_goes_on_at_another_server_with_its_login_and_its_watches() {
    let ensemble = Ensemble::start(&Shape::of(3)).unwrap();
    let leader = ensemble.await_leader(&[1, 2, 3]).unwrap();
    let others: Vec<u32> = [1, 2, 3].into_iter().filter(|&number| number != leader).collect();
    wait(async {
        let all = [&[leader][..], &others].concat();
        let session = open_as(&ensemble.addresses(&all), Scheme::Digest, "super", "super-of-tests").await;
        session.create("/kept", b"", &Creation::open(Mode::Ephemeral)).await.unwrap();
        let mut watching = session.watch("/kept", WatchKind::Node).await.unwrap();

        ensemble.stop(leader, Signal::KILL).unwrap();
        ensemble.await_leader(&others).unwrap();
        let read = session.get("/kept").await;
        let stat = match read {
            Err(error) if error.is_unknown() => session.get("/kept").await.unwrap().stat,
            read => read.unwrap().stat,
        };
        assert_ne!(stat.ephemeral_owner, 0, "the same session owns it");
        assert_eq!(watching.next().await.kind, EventKind::Missed, "events may be missing: it is to be read again");
        open(&ensemble.addresses(&others)).await.set("/kept", b"2", None).await.unwrap();
        let event = tokio::time::timeout(PATIENT, watching.next()).await.unwrap();
        assert_eq!(event.kind, EventKind::DataChanged, "the watch is set at the other server");
        // The login, too: only `super` may do this.
        let nothing = Reconfiguration { leaving: vec![99], ..Reconfiguration::default() };
        session.reconfigure(&nothing).await.unwrap();
    });
}

#[test]
fn a_frozen_server_and_one_without_a_quorum_end_in_errors_within_the_deadline() {
    let ensemble = Ensemble::start(&Shape::of(3)).unwrap();
    let leader = ensemble.await_leader(&[1, 2, 3]).unwrap();
    let others: Vec<u32> = [1, 2, 3].into_iter().filter(|&number| number != leader).collect();
    let short = Duration::from_secs(2);
    wait(async {
        let servers = ensemble.addresses(&[leader]);
        let session = Live::connect(settings(&servers, None, short)).await.unwrap();
        ensemble.freeze(leader).unwrap();
        let start = Instant::now();
        let error = session.set("/", b"x", None).await.unwrap_err();
        assert!(error.is_unknown(), "{error}");
        let error = Live::connect(settings(&servers, None, short)).await.unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
        assert!(start.elapsed() < short * 2 + Duration::from_secs(8), "{:?}", start.elapsed());

        for number in &others {
            ensemble.stop(*number, Signal::KILL).unwrap();
        }
        ensemble.thaw(leader).unwrap();
        let start = Instant::now();
        // It may take some ticks until the leader sees that nobody follows.
        let error = loop {
            match Live::connect(settings(&servers, None, short)).await {
                Err(error) => break error,
                Ok(_) => assert!(start.elapsed() < PATIENT, "it serves without a quorum"),
            }
        };
        assert!(matches!(error, ZooKeeperError::Unreachable { .. }), "{error}");
    });
}
