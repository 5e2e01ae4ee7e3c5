//! AdmissionReviews (`admission.k8s.io/v1`) about evictions: the question of the API server, and its answer.
//!
//! A refusal for now has the code 429 with the reason `TooManyRequests`, as the API server itself answers where a
//! PodDisruptionBudget is in the way: `kubectl drain` and autoscalers try again after it. It has no `retryAfterSeconds`: with
//! that, client-go repeats the request ten times in silence before the reason is shown. A refusal for good is a 403.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::visible;

/// Longest body of a request. A review of an eviction has some 2 KiB; the groups of its user may be many.
pub const BODY_BYTES_MAX: usize = 256 << 10;

/// Longest message of an answer.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Most warnings, and the longest: the API server cuts longer ones.
const WARNINGS_MAX: usize = 3;
const WARNING_CHARS_MAX: usize = 240;

/// Longest uid of a review, and longest name of a user.
const UID_BYTES_MAX: usize = 128;
const USER_CHARS_MAX: usize = 200;

/// Longest name of a pod or a namespace.
const NAME_BYTES_MAX: usize = 253;

const VERSION: &str = "admission.k8s.io/v1";

/// A pod, by its namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    /// The namespace.
    pub namespace: String,
    /// The name in it.
    pub name: String,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The question whether a pod may be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// By which the answer is known.
    pub uid: String,
    /// Which pod.
    pub pod: PodName,
    /// Whether nothing is to happen: `?dryRun=All` of the request, or in its `deleteOptions`, as `kubectl drain
    /// --dry-run=server` has it.
    pub is_dry_run: bool,
    /// Who asks.
    pub user: String,
}

/// Why a body is no question about an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is no AdmissionReview: HTTP 400.
    NoReview(String),
    /// It is a review of something else, or one that contradicts itself: it is denied.
    NoEviction {
        /// By which the answer is known.
        uid: String,
        /// What is wrong.
        why: String,
    },
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It may be evicted. Warnings are shown to whoever asked.
    Allowed {
        /// What a person should know.
        warnings: Vec<String>,
    },
    /// Not now: the same request may succeed later (429).
    NotNow(String),
    /// Not until a person changes something (403).
    Forbidden(String),
    /// The request is wrong (400).
    Wrong(String),
}

impl Answer {
    /// Allowed without a warning.
    pub fn allowed() -> Self {
        Self::Allowed { warnings: Vec::new() }
    }

    /// Whether it is allowed.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }

    /// Its word in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Allowed { .. } => "allowed",
            Self::NotNow(_) => "not_now",
            Self::Forbidden(_) => "forbidden",
            Self::Wrong(_) => "wrong",
        }
    }

    /// The AdmissionReview that answers the one with this uid.
    pub fn review(&self, uid: &str) -> Value {
        let response = match self {
            Self::Allowed { warnings } => {
                let shown = |text: &String| visible::bounded(text, WARNING_CHARS_MAX).into_owned();
                let warnings: Vec<_> = warnings.iter().take(WARNINGS_MAX).map(shown).collect();
                json!({"uid": uid, "allowed": true, "warnings": warnings})
            }
            Self::NotNow(why) => denied(uid, 429, "TooManyRequests", why),
            Self::Forbidden(why) => denied(uid, 403, "Forbidden", why),
            Self::Wrong(why) => denied(uid, 400, "BadRequest", why),
        };
        json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response})
    }
}

fn denied(uid: &str, code: u16, reason: &str, why: &str) -> Value {
    let message = visible::bounded(why, MESSAGE_CHARS_MAX);
    json!({
        "uid": uid,
        "allowed": false,
        "status": {"status": "Failure", "code": code, "reason": reason, "message": message},
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    dry_run: Option<bool>,
    #[serde(default)]
    user_info: UserInfo,
    object: Option<Object>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resource {
    group: String,
    resource: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct UserInfo {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    metadata: Option<Metadata>,
    delete_options: Option<DeleteOptions>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DeleteOptions {
    dry_run: Option<Vec<String>>,
}

/// Reads a question.
pub fn parse(body: &[u8]) -> Result<Eviction, Unfit> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Unfit::NoReview(format!("the body is longer than {BODY_BYTES_MAX} bytes")));
    }
    let review: Review = serde_json::from_slice(body).map_err(|error| {
        Unfit::NoReview(format!("the body is no AdmissionReview: {}", visible::line(&error.to_string())))
    })?;
    if review.api_version != VERSION || review.kind != "AdmissionReview" {
        let shown = |text: &str, none: &str| match text {
            "" => none.to_owned(),
            text => visible::bounded(text, 60).into_owned(),
        };
        let (kind, version) = (shown(&review.kind, "of no kind"), shown(&review.api_version, "no apiVersion"));
        return Err(Unfit::NoReview(format!(
            "the body is no AdmissionReview of {VERSION}: it is {kind}, of {version}"
        )));
    }
    let request = review.request.ok_or_else(|| Unfit::NoReview("the review has no request".to_owned()))?;
    if request.uid.is_empty() || request.uid.len() > UID_BYTES_MAX || request.uid.contains(visible::is_hidden) {
        return Err(Unfit::NoReview("the review has no uid by which it could be answered".to_owned()));
    }
    let uid = request.uid.clone();
    eviction(request).map_err(|why| Unfit::NoEviction { uid, why })
}

fn eviction(request: Request) -> Result<Eviction, String> {
    let Request { uid, resource, sub_resource, name, namespace, operation, dry_run, user_info, object } = request;
    let is_eviction = (&*resource.group, &*resource.resource, &*sub_resource) == ("", "pods", "eviction");
    if !is_eviction || operation != "CREATE" {
        let shown = |text: &str| match text {
            "" => "-".to_owned(),
            text => visible::bounded(text, 60).into_owned(),
        };
        return Err(format!(
            "this webhook judges the creation of pods/eviction alone, not {} of {}/{}: change `rules` of its \
             ValidatingWebhookConfiguration",
            shown(&operation),
            shown(&resource.resource),
            shown(&sub_resource)
        ));
    }
    if !is_name(&name) || !is_name(&namespace) {
        return Err("the review names no pod".to_owned());
    }
    let object = object.unwrap_or_default();
    let inner = object.metadata.unwrap_or_default();
    let differs = |inner: Option<String>, outer: &str| inner.is_some_and(|inner| !inner.is_empty() && inner != outer);
    if differs(inner.name, &name) || differs(inner.namespace, &namespace) {
        return Err("the review is about one pod, and its eviction names another".to_owned());
    }
    let is_of_options = object.delete_options.and_then(|options| options.dry_run).is_some_and(|all| !all.is_empty());
    Ok(Eviction {
        uid,
        pod: PodName { namespace, name },
        is_dry_run: dry_run == Some(true) || is_of_options,
        user: match user_info.username.trim() {
            "" => "a user without a name".to_owned(),
            name => visible::bounded(name, USER_CHARS_MAX).into_owned(),
        },
    })
}

/// Whether Kubernetes would take it as a name.
fn is_name(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(is_of_name) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As an API server of 1.34 sends it.
    fn review() -> Value {
        json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": "0b8c1d2e-7a51-4b0a-9d0f-3b8f3a1f0c55",
                "kind": {"group": "policy", "version": "v1", "kind": "Eviction"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "subResource": "eviction",
                "requestKind": {"group": "policy", "version": "v1", "kind": "Eviction"},
                "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                "requestSubResource": "eviction",
                "name": "kafka-map1-0", "namespace": "kafka", "operation": "CREATE",
                "userInfo": {"username": "kubernetes-admin", "groups": ["kubeadm:cluster-admins", "system:authenticated"]},
                "object": {"kind": "Eviction", "apiVersion": "policy/v1",
                    "metadata": {"name": "kafka-map1-0", "namespace": "kafka", "creationTimestamp": null},
                    "deleteOptions": {}},
                "oldObject": null, "dryRun": false,
                "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
            }
        })
    }

    fn read(review: &Value) -> Result<Eviction, Unfit> {
        parse(review.to_string().as_bytes())
    }

    fn changed(pointer: &str, value: Value) -> Value {
        let mut review = review();
        *review.pointer_mut(pointer).unwrap() = value;
        review
    }

    #[test]
    fn an_eviction_is_read_with_its_pod_and_who_asks() {
        let pod = PodName { namespace: "kafka".into(), name: "kafka-map1-0".into() };
        let uid = "0b8c1d2e-7a51-4b0a-9d0f-3b8f3a1f0c55".to_owned();
        let expected = Eviction { uid, pod, is_dry_run: false, user: "kubernetes-admin".into() };
        assert_eq!(read(&review()), Ok(expected));
    }

    #[test]
    fn what_a_review_lacks_is_said_and_leaves_no_gap_in_a_sentence() {
        let Err(Unfit::NoReview(why)) = parse(b"{}") else { panic!("{{}} is a review") };
        assert_eq!(why, "the body is no AdmissionReview of admission.k8s.io/v1: it is of no kind, of no apiVersion");
        let nobody = read(&changed("/request/userInfo", json!({}))).unwrap();
        assert_eq!(nobody.user, "a user without a name");
        let Err(Unfit::NoEviction { why, .. }) = read(&changed("/request/operation", json!(""))) else {
            panic!("read")
        };
        assert!(why.contains("not - of pods/eviction"), "{why}");
    }

    #[test]
    fn a_dry_run_is_seen_in_the_request_and_in_the_options_of_the_deletion() {
        assert!(read(&changed("/request/dryRun", json!(true))).unwrap().is_dry_run);
        assert!(read(&changed("/request/object/deleteOptions", json!({"dryRun": ["All"]}))).unwrap().is_dry_run);
        assert!(!read(&changed("/request/object/deleteOptions", json!({"dryRun": []}))).unwrap().is_dry_run);
        assert!(!read(&changed("/request/object", Value::Null)).unwrap().is_dry_run);
    }

    #[test]
    fn a_review_of_anything_else_is_denied_by_its_uid() {
        for (pointer, value) in [
            ("/request/operation", json!("DELETE")),
            ("/request/subResource", json!("")),
            ("/request/resource/resource", json!("nodes")),
            ("/request/resource/group", json!("apps")),
            ("/request/name", json!("")),
            ("/request/name", json!("../kafka-0")),
            ("/request/namespace", json!("")),
            ("/request/object/metadata/name", json!("kafka-map1-1")),
            ("/request/object/metadata/namespace", json!("other")),
        ] {
            let denied = matches!(read(&changed(pointer, value.clone())), Err(Unfit::NoEviction { .. }));
            assert!(denied, "{pointer} = {value}");
        }
    }

    #[test]
    fn what_is_no_review_is_told_without_what_a_terminal_would_obey() {
        for (pointer, value) in [
            ("/apiVersion", json!("admission.k8s.io/v1beta1")),
            ("/kind", json!("\u{1b}[2J")),
            ("/request", Value::Null),
            ("/request/uid", json!("")),
            ("/request/uid", json!("x".repeat(200))),
            ("/request/uid", json!("a\nb")),
            ("/request/uid", json!(5)),
        ] {
            let Err(Unfit::NoReview(why)) = read(&changed(pointer, value.clone())) else {
                panic!("{pointer} = {value}")
            };
            assert!(!visible::has_hidden(&why), "{why:?}");
        }
        for body in ["", "null", "[]", "{", "\u{feff}{}", "{\"kind\":1}"] {
            assert!(matches!(parse(body.as_bytes()), Err(Unfit::NoReview(_))), "{body}");
        }
        let twice = review().to_string().replacen("\"uid\":", "\"uid\":\"a\",\"uid\":", 1);
        assert!(matches!(parse(twice.as_bytes()), Err(Unfit::NoReview(_))));
    }

    #[test]
    fn a_body_that_is_too_long_is_refused_and_one_that_is_very_deep_ends_nothing() {
        let long = changed("/request/userInfo/username", json!("x".repeat(BODY_BYTES_MAX)));
        assert!(matches!(read(&long), Err(Unfit::NoReview(_))));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let unread = review().to_string().replacen("null", &deep, 1);
        assert!(parse(unread.as_bytes()).is_ok(), "what is not read is skipped");
        let read = review().to_string().replacen("false", &deep, 1);
        assert!(matches!(parse(read.as_bytes()), Err(Unfit::NoReview(_))));
    }

    #[test]
    fn a_refusal_for_now_is_a_429_and_one_for_good_a_403() {
        let status = |answer: Answer| answer.review("u")["response"]["status"].clone();
        let not_now = status(Answer::NotNow("wait\u{1b}[0m".into()));
        assert_eq!((&not_now["code"], &not_now["reason"]), (&json!(429), &json!("TooManyRequests")));
        assert_eq!(not_now["details"], Value::Null);
        assert!(!visible::has_hidden(not_now["message"].as_str().unwrap()));
        assert_eq!(status(Answer::Forbidden("no".into()))["code"], 403);
        let long = status(Answer::NotNow("ä".repeat(10_000)));
        assert!(long["message"].as_str().unwrap().chars().count() <= MESSAGE_CHARS_MAX + 40);
        let allowed = Answer::Allowed { warnings: vec!["x".repeat(1_000); 10] }.review("u");
        assert_eq!(allowed["response"]["allowed"], true);
        assert_eq!(allowed["response"]["warnings"].as_array().unwrap().len(), WARNINGS_MAX);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }

        /// Whatever one byte of a real review becomes: it is another pod or nothing, never this one allowed for another.
        #[test]
        fn a_review_with_a_changed_byte_is_read_or_refused(place in 0..900_usize, byte in any::<u8>()) {
            let mut body = review().to_string().into_bytes();
            let place = place % body.len();
            body[place] = byte;
            if let Ok(eviction) = parse(&body) {
                prop_assert!(is_name(&eviction.pod.name) && is_name(&eviction.pod.namespace));
                prop_assert!(eviction.uid.len() <= UID_BYTES_MAX);
            }
        }
    }
}
