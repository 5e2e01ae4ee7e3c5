//! Documents in both places, on the in-memory server and in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::Digest;

use super::*;
use crate::clients::kubernetes::Identity as Caller;
use crate::clients::kubernetes::Memory;
use crate::state::documents::documents;
use crate::state::identity::{ClusterRef, Purpose};

type Text = BTreeMap<String, String>;

fn document(text: &str) -> Text {
    [("orders".to_owned(), text.to_owned())].into()
}

fn server() -> Arc<Memory> {
    let words = String::from;
    let (namespace, server, source) = (words("kafka"), words("memory"), words("memory"));
    Arc::new(Memory::new(Caller { namespace, pod: None, service_account: None, source, server }))
}

fn identity(cluster_id: &str) -> Identity {
    let cluster = ClusterRef { id: cluster_id.into(), name: Some("orders".into()) };
    Identity { purpose: Purpose::Topics, cluster, owner: Some("a".into()) }
}

fn kept(place: &Place, cluster_id: &str) -> Document {
    Document::new(place.clone(), identity(cluster_id), Uuid::now_v7(), || "2026-11-22T08:00:00Z".parse().unwrap())
}

async fn loaded(place: &Place) -> anyhow::Result<Option<Text>> {
    kept(place, "id-1").load().await
}

async fn object(server: &Memory) -> ConfigMap {
    let found = server.config_maps("kafka", "app.kubernetes.io/component=record").await.unwrap();
    found.into_iter().next().unwrap()
}

#[tokio::test]
async fn what_is_kept_is_found_again_in_both_places() {
    let folder = tempfile::tempdir().unwrap();
    for place in [Place::Kubernetes(server()), Place::Folder(folder.path().join("state"))] {
        let mut first = kept(&place, "id-1");
        assert_eq!(first.load::<Text>().await.unwrap(), None);
        first.save(&document("1")).await.unwrap();
        first.save(&document("2")).await.unwrap();
        let mut second = kept(&place, "id-1");
        assert_eq!(second.load().await.unwrap(), Some(document("2")));
        second.save(&document("3")).await.unwrap();
        assert_eq!(loaded(&place).await.unwrap(), Some(document("3")));
    }
}

#[tokio::test]
async fn another_clusters_document_is_refused_and_names_both() {
    // In a folder it is another file: only Kubernetes has names that are not made of the id.
    for place in [Place::Kubernetes(server())] {
        kept(&place, "id-2").save(&document("1")).await.unwrap();
        let error = loaded(&place).await.unwrap_err();
        let words = error.to_string();
        assert!(words.contains("belongs to cluster id-2, but this is cluster id-1"), "{words}");
        assert_eq!(error.downcast_ref::<Stop>().unwrap().exit, crate::exit::Exit::Refused);
    }
}

#[tokio::test]
async fn what_can_not_be_understood_is_refused_and_never_overwritten_in_silence() {
    let server = server();
    let place = Place::Kubernetes(Arc::clone(&server) as Arc<dyn Kubernetes>);
    kept(&place, "id-1").save(&document("1")).await.unwrap();
    let right = object(&server).await;
    let text = right.data[TEXT_KEY].clone();
    let broken = [text[..40].to_owned(), text.replace("\"form\": 2", "\"form\": 9"), String::new(), "[]".into()];
    let mut version = right.resource_version.clone();
    for text in broken {
        let mut wrong = right.clone();
        wrong.data.insert(TEXT_KEY.into(), text.clone());
        wrong.resource_version = version;
        version = server.replace_config_map(&wrong).await.unwrap().resource_version;
        let words = loaded(&place).await.unwrap_err().to_string();
        assert!(words.contains("ConfigMap kafka/toolbox-topics-a"), "{text}: {words}");
        let error = kept(&place, "id-1").save(&document("2")).await.unwrap_err().to_string();
        assert!(error.contains("changed by another run"), "{error}");
    }
}

#[tokio::test]
async fn a_large_document_is_packed_and_one_beyond_all_limits_is_an_error() {
    let server = server();
    let place = Place::Kubernetes(Arc::clone(&server) as Arc<dyn Kubernetes>);
    // 20,000 topics with a few settings each: 3 MB.
    let topic = |number: u32| {
        (
            format!("team.orders.{number}"),
            format!(
                "retention.ms={}, cleanup.policy=compact, min.insync.replicas=2, max.message.bytes=1048576",
                number * 1_000
            ),
        )
    };
    let large: Text = (0..20_000).map(topic).collect();
    kept(&place, "id-1").save(&large).await.unwrap();
    let object = object(&server).await;
    assert!(object.data.is_empty() && object.bytes() < CONFIG_MAP_BYTES_MAX, "{} bytes", object.bytes());
    assert_eq!(loaded(&place).await.unwrap(), Some(large));
    let noise = |number: u32| (number.to_string(), format!("{:x}", sha2::Sha256::digest(number.to_be_bytes())));
    let noise: Text = (0..60_000).map(noise).collect();
    let error = kept(&place, "id-2").save(&noise).await.unwrap_err().to_string();
    assert!(error.contains("even when packed; a ConfigMap holds 1048576"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_label_that_a_person_sets_meanwhile_is_no_conflict_but_another_runs_document_is() {
    let server = server();
    let place = Place::Kubernetes(Arc::clone(&server) as Arc<dyn Kubernetes>);
    let mut mine = kept(&place, "id-1");
    mine.save(&document("1")).await.unwrap();
    let mut labelled = object(&server).await;
    labelled.labels.insert("team".into(), "orders".into());
    server.replace_config_map(&labelled).await.unwrap();
    mine.save(&document("2")).await.unwrap();
    let mut other = kept(&place, "id-1");
    other.load::<Text>().await.unwrap();
    other.save(&document("other")).await.unwrap();
    let error = mine.save(&document("3")).await.unwrap_err().to_string();
    assert!(error.contains("changed by another run in the meantime"), "{error}");
    assert_eq!(loaded(&place).await.unwrap(), Some(document("other")));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_asked_again_and_given_up_within_bounds() {
    let server = server();
    let place = Place::Kubernetes(Arc::clone(&server) as Arc<dyn Kubernetes>);
    let mut mine = kept(&place, "id-1");
    server.set_down(true);
    let back = async {
        sleep(PAUSE * 2).await;
        server.set_down(false);
    };
    let (kept_now, ()) = tokio::join!(async { mine.save(&document("1")).await }, back);
    kept_now.unwrap();
    assert_eq!(loaded(&place).await.unwrap(), Some(document("1")));
    server.set_down(true);
    let started = tokio::time::Instant::now();
    let error = mine.save(&document("2")).await.unwrap_err().to_string();
    assert!(error.contains("could not be reached") && started.elapsed() < Duration::from_secs(10), "{error}");
}

#[tokio::test]
async fn a_file_that_can_not_be_written_keeps_the_old_one_and_leaves_no_scraps() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    kept(&place, "id-1").save(&document("1")).await.unwrap();
    let entries = fs::read_dir(folder.path().join("records")).unwrap();
    let names: BTreeSet<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["topics-id-1-a.json", "topics-id-1-a.lock"].map(str::to_owned).into());
    let nowhere = Place::Folder("/proc/nowhere".into());
    assert!(kept(&nowhere, "id-1").save(&document("2")).await.is_err());
}

#[tokio::test]
async fn of_two_runs_that_read_the_same_document_only_the_first_one_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    for place in [Place::Kubernetes(server()), Place::Folder(folder.path().join("state"))] {
        let (mut one, mut two) = (kept(&place, "id-1"), kept(&place, "id-1"));
        assert_eq!(one.load::<Text>().await.unwrap(), None);
        assert_eq!(two.load::<Text>().await.unwrap(), None);
        one.save(&document("1")).await.unwrap();
        assert!(two.save(&document("2")).await.unwrap_err().is::<Changed>());
        assert_eq!(loaded(&place).await.unwrap(), Some(document("1")));
        // A change that is made of what is there succeeds whoever was faster.
        two.update(|mut text: Text| {
            text.insert("two".into(), "2".into());
            text
        })
        .await
        .unwrap();
        let both = loaded(&place).await.unwrap().unwrap();
        assert_eq!((both["orders"].as_str(), both["two"].as_str()), ("1", "2"));
    }
}

#[tokio::test]
async fn a_record_is_found_however_the_cluster_was_addressed() {
    let folder = tempfile::tempdir().unwrap();
    for place in [Place::Kubernetes(server()), Place::Folder(folder.path().join("state"))] {
        let of = |name: Option<&str>| {
            let cluster = ClusterRef { id: "id-1".into(), name: name.map(str::to_owned) };
            let identity = Identity { purpose: Purpose::Moves, cluster, owner: None };
            Document::new(place.clone(), identity, Uuid::now_v7(), || "2026-11-22T08:00:00Z".parse().unwrap())
        };
        of(Some("main")).save(&document("1")).await.unwrap();
        let mut unnamed = of(None);
        assert_eq!(unnamed.load().await.unwrap(), Some(document("1")));
        unnamed.save(&document("2")).await.unwrap();
        assert_eq!(of(Some("main")).load().await.unwrap(), Some(document("2")));
        assert_eq!(of(Some("other")).load().await.unwrap(), Some(document("2")));
    }
}

/// A record of an ensemble with this text in it.
async fn ensemble_record(change: impl FnOnce(&str) -> String) -> (tempfile::TempDir, Place) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().join("state"));
    let mut record = Document::new(place.clone(), Identity::of_ensemble("main"), Uuid::now_v7(), Timestamp::now);
    record.save(&document("1")).await.unwrap();
    let path = folder.path().join("state/records/ensemble-main.json");
    fs::write(&path, change(&fs::read_to_string(&path).unwrap())).unwrap();
    (folder, place)
}

#[tokio::test]
async fn a_damaged_record_is_refused_with_the_way_back_wherever_it_is_met() {
    let changes: [fn(&str) -> String; 5] = [
        |_| String::new(),
        |text| text[..60].to_owned(),
        |text| text.replace("\"form\": 2", "\"form\": 9"),
        |text| text.replace("\"purpose\": \"ensemble\"", "\"purpose\": \"mapping\""),
        |text| text.replace("\"owner\": null", "\"owner\": \"a\", \"more\": 1").replace("\"ensemble\"", "\"topics\""),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let (_folder, place) = ensemble_record(change).await;
        let mut record = Document::new(place.clone(), Identity::of_ensemble("main"), Uuid::now_v7(), Timestamp::now);
        let by_name = record.load::<Text>().await.unwrap_err();
        let by_list = documents(&place, Purpose::Ensemble).await.unwrap().all::<Text>().unwrap_err();
        for error in [by_name, by_list] {
            let words = error.to_string();
            assert_eq!(error.downcast_ref::<Stop>().map(|stop| stop.exit), Some(crate::exit::Exit::Refused), "{words}");
            assert!(words.contains("ensemble-main.json can't be understood (") && words.contains("adopt"), "{words}");
            assert!(words.contains("Restore it from a backup") && !words.contains("--owner"), "{number}: {words}");
        }
    }
}

#[tokio::test]
async fn a_record_that_is_no_text_is_refused_as_any_other_that_can_not_be_understood() {
    let (folder, place) = ensemble_record(str::to_owned).await;
    fs::write(folder.path().join("state/records/ensemble-main.json"), b"\xff\xfe").unwrap();
    let mut record = Document::new(place.clone(), Identity::of_ensemble("main"), Uuid::now_v7(), Timestamp::now);
    let by_name = record.load::<Text>().await.unwrap_err();
    let by_list = documents(&place, Purpose::Ensemble).await.unwrap_err();
    for error in [by_name, by_list] {
        assert_eq!(error.downcast_ref::<Stop>().unwrap().exit, crate::exit::Exit::Refused, "{error}");
    }
}
