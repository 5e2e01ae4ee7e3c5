//! The real door: an API server, reached with `kube`.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::authorization::v1 as authorization;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::events::v1 as events;
use kube::api::{Api, ListParams, PostParams};
use kube::client::ClientBuilder;
use kube::{Client, Error};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};
use tower::util::AndThenLayer;

use crate::clients::kubernetes::access::chain;
use crate::clients::kubernetes::error::has_owner;
use crate::clients::kubernetes::selector::{few_leases, within_limits};
use crate::clients::kubernetes::{
    Access, CONFIG_MAPS_MAX, ConfigMap, Facts, Identity, Kubernetes, KubernetesError, LEASES_MAX, Lease, NewEvent,
    ObjectName, Owned, Resource, Right, TrustBundles, Verb,
};

mod answer;
mod convert;
mod facts;
mod nodes;
mod webhooks;
mod workloads;

/// ConfigMaps a page: a page of the largest ones still fits in memory.
const PAGE: u32 = 50;

/// How long a call may take that begins after the time of the whole run is over: for the last look, and for what must be recorded.
const LAST_CALLS: Duration = Duration::from_millis(500);

/// How often a list is started over when its pages expired under way.
const LIST_ATTEMPTS: usize = 3;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Who writes, for the API server's record of field owners.
const FIELD_MANAGER: &str = "kafka-toolbox";

/// An API server.
#[derive(Clone)]
pub struct Live {
    client: Client,
    identity: Identity,
    within: Duration,
    until: Option<Instant>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("identity", &self.identity).field("within", &self.within).finish_non_exhaustive()
    }
}

/// One call, for messages.
#[derive(Clone, Copy)]
struct Call<'a> {
    verb: Verb,
    resource: Resource,
    namespace: &'a str,
    name: Option<&'a str>,
}

impl<'a> Call<'a> {
    fn new(verb: Verb, resource: Resource, name: &'a ObjectName) -> Self {
        Self { verb, resource, namespace: &name.namespace, name: Some(&name.name) }
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) if self.namespace.is_empty() => write!(f, "{} {name}", self.resource.kind()),
            Some(name) => write!(f, "{} {}/{name}", self.resource.kind(), self.namespace),
            None if self.namespace.is_empty() => f.write_str(self.resource.plural()),
            None => write!(f, "{} of namespace {}", self.resource.plural(), self.namespace),
        }
    }
}

impl Live {
    /// Reads the settings; the server is not asked before the first call. Every call ends within `within`.
    pub async fn connect(access: &Access, within: Duration) -> Result<Self, KubernetesError> {
        let (mut config, identity) = access.resolve().await?;
        config.connect_timeout = Some(within);
        config.read_timeout = Some(within);
        config.write_timeout = Some(within);
        config.reset_reader_on_write = true;
        let builder = ClientBuilder::try_from(config).map_err(|error| {
            KubernetesError::Settings(format!(
                "failed to prepare the connection ({}): {}",
                identity.source,
                chain(&error)
            ))
        })?;
        let client = builder.with_layer(&AndThenLayer::new(answer::limited)).build();
        Ok(Self { client, identity, within, until: None })
    }

    /// The same for a run that waits until then at most: a call that begins later has half a second.
    #[must_use]
    pub fn until(self, until: Option<Instant>) -> Self {
        Self { until, ..self }
    }

    /// How long a call may take that begins now.
    fn limit(&self, now: Instant) -> Duration {
        let left = self.until.map(|until| until.saturating_duration_since(now).max(LAST_CALLS));
        left.unwrap_or(self.within).min(self.within)
    }

    /// Asks until an answer comes that another try would not change, or the deadline passes.
    async fn read<T, F>(&self, call: Call<'_>, ask: impl Fn() -> F) -> Result<T, KubernetesError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.attempts(call, ask, KubernetesError::is_passing).await
    }

    /// Sends a write once; again only after a 429, which says that nothing was done.
    async fn write<T, F>(&self, call: Call<'_>, send: impl Fn() -> F) -> Result<T, KubernetesError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.attempts(call, send, |error| matches!(error, KubernetesError::Server { code: 429, .. })).await
    }

    async fn attempts<T, F>(
        &self,
        call: Call<'_>,
        send: impl Fn() -> F,
        is_worth_another: impl Fn(&KubernetesError) -> bool,
    ) -> Result<T, KubernetesError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let within = self.limit(Instant::now());
        let deadline = Instant::now() + within;
        let mut pause = PAUSE_MIN;
        let mut last = None;
        loop {
            let error = match timeout_at(deadline, send()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => self.understand(call, error, within),
                Err(_) => return Err(last.unwrap_or_else(|| self.unreachable("no answer", within))),
            };
            if !is_worth_another(&error) || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, "the Kubernetes API is asked again in {pause:?}");
            last = Some(error);
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn unreachable(&self, why: impl Into<String>, within: Duration) -> KubernetesError {
        KubernetesError::Unreachable { server: self.identity.server.clone(), why: why.into(), within }
    }

    fn understand(&self, call: Call<'_>, error: Error, within: Duration) -> KubernetesError {
        let status = match error {
            Error::Api(status) => status,
            Error::SerdeError(error) => {
                let message = format!("something that is not its API: {error}");
                return KubernetesError::Server { server: self.identity.server.clone(), code: 200, message };
            }
            Error::Auth(error) => {
                return KubernetesError::Settings(format!(
                    "failed to get credentials ({}): {}",
                    self.identity.source,
                    chain(&error)
                ));
            }
            other => return self.unreachable(chain(&other), within),
        };
        let what = call.to_string();
        match (status.code, status.reason.as_str()) {
            (401, _) => KubernetesError::Unauthorized {
                server: self.identity.server.clone(),
                source_of_credentials: self.identity.source.clone(),
                message: status.message,
            },
            (403, "Forbidden") if status.message.contains("cannot") => KubernetesError::Forbidden {
                who: convert::asker(&status.message).unwrap_or_else(|| self.identity.asker()),
                verb: call.verb,
                resource: call.resource,
                namespace: call.namespace.to_owned(),
            },
            (404, _) => KubernetesError::NotFound { what: convert::missing(&status.message).unwrap_or(what) },
            (409, "AlreadyExists") => KubernetesError::AlreadyExists { what },
            (409, _) => KubernetesError::Conflict { what },
            // A namespace that is being deleted, an admission policy, a quota, a bad field, a size.
            (400 | 403 | 413 | 422, _) => KubernetesError::Invalid { what, message: status.message },
            (code, _) => {
                KubernetesError::Server { server: self.identity.server.clone(), code, message: status.message }
            }
        }
    }

    fn config_maps_of(&self, namespace: &str) -> Api<core::ConfigMap> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn leases_of(&self, namespace: &str) -> Api<coordination::Lease> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn api<K>(&self, name: &ObjectName) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &name.namespace)
    }

    /// Asks for an object's metadata only.
    async fn metadata<K>(
        &self,
        call: Call<'_>,
        api: &Api<K>,
        name: &ObjectName,
    ) -> Result<Option<Owned>, KubernetesError>
    where
        K: Clone + fmt::Debug + DeserializeOwned,
    {
        let found = self.read(call, || api.get_metadata_opt(&name.name)).await?;
        Ok(found.map(|found| convert::owned(found.metadata, &name.namespace)))
    }

    /// All pages of a list; `None` if a page expired under way (410).
    async fn pages(&self, call: Call<'_>, selector: &str) -> Result<Option<Vec<ConfigMap>>, KubernetesError> {
        let api = self.config_maps_of(call.namespace);
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut params = ListParams::default().labels(selector).limit(PAGE);
        // One page more than the limit needs: the loop ends even if the server hands out empty pages.
        for _ in 0..=CONFIG_MAPS_MAX / PAGE as usize {
            let page = match self.read(call, || api.list(&params)).await {
                Err(KubernetesError::Server { code: 410, .. }) => return Ok(None),
                page => page?,
            };
            let before = found.len();
            found.extend(page.items.into_iter().map(convert::config_map));
            bytes += found[before..].iter().map(ConfigMap::bytes).sum::<usize>();
            within_limits(call.namespace, selector, found.len(), bytes)?;
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(Some(found)),
            }
        }
        within_limits(call.namespace, selector, CONFIG_MAPS_MAX + 1, bytes)?;
        Ok(Some(found))
    }
}

#[async_trait]
impl Kubernetes for Live {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn config_map(&self, name: &ObjectName) -> Result<Option<ConfigMap>, KubernetesError> {
        let api = self.config_maps_of(&name.namespace);
        let call = Call::new(Verb::Get, Resource::ConfigMaps, name);
        Ok(self.read(call, || api.get_opt(&name.name)).await?.map(convert::config_map))
    }

    async fn config_maps(&self, namespace: &str, selector: &str) -> Result<Vec<ConfigMap>, KubernetesError> {
        let call = Call { verb: Verb::List, resource: Resource::ConfigMaps, namespace, name: None };
        for _ in 0..LIST_ATTEMPTS {
            if let Some(mut found) = self.pages(call, selector).await? {
                found.sort_by(|one, other| one.name.cmp(&other.name));
                return Ok(found);
            }
        }
        let message = format!("the pages of {call} expired {LIST_ATTEMPTS} times while they were read");
        Err(KubernetesError::Server { server: self.identity.server.clone(), code: 410, message })
    }

    async fn create_config_map(&self, config_map: &ConfigMap) -> Result<ConfigMap, KubernetesError> {
        let api = self.config_maps_of(&config_map.name.namespace);
        let call = Call::new(Verb::Create, Resource::ConfigMaps, &config_map.name);
        let params = post();
        let object = convert::to_config_map(&ConfigMap { resource_version: String::new(), ..config_map.clone() });
        Ok(convert::config_map(self.write(call, || api.create(&params, &object)).await?))
    }

    async fn replace_config_map(&self, config_map: &ConfigMap) -> Result<ConfigMap, KubernetesError> {
        let api = self.config_maps_of(&config_map.name.namespace);
        let call = Call::new(Verb::Update, Resource::ConfigMaps, &config_map.name);
        was_read(&call, &config_map.resource_version)?;
        let params = post();
        let object = convert::to_config_map(config_map);
        Ok(convert::config_map(self.write(call, || api.replace(&config_map.name.name, &params, &object)).await?))
    }

    async fn lease(&self, name: &ObjectName) -> Result<Option<Lease>, KubernetesError> {
        let api = self.leases_of(&name.namespace);
        let call = Call::new(Verb::Get, Resource::Leases, name);
        Ok(self.read(call, || api.get_opt(&name.name)).await?.map(convert::lease))
    }

    async fn leases(&self, namespace: &str, selector: &str) -> Result<Vec<Lease>, KubernetesError> {
        let api = self.leases_of(namespace);
        let call = Call { verb: Verb::List, resource: Resource::Leases, namespace, name: None };
        let params = ListParams::default().labels(selector).limit(LEASES_MAX);
        let page = self.read(call, || api.list(&params)).await?;
        let more = usize::from(page.metadata.continue_.is_some_and(|token| !token.is_empty()));
        let mut found: Vec<_> = page.items.into_iter().map(convert::lease).collect();
        few_leases(namespace, selector, found.len() + more)?;
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    async fn create_lease(&self, lease: &Lease) -> Result<Lease, KubernetesError> {
        let api = self.leases_of(&lease.name.namespace);
        let call = Call::new(Verb::Create, Resource::Leases, &lease.name);
        let params = post();
        let object = convert::to_lease(&Lease { resource_version: String::new(), ..lease.clone() });
        Ok(convert::lease(self.write(call, || api.create(&params, &object)).await?))
    }

    async fn replace_lease(&self, lease: &Lease) -> Result<Lease, KubernetesError> {
        let api = self.leases_of(&lease.name.namespace);
        let call = Call::new(Verb::Update, Resource::Leases, &lease.name);
        was_read(&call, &lease.resource_version)?;
        let params = post();
        let object = convert::to_lease(lease);
        Ok(convert::lease(self.write(call, || api.replace(&lease.name.name, &params, &object)).await?))
    }

    async fn lacking(&self, namespace: &str, rights: &[Right]) -> Result<Vec<Right>, KubernetesError> {
        let call = Call { verb: Verb::Create, resource: Resource::Reviews, namespace, name: None };
        // A review changes nothing: it may be sent again like a read.
        let api: Api<authorization::SelfSubjectRulesReview> = Api::all(self.client.clone());
        let (params, review) = (PostParams::default(), convert::rules_review(namespace));
        let granted = convert::granted(self.read(call, || api.create(&params, &review)).await?);
        let open: Vec<_> = rights.iter().filter(|right| !granted.iter().any(|rule| rule.gives(right))).collect();
        // The review of rules leaves out what another authorizer than RBAC gives: whatever is not in it is asked singly.
        let api: Api<authorization::SelfSubjectAccessReview> = Api::all(self.client.clone());
        let mut lacking = Vec::new();
        for right in open {
            let review = convert::access_review(namespace, right);
            let answer = self.read(call, || api.create(&params, &review)).await?;
            if !answer.status.is_some_and(|status| status.allowed) {
                lacking.push(right.clone());
            }
        }
        Ok(lacking)
    }

    async fn create_event(&self, event: &NewEvent) -> Result<(), KubernetesError> {
        let name = ObjectName::new(event.regarding.name.namespace.clone(), event.name.clone());
        let api: Api<events::Event> = Api::namespaced(self.client.clone(), &name.namespace);
        let call = Call::new(Verb::Create, Resource::Events, &name);
        let params = post();
        let object = convert::to_event(&event.within_limits(), &self.identity);
        match self.write(call, || api.create(&params, &object)).await {
            Ok(_) | Err(KubernetesError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn owned(&self, resource: Resource, name: &ObjectName) -> Result<Option<Owned>, KubernetesError> {
        has_owner(resource)?;
        let call = Call::new(Verb::Get, resource, name);
        match resource {
            Resource::Jobs => self.metadata(call, &self.api::<batch::Job>(name), name).await,
            Resource::ReplicaSets => self.metadata(call, &self.api::<apps::ReplicaSet>(name), name).await,
            _ => self.metadata(call, &self.api::<core::Pod>(name), name).await,
        }
    }

    async fn facts(&self, resource: Resource, name: &ObjectName) -> Result<Option<Facts>, KubernetesError> {
        self.look_at(resource, name).await
    }

    async fn set_labels(
        &self,
        resource: Resource,
        name: &ObjectName,
        uid: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), KubernetesError> {
        self.label(resource, name, uid, labels).await
    }

    async fn trust_bundles(&self, configuration: &str) -> Result<Option<TrustBundles>, KubernetesError> {
        self.webhook_bundles(configuration).await
    }

    async fn set_trust_bundles(
        &self,
        configuration: &str,
        read: &TrustBundles,
        pem: &str,
    ) -> Result<(), KubernetesError> {
        self.set_webhook_bundles(configuration, read, pem).await
    }
}

fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

/// A replacement without the version that was read would overwrite what others did.
fn was_read(call: &Call<'_>, resource_version: &str) -> Result<(), KubernetesError> {
    if resource_version.is_empty() {
        let message = "metadata.resourceVersion must be specified for an update".into();
        return Err(KubernetesError::Invalid { what: call.to_string(), message });
    }
    Ok(())
}
