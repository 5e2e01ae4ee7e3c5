//! What any ensemble does, real or in memory. Each part uses nodes of its own.

use std::time::Duration;

use kafka_toolbox::clients::zookeeper::{
    Acl, CONFIG_PATH, Creation, EventKind, Mode, Operation, Outcome, Permissions, Reconfiguration, Refusal, WatchKind,
    Watching, ZooKeeper, ZooKeeperError,
};
use kafka_toolbox::formats::secret::remember;

/// The longest that an event may take.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

fn refusal<T: std::fmt::Debug>(result: Result<T, ZooKeeperError>) -> Refusal {
    let error = result.unwrap_err();
    assert!(!error.is_unknown(), "{error}");
    error.refusal().unwrap_or_else(|| panic!("not refused by the server: {error}"))
}

/// The version in the text of a configuration.
pub(super) fn version_of(text: &[u8]) -> i64 {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let version = text.lines().find_map(|line| line.strip_prefix("version=")).unwrap();
    i64::from_str_radix(version, 16).unwrap()
}

/// Nodes: `one` and `other` are two sessions of nobody in particular.
pub(super) async fn nodes(one: &dyn ZooKeeper, other: &dyn ZooKeeper) {
    let persistent = Creation::open(Mode::Persistent);
    assert_eq!(one.create("/nodes", b"a", &persistent).await.unwrap(), "/nodes");
    assert_eq!(refusal(one.create("/nodes", b"", &persistent).await), Refusal::NodeExists);
    assert_eq!(refusal(one.create("/nowhere/x", b"", &persistent).await), Refusal::NoNode);
    assert_eq!(refusal(one.get("/nowhere").await), Refusal::NoNode);
    assert_eq!(one.stat("/nowhere").await.unwrap(), None);

    one.sync("/").await.unwrap();
    let node = one.get("/nodes").await.unwrap();
    assert_eq!((node.data.as_slice(), node.stat.version, node.stat.data_length), (&b"a"[..], 0, 1));
    assert_eq!(refusal(one.set("/nodes", b"b", Some(1)).await), Refusal::BadVersion);
    let stat = one.set("/nodes", b"bc", Some(0)).await.unwrap();
    assert_eq!((stat.version, stat.data_length), (1, 2));
    assert!(stat.mzxid > node.stat.mzxid && stat.czxid == node.stat.czxid);
    assert_eq!(one.set("/nodes", b"", None).await.unwrap().version, 2);
    assert_eq!(one.get("/nodes").await.unwrap().data, b"");

    one.create("/nodes/b", b"", &persistent).await.unwrap();
    one.create("/nodes/a", b"", &persistent).await.unwrap();
    assert_eq!(one.children("/nodes").await.unwrap(), ["a", "b"]);
    assert_eq!(one.stat("/nodes").await.unwrap().unwrap().children, 2);
    assert_eq!(refusal(one.delete("/nodes", None).await), Refusal::NotEmpty);
    assert_eq!(refusal(one.delete("/nodes/a", Some(7)).await), Refusal::BadVersion);
    one.delete("/nodes/a", Some(0)).await.unwrap();

    let numbered = one.create("/nodes/n-", b"", &Creation::open(Mode::PersistentSequential)).await.unwrap();
    assert_eq!(numbered, "/nodes/n-0000000002");
    one.create("/nodes/mine", b"", &Creation::open(Mode::Ephemeral)).await.unwrap();
    assert_eq!(refusal(one.create("/nodes/mine/x", b"", &persistent).await), Refusal::NoChildrenForEphemerals);
    other.sync("/").await.unwrap();
    assert_ne!(other.stat("/nodes/mine").await.unwrap().unwrap().ephemeral_owner, 0);
}

/// A session that is closed: its ephemeral nodes go, and nothing can be asked any more.
pub(super) async fn closing(one: &dyn ZooKeeper, other: &dyn ZooKeeper) {
    let mut watching = other.watch("/closing", WatchKind::Node).await.unwrap();
    one.create("/closing", b"", &Creation::open(Mode::Ephemeral)).await.unwrap();
    one.close().await.unwrap();
    assert_eq!(next(&mut watching).await, (EventKind::Created, "/closing".to_owned()));
    assert_eq!(next(&mut watching).await, (EventKind::Deleted, "/closing".to_owned()));
    assert_eq!(one.get("/").await.unwrap_err(), ZooKeeperError::Closed);
    one.close().await.unwrap();
}

async fn next(watching: &mut Watching) -> (EventKind, String) {
    let event = tokio::time::timeout(SEEN_WITHIN, watching.next()).await.unwrap();
    (event.kind, event.path)
}

/// Several operations at once.
pub(super) async fn together(one: &dyn ZooKeeper) {
    let creation = Creation::open(Mode::Persistent);
    let path = |name: &str| format!("/together{name}");
    one.create("/together", b"", &creation).await.unwrap();
    let create = |name: &str| Operation::Create { path: path(name), data: b"x".to_vec(), creation: creation.clone() };
    let done = one
        .multi(&[
            Operation::Check { path: path(""), version: 0 },
            create("/a"),
            Operation::Set { path: path("/a"), data: b"y".to_vec(), version: Some(0) },
            create("/b"),
            Operation::Delete { path: path("/b"), version: None },
        ])
        .await
        .unwrap();
    assert!(
        matches!(&done[..], [Outcome::Checked, Outcome::Created(a), Outcome::Set(stat), Outcome::Created(_), Outcome::Deleted] if a == "/together/a" && stat.version == 1),
        "{done:?}"
    );

    let error = one.multi(&[create("/c"), create("/a"), create("/d")]).await.unwrap_err();
    assert!(matches!(error, ZooKeeperError::Operation { index: 1, .. }), "{error}");
    assert_eq!(error.refusal(), Some(Refusal::NodeExists));
    assert_eq!(one.children("/together").await.unwrap(), ["a"], "all or none");
    assert_eq!(one.multi(&[]).await.unwrap(), []);
}

/// Watches: of a node, and of all below it.
pub(super) async fn watches(one: &dyn ZooKeeper, other: &dyn ZooKeeper) {
    let creation = Creation::open(Mode::Persistent);
    one.create("/watched", b"", &creation).await.unwrap();
    let mut node = one.watch("/watched", WatchKind::Node).await.unwrap();
    let mut tree = one.watch("/watched", WatchKind::Tree).await.unwrap();
    other.sync("/").await.unwrap();
    for data in [b"1", b"2"] {
        other.set("/watched", data, None).await.unwrap();
    }
    other.create("/watched/a", b"", &creation).await.unwrap();
    other.set("/watched/a", b"", None).await.unwrap();
    other.delete("/watched/a", None).await.unwrap();
    let event = |kind, path: &str| (kind, path.to_owned());
    let changed = event(EventKind::DataChanged, "/watched");
    let children = event(EventKind::ChildrenChanged, "/watched");
    for expected in [&changed, &changed, &children, &children] {
        assert_eq!(&next(&mut node).await, expected, "a watch fires more than once");
    }
    let of_child = |kind| event(kind, "/watched/a");
    let below = [EventKind::Created, EventKind::DataChanged, EventKind::Deleted].map(of_child);
    for expected in [changed.clone(), changed].into_iter().chain(below) {
        assert_eq!(next(&mut tree).await, expected);
    }
}

/// Access lists: `user` is a session of the digest user `ada` (`lovelace`), `anyone` one of nobody in particular.
pub(super) async fn access(user: &dyn ZooKeeper, anyone: &dyn ZooKeeper) {
    let own = Acl::digest("ada", &remember("lovelace"), Permissions::ALL);
    let creation = Creation { mode: Mode::Persistent, acl: vec![own.clone()] };
    user.create("/private", b"", &creation).await.unwrap();
    let (acl, stat) = user.acl("/private").await.unwrap();
    assert_eq!((acl, stat.aversion), (vec![own.clone()], 0));
    anyone.sync("/").await.unwrap();
    assert_eq!(refusal(anyone.get("/private").await), Refusal::NoAuth);
    assert_eq!(refusal(anyone.set_acl("/private", &Acl::open(), None).await), Refusal::NoAuth);
    assert_eq!(refusal(user.set_acl("/private", &[], None).await), Refusal::InvalidAcl);
    assert_eq!(refusal(user.set_acl("/private", &Acl::open(), Some(5)).await), Refusal::BadVersion);
    let world = Acl { permissions: Permissions::READ, ..Acl::open().remove(0) };
    assert_eq!(user.set_acl("/private", &[own, world], Some(0)).await.unwrap().aversion, 1);
    anyone.sync("/").await.unwrap();
    assert_eq!(anyone.get("/private").await.unwrap().data, b"");
    assert_eq!(refusal(anyone.set("/private", b"", None).await), Refusal::NoAuth);
}

/// One server with id 1 and a client that may reconfigure; `line` makes the line of server 2 or 3, which do not run.
pub(super) async fn membership(may: &dyn ZooKeeper, anyone: &dyn ZooKeeper, line: impl Fn(u64, &str) -> String) {
    let first = may.configuration().await.unwrap();
    assert_eq!(first.stat.mzxid, version_of(&first.text), "the version is the transaction that made it");
    assert_eq!(may.get(CONFIG_PATH).await.unwrap().data, first.text);
    let join = |line: String| Reconfiguration { joining: vec![line], ..Reconfiguration::default() };
    let observer = join(line(2, "observer"));
    assert_eq!(refusal(anyone.reconfigure(&observer).await), Refusal::NoAuth);
    let stale = Reconfiguration { from_version: Some(version_of(&first.text) - 1), ..observer.clone() };
    assert_eq!(refusal(may.reconfigure(&stale).await), Refusal::BadVersion);
    // Two of two, one of which does not run.
    assert_eq!(refusal(may.reconfigure(&join(line(2, "participant"))).await), Refusal::NewConfigNoQuorum);
    for wrong in ["server.2=127.0.0.1", "2", "server.2=127.0.0.1:x:y;z"] {
        assert_eq!(refusal(may.reconfigure(&join(wrong.to_owned())).await), Refusal::BadArguments, "{wrong}");
    }
    assert_eq!(refusal(may.reconfigure(&join("server.x=a:1:2;3".to_owned())).await), Refusal::MarshallingError);

    let mut watching = may.watch(CONFIG_PATH, WatchKind::Node).await.unwrap();
    let current = Reconfiguration { from_version: Some(version_of(&first.text)), ..observer };
    let second = may.reconfigure(&current).await.unwrap();
    assert!(version_of(&second.text) > version_of(&first.text));
    assert!(String::from_utf8_lossy(&second.text).contains("server.2="));
    assert_eq!(next(&mut watching).await, (EventKind::DataChanged, CONFIG_PATH.to_owned()));
    assert_eq!(refusal(may.reconfigure(&current).await), Refusal::BadVersion, "sent twice, it is refused");

    let leave = |id: u64| Reconfiguration { leaving: vec![id], ..Reconfiguration::default() };
    let third = may.reconfigure(&leave(9)).await.unwrap();
    assert!(version_of(&third.text) > version_of(&second.text), "a change of nothing makes a version, too");
    assert_eq!(refusal(may.reconfigure(&leave(1)).await), Refusal::BadArguments, "nobody would be left");
    let last = may.reconfigure(&leave(2)).await.unwrap();
    assert!(!String::from_utf8_lossy(&last.text).contains("server.2="));
    assert_eq!(may.configuration().await.unwrap(), last);
    assert_eq!(last.stat.version, -1, "the ordinary version is of no use");
}
