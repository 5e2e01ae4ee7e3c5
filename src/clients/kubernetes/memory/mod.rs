//! The twin in memory: an API server's rules about names, versions, sizes and roles, without the server.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::clients::kubernetes::error::{has_facts, has_owner};
use crate::clients::kubernetes::selector::{Selector, few_leases, within_limits};
use crate::clients::kubernetes::{
    CONFIG_MAP_BYTES_MAX, ConfigMap, Facts, Identity, Kubernetes, KubernetesError, Lease, NewEvent, NodeState,
    ObjectName, Owned, PodState, Resource, Right, StatefulSet, TrustBundles, Verb, VolumeState,
};

mod nodes;
mod workloads;

/// An API server in memory. Clones of an `Arc` of it are several clients of one server.
#[derive(Debug)]
pub struct Memory {
    identity: Identity,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    namespaces: BTreeSet<String>,
    config_maps: BTreeMap<ObjectName, ConfigMap>,
    leases: BTreeMap<ObjectName, Lease>,
    events: BTreeMap<ObjectName, NewEvent>,
    owned: BTreeMap<(Resource, ObjectName), Owned>,
    facts: BTreeMap<(Resource, ObjectName), Facts>,
    trust_bundles: BTreeMap<String, TrustBundles>,
    stateful_sets: BTreeMap<ObjectName, StatefulSet>,
    pods: BTreeMap<ObjectName, PodState>,
    deleted_pods: Vec<(ObjectName, String)>,
    nodes: BTreeMap<String, NodeState>,
    volumes: BTreeMap<String, VolumeState>,
    forbidden: BTreeSet<(Verb, Resource)>,
    forbidden_objects: BTreeSet<(Verb, Resource, ObjectName)>,
    broken: BTreeSet<(Verb, Resource)>,
    is_down: bool,
    version: u64,
    requests: u64,
}

/// One call, for messages; the same words as the live door's.
struct Call<'a>(Verb, Resource, &'a ObjectName);

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.1.kind(), self.2)
    }
}

impl Memory {
    /// A server with the namespace of the identity and nothing in it.
    pub fn new(identity: Identity) -> Self {
        let namespaces = BTreeSet::from([identity.namespace.clone()]);
        Self { identity, state: Mutex::new(State { namespaces, ..State::default() }) }
    }

    /// From now on the server does not answer, or answers again.
    pub fn set_down(&self, is_down: bool) {
        self.lock().is_down = is_down;
    }

    /// From now on nobody may do this (403).
    pub fn forbid(&self, verb: Verb, resource: Resource) {
        self.lock().forbidden.insert((verb, resource));
    }

    /// From now on nobody may do this with the Lease of this name: no Role names it.
    pub fn forbid_object(&self, verb: Verb, resource: Resource, name: ObjectName) {
        self.lock().forbidden_objects.insert((verb, resource, name));
    }

    /// From now on this ends with an error of the server (500), or does not any more.
    pub fn set_broken(&self, verb: Verb, resource: Resource, is_broken: bool) {
        let mut state = self.lock();
        if is_broken {
            state.broken.insert((verb, resource));
        } else {
            state.broken.remove(&(verb, resource));
        }
    }

    /// Makes a namespace.
    pub fn create_namespace(&self, name: &str) {
        self.lock().namespaces.insert(name.to_owned());
    }

    /// Adds a pod, a Job or a ReplicaSet.
    pub fn add_owned(&self, resource: Resource, name: ObjectName, owned: Owned) {
        self.lock().owned.insert((resource, name), owned);
    }

    /// Makes or replaces a pod, a node or a claim.
    pub fn add_facts(&self, resource: Resource, name: ObjectName, facts: Facts) {
        self.lock().facts.insert((resource, name), facts);
    }

    /// Removes a pod, a node or a claim.
    pub fn remove_facts(&self, resource: Resource, name: &ObjectName) {
        self.lock().facts.remove(&(resource, name.clone()));
    }

    /// Makes or replaces a ValidatingWebhookConfiguration.
    pub fn add_webhooks(&self, configuration: &str, bundles: TrustBundles) {
        self.lock().trust_bundles.insert(configuration.to_owned(), bundles);
    }

    /// The events that were written, ordered by name, as they were kept.
    pub fn events(&self) -> Vec<NewEvent> {
        self.lock().events.values().cloned().collect()
    }

    /// How many calls reached the server.
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds for every call: the server is there, and a role allows it.
    fn enter(&self, verb: Verb, resource: Resource, namespace: &str) -> Result<MutexGuard<'_, State>, KubernetesError> {
        let mut state = self.lock();
        if state.is_down {
            let (server, why) = (self.identity.server.clone(), "connection refused".into());
            return Err(KubernetesError::Unreachable { server, why, within: Duration::from_millis(1) });
        }
        state.requests += 1;
        if state.forbidden.contains(&(verb, resource)) {
            let (who, namespace) = (self.identity.asker(), namespace.to_owned());
            return Err(KubernetesError::Forbidden { who, verb, resource, namespace });
        }
        if state.broken.contains(&(verb, resource)) {
            let (server, message) = (self.identity.server.clone(), "etcdserver: request timed out".to_owned());
            return Err(KubernetesError::Server { server, code: 500, message });
        }
        Ok(state)
    }
}

impl State {
    /// A Role may name the objects for which it gives a right.
    fn check_named(&self, call: &Call<'_>, identity: &Identity) -> Result<(), KubernetesError> {
        let Call(verb, resource, name) = *call;
        if self.forbidden_objects.contains(&(verb, resource, name.clone())) {
            let (who, namespace) = (identity.asker(), name.namespace.clone());
            return Err(KubernetesError::Forbidden { who, verb, resource, namespace });
        }
        Ok(())
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn check_new(&self, call: &Call<'_>, is_there: bool) -> Result<(), KubernetesError> {
        let Call(_, _, name) = call;
        if !self.namespaces.contains(&name.namespace) {
            return Err(KubernetesError::NotFound { what: format!("namespace {}", name.namespace) });
        }
        if is_there {
            return Err(KubernetesError::AlreadyExists { what: call.to_string() });
        }
        if !is_subdomain(&name.name) {
            let message = format!("metadata.name: Invalid value: \"{}\": a lowercase RFC 1123 subdomain", name.name);
            return Err(KubernetesError::Invalid { what: call.to_string(), message });
        }
        Ok(())
    }
}

fn check_version(call: &Call<'_>, sent: &str, there: Option<&str>) -> Result<(), KubernetesError> {
    let what = call.to_string();
    if sent.is_empty() {
        let message = "metadata.resourceVersion must be specified for an update".into();
        return Err(KubernetesError::Invalid { what, message });
    }
    match there {
        None => Err(KubernetesError::NotFound { what }),
        Some(there) if there != sent => Err(KubernetesError::Conflict { what }),
        Some(_) => Ok(()),
    }
}

fn check_config_map(call: &Call<'_>, config_map: &ConfigMap) -> Result<(), KubernetesError> {
    let invalid = |message: String| Err(KubernetesError::Invalid { what: call.to_string(), message });
    let is_key = |key: &str| {
        !key.is_empty() && key.len() <= 253 && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if let Some(key) = config_map.data.keys().chain(config_map.binary_data.keys()).find(|key| !is_key(key)) {
        return invalid(format!("data[{key}]: Invalid value: a key has letters, digits, `-`, `_` and `.`"));
    }
    let texts: usize = config_map.data.values().map(String::len).sum();
    let bytes: usize = config_map.binary_data.values().map(Vec::len).sum();
    if texts + bytes > CONFIG_MAP_BYTES_MAX {
        return invalid(format!("Too long: may not be more than {CONFIG_MAP_BYTES_MAX} bytes"));
    }
    Ok(())
}

fn selector_of(resource: Resource, namespace: &str, selector: &str) -> Result<Selector, KubernetesError> {
    Selector::parse(selector).map_err(|message| KubernetesError::Invalid {
        what: format!("{} of namespace {namespace}", resource.plural()),
        message: format!("unable to parse requirement: {message}"),
    })
}

fn check_lease(call: &Call<'_>, lease: &Lease) -> Result<(), KubernetesError> {
    if lease.duration_seconds <= 0 || lease.transitions < 0 {
        let message = "spec.leaseDurationSeconds: Invalid value: must be greater than 0".into();
        return Err(KubernetesError::Invalid { what: call.to_string(), message });
    }
    Ok(())
}

fn is_subdomain(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[async_trait]
impl Kubernetes for Memory {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn config_map(&self, name: &ObjectName) -> Result<Option<ConfigMap>, KubernetesError> {
        let state = self.enter(Verb::Get, Resource::ConfigMaps, &name.namespace)?;
        Ok(state.config_maps.get(name).cloned())
    }

    async fn config_maps(&self, namespace: &str, selector: &str) -> Result<Vec<ConfigMap>, KubernetesError> {
        let state = self.enter(Verb::List, Resource::ConfigMaps, namespace)?;
        let wanted = selector_of(Resource::ConfigMaps, namespace, selector)?;
        let is_wanted = |found: &&ConfigMap| found.name.namespace == namespace && wanted.matches(&found.labels);
        let found: Vec<_> = state.config_maps.values().filter(is_wanted).cloned().collect();
        within_limits(namespace, selector, found.len(), found.iter().map(ConfigMap::bytes).sum())?;
        Ok(found)
    }

    async fn create_config_map(&self, config_map: &ConfigMap) -> Result<ConfigMap, KubernetesError> {
        let name = &config_map.name;
        let call = Call(Verb::Create, Resource::ConfigMaps, name);
        let mut state = self.enter(call.0, call.1, &name.namespace)?;
        state.check_new(&call, state.config_maps.contains_key(name))?;
        check_config_map(&call, config_map)?;
        let kept = ConfigMap { resource_version: state.next_version(), ..config_map.clone() };
        state.config_maps.insert(name.clone(), kept.clone());
        Ok(kept)
    }

    async fn replace_config_map(&self, config_map: &ConfigMap) -> Result<ConfigMap, KubernetesError> {
        let name = &config_map.name;
        let call = Call(Verb::Update, Resource::ConfigMaps, name);
        let mut state = self.enter(call.0, call.1, &name.namespace)?;
        let there = state.config_maps.get(name).map(|there| there.resource_version.as_str());
        check_version(&call, &config_map.resource_version, there)?;
        check_config_map(&call, config_map)?;
        let kept = ConfigMap { resource_version: state.next_version(), ..config_map.clone() };
        state.config_maps.insert(name.clone(), kept.clone());
        Ok(kept)
    }

    async fn lease(&self, name: &ObjectName) -> Result<Option<Lease>, KubernetesError> {
        let call = Call(Verb::Get, Resource::Leases, name);
        let state = self.enter(call.0, call.1, &name.namespace)?;
        state.check_named(&call, &self.identity)?;
        Ok(state.leases.get(name).cloned())
    }

    async fn leases(&self, namespace: &str, selector: &str) -> Result<Vec<Lease>, KubernetesError> {
        let state = self.enter(Verb::List, Resource::Leases, namespace)?;
        let wanted = selector_of(Resource::Leases, namespace, selector)?;
        let is_wanted = |found: &&Lease| found.name.namespace == namespace && wanted.matches(&found.labels);
        let found: Vec<_> = state.leases.values().filter(is_wanted).cloned().collect();
        few_leases(namespace, selector, found.len())?;
        Ok(found)
    }

    async fn create_lease(&self, lease: &Lease) -> Result<Lease, KubernetesError> {
        let name = &lease.name;
        let call = Call(Verb::Create, Resource::Leases, name);
        let mut state = self.enter(call.0, call.1, &name.namespace)?;
        state.check_new(&call, state.leases.contains_key(name))?;
        check_lease(&call, lease)?;
        let kept = Lease { resource_version: state.next_version(), ..lease.clone() };
        state.leases.insert(name.clone(), kept.clone());
        Ok(kept)
    }

    async fn replace_lease(&self, lease: &Lease) -> Result<Lease, KubernetesError> {
        let name = &lease.name;
        let call = Call(Verb::Update, Resource::Leases, name);
        let mut state = self.enter(call.0, call.1, &name.namespace)?;
        state.check_named(&call, &self.identity)?;
        let there = state.leases.get(name).map(|there| there.resource_version.as_str());
        check_version(&call, &lease.resource_version, there)?;
        check_lease(&call, lease)?;
        let kept = Lease { resource_version: state.next_version(), ..lease.clone() };
        state.leases.insert(name.clone(), kept.clone());
        Ok(kept)
    }

    async fn lacking(&self, namespace: &str, rights: &[Right]) -> Result<Vec<Right>, KubernetesError> {
        // Asking is never forbidden.
        let state = self.enter(Verb::Create, Resource::Reviews, namespace)?;
        let is_forbidden = |right: &&Right| {
            state.forbidden.iter().any(|(verb, resource)| {
                *right.verb == *verb.to_string()
                    && right.resource == resource.plural()
                    && right.group == resource.group()
            })
        };
        Ok(rights.iter().filter(is_forbidden).cloned().collect())
    }

    async fn create_event(&self, event: &NewEvent) -> Result<(), KubernetesError> {
        let name = ObjectName::new(event.regarding.name.namespace.clone(), event.name.clone());
        let call = Call(Verb::Create, Resource::Events, &name);
        let mut state = self.enter(call.0, call.1, &name.namespace)?;
        match state.check_new(&call, state.events.contains_key(&name)) {
            Err(KubernetesError::AlreadyExists { .. }) => return Ok(()),
            other => other?,
        }
        state.events.insert(name, event.within_limits());
        Ok(())
    }

    async fn owned(&self, resource: Resource, name: &ObjectName) -> Result<Option<Owned>, KubernetesError> {
        has_owner(resource)?;
        let state = self.enter(Verb::Get, resource, &name.namespace)?;
        Ok(state.owned.get(&(resource, name.clone())).cloned())
    }

    async fn facts(&self, resource: Resource, name: &ObjectName) -> Result<Option<Facts>, KubernetesError> {
        has_facts(resource)?;
        let state = self.enter(Verb::Get, resource, &name.namespace)?;
        Ok(state.facts.get(&(resource, name.clone())).cloned())
    }

    async fn set_labels(
        &self,
        resource: Resource,
        name: &ObjectName,
        uid: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), KubernetesError> {
        has_facts(resource)?;
        let call = Call(Verb::Patch, resource, name);
        let mut state = self.enter(call.0, call.1, &name.namespace)?;
        match state.facts.get_mut(&(resource, name.clone())) {
            None => Err(KubernetesError::NotFound { what: call.to_string() }),
            Some(facts) if facts.uid != uid => Err(KubernetesError::Conflict { what: call.to_string() }),
            Some(facts) => {
                facts.labels.extend(labels.clone());
                Ok(())
            }
        }
    }

    async fn trust_bundles(&self, configuration: &str) -> Result<Option<TrustBundles>, KubernetesError> {
        let state = self.enter(Verb::Get, Resource::ValidatingWebhooks, "")?;
        Ok(state.trust_bundles.get(configuration).cloned())
    }

    async fn set_trust_bundles(
        &self,
        configuration: &str,
        read: &TrustBundles,
        pem: &str,
    ) -> Result<(), KubernetesError> {
        let name = ObjectName::new("", configuration);
        let call = Call(Verb::Patch, Resource::ValidatingWebhooks, &name);
        let mut state = self.enter(call.0, call.1, "")?;
        match state.trust_bundles.get_mut(configuration) {
            None => Err(KubernetesError::NotFound { what: call.to_string() }),
            Some(there) if there != read => Err(KubernetesError::Conflict { what: call.to_string() }),
            Some(there) => {
                there.webhooks.iter_mut().for_each(|(_, bundle)| *bundle = pem.as_bytes().to_vec());
                Ok(())
            }
        }
    }
}
