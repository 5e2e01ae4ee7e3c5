//! The images on a real node, under the manifests: the CronJob's pod applies its ConfigMaps to a real Kafka cluster,
//! and people work in the toolbox pod.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::control_plane::ControlPlane;
use super::image::{self, pause};
use super::manifests::Overlay;
use super::node::Node;
use super::supervisor::wait_until;
use crate::live::kafka::{Cluster, Kind, Shape};

/// Pods of the job and of people share the host's network, where the brokers are; nothing else differs from what a
/// user applies, but that the job starts every minute and gives up sooner.
const PATCHES: &str = r#"patches:
- target: {kind: Namespace}
  patch: |
    - {op: remove, path: /metadata/labels/pod-security.kubernetes.io~1enforce}
- target: {kind: CronJob, name: topics}
  patch: |
    - {op: replace, path: /spec/schedule, value: "* * * * *"}
    - {op: add, path: /spec/suspend, value: SUSPENDED}
    - {op: replace, path: /spec/jobTemplate/spec/backoffLimit, value: 1}
    - {op: add, path: /spec/jobTemplate/spec/template/spec/hostNetwork, value: true}
- target: {kind: CronJob, name: reassign}
  patch: |
    - {op: add, path: /spec/jobTemplate/spec/template/spec/hostNetwork, value: true}
- target: {kind: Deployment, name: toolbox}
  patch: |
    - {op: add, path: /spec/template/spec/hostNetwork, value: true}
"#;

/// A Kubernetes cluster with a node, and four brokers beside it.
pub(super) struct Bed {
    pub(super) kubernetes: ControlPlane,
    pub(super) kafka: Cluster,
}

impl Bed {
    /// The one of all tests here, where this machine can have it.
    pub(super) fn shared() -> Option<&'static Self> {
        static BED: OnceLock<Bed> = OnceLock::new();
        if !Node::is_possible() || !image::is_possible() {
            return None;
        }
        let bed = BED.get_or_init(|| {
            let images = image::ours();
            let kafka = Cluster::start(Kind::Kafka43Kraft, &Shape::racks(&["a", "b", "c", "d"])).unwrap();
            let kubernetes = ControlPlane::start();
            let pause = pause::image(kubernetes.folder());
            Node::start(&kubernetes, &[&pause, &images.toolbox, &images.shell]);
            Bed { kubernetes, kafka }
        });
        bed.kubernetes.is_used_by_this_test();
        Some(bed)
    }

    /// Runs Kafka's own topic tool.
    pub(super) fn topic_tool(&self, arguments: &[&str]) -> String {
        let bootstrap = self.kafka.bootstrap();
        let arguments = [&["--bootstrap-server", bootstrap.as_str()], arguments].concat();
        self.kafka.tool("org.apache.kafka.tools.TopicCommand", &arguments).unwrap()
    }

    /// The manifests in a namespace of their own, with a CronJob that starts every minute, or never.
    fn namespace(&'static self, is_suspended: bool) -> Namespace {
        let name = self.kubernetes.namespace("pods");
        let patches = PATCHES.replace("SUSPENDED", &is_suspended.to_string());
        let overlay = Overlay::new(&name, &self.kafka.bootstrap(), &patches);
        overlay.apply(&self.kubernetes);
        overlay.declare_examples(&self.kubernetes, &name);
        Namespace { bed: self, name }
    }
}

/// The manifests, applied.
struct Namespace {
    bed: &'static Bed,
    name: String,
}

impl Namespace {
    fn kubectl(&self, arguments: &[&str]) -> String {
        self.bed.kubernetes.kubectl(&[&["--namespace", &self.name], arguments].concat())
    }

    /// Waits for a job's end, one way or the other; returns what its pod logged.
    fn job_ends(&self, job: &str, condition: &str) -> String {
        let status = format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")].status}}");
        wait_until(&format!("{job} to be {condition}"), Duration::from_secs(100), || {
            self.kubectl(&["get", job, "-o", &status]) == "True"
        });
        self.kubectl(&["logs", job, "--tail=-1"])
    }

    /// All events, as `TYPE KIND/NAME REASON NOTE`.
    fn events(&self) -> String {
        let event = r#"{.type} {.involvedObject.kind}/{.involvedObject.name} {.reason} {.message}{"\n"}"#;
        self.kubectl(&["get", "events", "-o", &format!("jsonpath={{range .items[*]}}{event}{{end}}")])
    }

    /// What Kafka's own tool says about the topics that start so.
    fn topics(&self, prefix: &str) -> String {
        let pattern = format!("{prefix}.*");
        self.bed.topic_tool(&["--describe", "--topic", &pattern])
    }
}

#[test]
fn the_cron_job_makes_the_cluster_as_its_config_maps_say_within_its_minute() {
    let Some(bed) = Bed::shared() else { return };
    let namespace = bed.namespace(false);
    let applied = Instant::now();
    let mut job = String::new();
    wait_until("the CronJob's first job", Duration::from_secs(75), || {
        job = namespace.kubectl(&["get", "jobs", "-o", "name"]).lines().next().unwrap_or_default().to_owned();
        !job.is_empty()
    });
    let log = namespace.job_ends(&job, "Complete");
    assert!(applied.elapsed() < Duration::from_secs(90), "{:?}", applied.elapsed());
    namespace.kubectl(&["patch", "cronjob", "topics", "-p", r#"{"spec": {"suspend": true}}"#]);
    let shop = namespace.topics("shop");
    assert!(shop.contains("Topic: shop.orders"), "{shop}\n{log}");
    assert!(shop.contains("retention.ms=604800000"), "{shop}\n{log}");
    assert!(namespace.topics("web").contains("Topic: web.clicks"), "{log}");
    let events = namespace.events();
    assert!(events.lines().any(|event| event.contains("CronJob/topics") && event.contains("shop.orders")), "{events}");

    second_run_changes_nothing(&namespace);
    edit_with_an_error_fails_the_job_and_blocks_no_other_team(&namespace);
}

fn second_run_changes_nothing(namespace: &Namespace) {
    let before = namespace.topics("(shop|web)");
    namespace.kubectl(&["create", "job", "--from=cronjob/topics", "again"]);
    let log = namespace.job_ends("job/again", "Complete");
    assert!(log.contains("nothing to do"), "{log}");
    assert_eq!(namespace.topics("(shop|web)"), before);
}

fn edit_with_an_error_fails_the_job_and_blocks_no_other_team(namespace: &Namespace) {
    let before = namespace.topics("(shop|web)");
    let shop = namespace.kubectl(&["get", "configmap", "topics-shop", "-o", r"jsonpath={.data.shop\.yaml}"]);
    let wrong =
        shop.replace("retention.ms: 604800000", "retention.mss: 604800000").replace("partitions: 6", "partitions: 9");
    let line = wrong.lines().position(|line| line.contains("retention.mss")).unwrap() + 1;
    let patch = serde_json::json!({"data": {"shop.yaml": wrong}}).to_string();
    namespace.kubectl(&["patch", "configmap", "topics-shop", "-p", &patch]);
    let other = "topics: [{name: other.team, partitions: 1, replicationFactor: 3}]";
    namespace.kubectl(&["create", "configmap", "topics-other", &format!("--from-literal=other.yaml={other}")]);
    namespace.kubectl(&["label", "configmap", "topics-other", "toolbox/topics=true"]);
    namespace.kubectl(&["create", "job", "--from=cronjob/topics", "wrong"]);
    let log = namespace.job_ends("job/wrong", "Failed");
    let place = format!("configmap {}/topics-shop, key shop.yaml:{line}:", namespace.name);
    assert!(log.contains(&place), "{place} is not in:\n{log}");
    assert!(log.contains("retention.ms`"), "the hint is not in:\n{log}");
    let events = namespace.events();
    assert!(events.lines().any(|event| event.starts_with("Warning Job/wrong PodFailurePolicy")), "{events}");
    let said = events.lines().any(|event| event.starts_with("Warning CronJob/topics TopicsApplyFailed"));
    assert!(said && events.contains(&place), "{events}");
    assert_eq!(namespace.topics("(shop|web)"), before);
    assert!(namespace.topics("other").contains("Topic: other.team"), "the other team's topic is there\n{log}");
}

#[test]
fn a_job_without_a_plan_ends_at_once_and_says_what_to_create() {
    let Some(bed) = Bed::shared() else { return };
    let namespace = bed.namespace(true);
    namespace.kubectl(&["create", "job", "--from=cronjob/reassign", "no-plan"]);
    let log = namespace.job_ends("job/no-plan", "Failed");
    assert!(log.contains("there is no plan in /plan") && log.contains("create configmap reassign-plan"), "{log}");
}

#[test]
fn people_list_topics_in_the_toolbox_pod() {
    let Some(bed) = Bed::shared() else { return };
    let namespace = bed.namespace(true);
    bed.topic_tool(&["--create", "--topic", "seen-by-people"]);
    namespace.kubectl(&["rollout", "status", "deployment/toolbox", "--timeout=60s"]);
    let pod = "deployment/toolbox";
    let listed = namespace.kubectl(&["exec", pod, "--", "toolbox", "topics", "list"]);
    assert!(listed.contains("seen-by-people"), "{listed}");
    let who = namespace.kubectl(&["exec", pod, "--", "bash", "-c", "id -u; touch /x || echo read-only"]);
    assert_eq!(who, "65532\nread-only\n");
    let completed = "COMPLETE=bash _CLAP_COMPLETE_INDEX=3 toolbox -- toolbox topics describe seen";
    let completed = namespace.kubectl(&["exec", pod, "--", "bash", "-c", completed]);
    assert!(completed.contains("seen-by-people"), "{completed}");
}
