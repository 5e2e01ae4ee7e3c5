//! An API server that holds ConfigMaps and Leases, and answers them as a test wants it to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What happens to one request about ConfigMaps.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It is answered with this status, and nothing is done.
    Status(u16),
    /// It is done, and answered with this status.
    DoneAnd(u16),
    /// It is done and answered this much later.
    Late(Duration),
    /// Another pod writes before it, so that a write is a conflict.
    Outrun,
    /// Another run writes the same document before it: another text, so that a write is a conflict.
    Rewritten,
    /// The object that it is about is deleted before.
    Gone,
}

/// The server's state.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// By kind and name, as `configmaps/NAME`.
    objects: BTreeMap<String, Value>,
    version: u64,
    faults: VecDeque<Fault>,
    /// The methods of the requests about ConfigMaps.
    asked: Vec<String>,
    are_leases_down: bool,
}

/// A running server. It ends with the test's process.
pub(crate) struct Server {
    pub(crate) port: u16,
    script: Arc<Mutex<Script>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        let (sender, port) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap().port()).unwrap();
                let answer =
                    move |method: Method, uri: Uri, body: Bytes| answer(Arc::clone(&shared), method, uri, body);
                axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
            });
        });
        Self { port: port.recv().unwrap(), script }
    }

    /// A kubeconfig for it.
    pub(crate) fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"http://127.0.0.1:{}\"}}}}]\n\
             users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u, namespace: kafka}}}}]\n\
             current-context: c\n",
            self.port
        )
    }

    /// What happens to the next requests about ConfigMaps, one after the other; then nothing more.
    pub(crate) fn script(&self, faults: &[Fault]) {
        self.script.lock().unwrap().faults = faults.iter().copied().collect();
    }

    /// The document of a ConfigMap.
    pub(crate) fn document(&self, name: &str) -> Value {
        let script = self.script.lock().unwrap();
        let text = script.objects[&key(CONFIG_MAPS, name)]["data"]["record.json"].as_str().unwrap().to_owned();
        serde_json::from_str::<Value>(&text).unwrap()["document"].clone()
    }

    /// Writes the document of a ConfigMap that is there.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut script = self.script.lock().unwrap();
        let mut object = script.objects[&key(CONFIG_MAPS, name)].clone();
        let mut record: Value = serde_json::from_str(object["data"]["record.json"].as_str().unwrap()).unwrap();
        change(&mut record["document"]);
        object["data"]["record.json"] = json!(serde_json::to_string_pretty(&record).unwrap());
        script.keep(key(CONFIG_MAPS, name), object);
    }

    /// Deletes a ConfigMap.
    pub(crate) fn delete(&self, name: &str) {
        self.script.lock().unwrap().objects.remove(&key(CONFIG_MAPS, name)).unwrap();
    }

    /// How many requests about ConfigMaps came.
    pub(crate) fn requests(&self) -> usize {
        self.asked().len()
    }

    /// The methods of the requests about ConfigMaps, in their order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    /// Whether any Lease is held.
    pub(crate) fn is_a_lease_held(&self) -> bool {
        !self.held_leases().is_empty()
    }

    /// What the Leases say that are held.
    pub(crate) fn held_leases(&self) -> Vec<Value> {
        let script = self.script.lock().unwrap();
        let leases = script.objects.iter().filter(|(key, _)| key.starts_with(LEASES));
        let specs = leases.map(|(_, object)| object["spec"].clone());
        specs.filter(|spec| spec["holderIdentity"].is_string()).collect()
    }

    /// From now on requests about Leases are answered with 500, or answered again.
    pub(crate) fn set_leases_down(&self, are_down: bool) {
        self.script.lock().unwrap().are_leases_down = are_down;
    }
}

const CONFIG_MAPS: &str = "configmaps";
const LEASES: &str = "leases";

fn key(kind: &str, name: &str) -> String {
    format!("{kind}/{name}")
}

fn status(code: u16, reason: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "scripted",
                      "reason": reason, "code": code});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

async fn answer(script: Arc<Mutex<Script>>, method: Method, uri: Uri, body: Bytes) -> Response {
    if uri.path().contains("/leases") {
        let mut script = script.lock().unwrap();
        return if script.are_leases_down {
            status(500, "Scripted")
        } else {
            script.answer(LEASES, &method, &uri, &body)
        };
    }
    if uri.path().contains("/configmaps") {
        let fault = {
            let mut script = script.lock().unwrap();
            script.asked.push(method.to_string());
            script.faults.pop_front()
        };
        let done = || script.lock().unwrap().answer(CONFIG_MAPS, &method, &uri, &body);
        return match fault {
            None => done(),
            Some(Fault::Status(code)) => status(code, "Scripted"),
            Some(Fault::DoneAnd(code)) => {
                drop(done());
                status(code, "Scripted")
            }
            Some(Fault::Late(time)) => {
                let answer = done();
                tokio::time::sleep(time).await;
                answer
            }
            Some(Fault::Outrun) => {
                script.lock().unwrap().outrun();
                done()
            }
            Some(fault @ (Fault::Rewritten | Fault::Gone)) => {
                script.lock().unwrap().interfere(fault, uri.path());
                done()
            }
        };
    }
    if uri.path().contains("/selfsubjectrulesreviews") {
        let all = json!(["*"]);
        let rules = json!([{"apiGroups": all, "resources": all, "verbs": all}]);
        let answered = json!({"incomplete": false, "nonResourceRules": [], "resourceRules": rules});
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "metadata": {},
                            "spec": {}, "status": answered});
        return (StatusCode::CREATED, axum::Json(review)).into_response();
    }
    status(404, "NotFound")
}

impl Script {
    fn answer(&mut self, kind: &str, method: &Method, uri: &Uri, body: &[u8]) -> Response {
        let path = uri.path();
        if method == Method::GET && path.ends_with(&format!("/{kind}")) {
            return axum::Json(self.list(kind, uri.query().unwrap_or_default())).into_response();
        }
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = match sent["metadata"]["name"].as_str() {
            Some(name) => name,
            None => path.rsplit('/').next().unwrap_or_default(),
        };
        let name = key(kind, name);
        let there = self.objects.get(&name).cloned();
        match (method.as_str(), there) {
            ("GET", Some(there)) => axum::Json(there).into_response(),
            ("GET" | "PUT", None) => status(404, "NotFound"),
            ("POST", Some(_)) => status(409, "AlreadyExists"),
            ("PUT", Some(there)) if there["metadata"]["resourceVersion"] != sent["metadata"]["resourceVersion"] => {
                status(409, "Conflict")
            }
            _ => axum::Json(self.keep(name, sent)).into_response(),
        }
    }

    /// The objects of a kind that have the labels `NAME=VALUE,…` of a query.
    fn list(&self, kind: &str, query: &str) -> Value {
        let query = query.replace("%3D", "=").replace("%2C", ",").replace("%2F", "/");
        let selector = query.split('&').find_map(|part| part.strip_prefix("labelSelector=")).unwrap_or_default();
        let labels: Vec<_> = selector.split(',').filter_map(|label| label.split_once('=')).collect();
        let is_wanted = |(key, object): &(&String, &Value)| {
            let has = |(name, value): &(&str, &str)| object["metadata"]["labels"][name] == *value;
            key.starts_with(kind) && labels.iter().all(has)
        };
        let items: Vec<_> = self.objects.iter().filter(is_wanted).map(|(_, object)| object).collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items})
    }

    fn keep(&mut self, name: String, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(name, object.clone());
        object
    }

    /// Somebody deletes the ConfigMap of a path, or writes its document anew.
    fn interfere(&mut self, fault: Fault, path: &str) {
        let name = key(CONFIG_MAPS, path.rsplit('/').next().unwrap_or_default());
        let Some(mut object) = self.objects.get(&name).cloned() else { return };
        if matches!(fault, Fault::Gone) {
            self.objects.remove(&name);
            return;
        }
        let mut record: Value = serde_json::from_str(object["data"]["record.json"].as_str().unwrap()).unwrap();
        record["saved_at"] = json!(format!("2026-01-01T00:00:{:02}Z", self.version % 60));
        object["data"]["record.json"] = json!(serde_json::to_string_pretty(&record).unwrap());
        self.keep(name, object);
    }

    /// Pod `kafka-other` takes the lowest id that nobody has.
    fn outrun(&mut self) {
        let mut maps = self.objects.iter().filter(|(name, _)| name.starts_with(CONFIG_MAPS));
        let Some((name, mut object)) = maps.next().map(|(name, object)| (name.clone(), object.clone())) else { return };
        let mut record: Value = serde_json::from_str(object["data"]["record.json"].as_str().unwrap()).unwrap();
        let ids = record["document"]["ids"].as_object_mut().unwrap();
        let mut entry = ids.values().next().unwrap().clone();
        let id = (1001..2001).map(|id| id.to_string()).find(|id| !ids.contains_key(id)).unwrap();
        entry["pod"] = json!(format!("kafka-other{id}"));
        ids.insert(id, entry);
        object["data"]["record.json"] = json!(serde_json::to_string_pretty(&record).unwrap());
        self.keep(name, object);
    }
}
