//! Plain data from and to the objects of `k8s-openapi`, and what the server's messages say. Pure.

use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1 as authorization;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::events::v1 as events;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use super::FIELD_MANAGER;
use crate::clients::kubernetes::rights::Granted;
use crate::clients::kubernetes::{
    ConfigMap, EventType, Identity, Lease, NewEvent, ObjectName, Owned, Regarding, Right,
};

fn name_of(metadata: &ObjectMeta) -> ObjectName {
    ObjectName::new(metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

pub(super) fn config_map(object: core::ConfigMap) -> ConfigMap {
    let bytes = object.binary_data.unwrap_or_default();
    ConfigMap {
        name: name_of(&object.metadata),
        labels: object.metadata.labels.unwrap_or_default(),
        annotations: object.metadata.annotations.unwrap_or_default(),
        data: object.data.unwrap_or_default(),
        binary_data: bytes.into_iter().map(|(key, ByteString(bytes))| (key, bytes)).collect(),
        resource_version: object.metadata.resource_version.unwrap_or_default(),
    }
}

pub(super) fn to_config_map(config_map: &ConfigMap) -> core::ConfigMap {
    let ConfigMap { name, labels, annotations, data, binary_data, resource_version } = config_map.clone();
    core::ConfigMap {
        metadata: ObjectMeta {
            namespace: Some(name.namespace),
            name: Some(name.name),
            labels: some(labels),
            annotations: some(annotations),
            resource_version: some(resource_version),
            ..ObjectMeta::default()
        },
        data: some(data),
        binary_data: some(binary_data.into_iter().map(|(key, bytes)| (key, ByteString(bytes))).collect()),
        immutable: None,
    }
}

pub(super) fn lease(object: coordination::Lease) -> Lease {
    let spec = object.spec.unwrap_or_default();
    Lease {
        name: name_of(&object.metadata),
        labels: object.metadata.labels.unwrap_or_default(),
        annotations: object.metadata.annotations.unwrap_or_default(),
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration_seconds: spec.lease_duration_seconds.unwrap_or(0),
        acquired: spec.acquire_time.map(|MicroTime(time)| time),
        renewed: spec.renew_time.map(|MicroTime(time)| time),
        transitions: spec.lease_transitions.unwrap_or(0),
        resource_version: object.metadata.resource_version.unwrap_or_default(),
    }
}

pub(super) fn to_lease(lease: &Lease) -> coordination::Lease {
    let Lease { name, labels, annotations, holder, duration_seconds, acquired, renewed, transitions, resource_version } =
        lease.clone();
    coordination::Lease {
        metadata: ObjectMeta {
            namespace: Some(name.namespace),
            name: Some(name.name),
            labels: some(labels),
            annotations: some(annotations),
            resource_version: some(resource_version),
            ..ObjectMeta::default()
        },
        spec: Some(coordination::LeaseSpec {
            holder_identity: holder,
            lease_duration_seconds: Some(duration_seconds),
            acquire_time: acquired.map(MicroTime),
            renew_time: renewed.map(MicroTime),
            lease_transitions: Some(transitions),
            ..coordination::LeaseSpec::default()
        }),
    }
}

/// Who made an object: the one owner that is its controller.
pub(super) fn owned(metadata: ObjectMeta, namespace: &str) -> Owned {
    let owners = metadata.owner_references.unwrap_or_default();
    let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
    Owned {
        uid: metadata.uid,
        controller: controller.map(|owner| Regarding {
            api_version: owner.api_version,
            kind: owner.kind,
            name: ObjectName::new(namespace, owner.name),
            uid: Some(owner.uid),
        }),
    }
}

pub(super) fn to_event(event: &NewEvent, identity: &Identity) -> events::Event {
    let NewEvent { name, regarding, reason, action, note, event_type, time } = event.clone();
    let Regarding { api_version, kind, name: object, uid } = regarding;
    events::Event {
        metadata: ObjectMeta { namespace: Some(object.namespace.clone()), name: Some(name), ..ObjectMeta::default() },
        regarding: Some(core::ObjectReference {
            api_version: Some(api_version),
            kind: Some(kind),
            namespace: Some(object.namespace),
            name: Some(object.name),
            uid,
            ..core::ObjectReference::default()
        }),
        reason: Some(reason),
        action: Some(action),
        note: Some(note),
        type_: Some(match event_type {
            EventType::Normal => "Normal".into(),
            EventType::Warning => "Warning".into(),
        }),
        event_time: Some(MicroTime(time)),
        reporting_controller: Some(FIELD_MANAGER.into()),
        reporting_instance: Some(identity.pod.as_ref().map_or_else(|| FIELD_MANAGER.into(), |pod| pod.name.clone())),
        ..events::Event::default()
    }
}

/// The question which rules hold for us in a namespace.
pub(super) fn rules_review(namespace: &str) -> authorization::SelfSubjectRulesReview {
    let spec = authorization::SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    authorization::SelfSubjectRulesReview { spec, ..<_>::default() }
}

/// The rules of its answer.
pub(super) fn granted(review: authorization::SelfSubjectRulesReview) -> Vec<Granted> {
    let rules = review.status.map(|status| status.resource_rules).unwrap_or_default();
    let rule = |rule: authorization::ResourceRule| Granted {
        groups: rule.api_groups.unwrap_or_default(),
        resources: rule.resources.unwrap_or_default(),
        names: rule.resource_names.unwrap_or_default(),
        verbs: rule.verbs,
    };
    rules.into_iter().map(rule).collect()
}

/// The question whether we have one right.
pub(super) fn access_review(namespace: &str, right: &Right) -> authorization::SelfSubjectAccessReview {
    let (resource, subresource) =
        right.resource.split_once('/').map_or((right.resource, None), |(resource, part)| (resource, Some(part)));
    let attributes = authorization::ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        name: right.name.clone(),
        verb: Some(right.verb.to_owned()),
        ..<_>::default()
    };
    let spec = authorization::SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..<_>::default() };
    authorization::SelfSubjectAccessReview { spec, ..<_>::default() }
}

/// Who asked, from the server's `… is forbidden: User "system:serviceaccount:NAMESPACE:NAME" cannot …`.
pub(super) fn asker(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("User \"")?;
    let (user, _) = rest.split_once('"')?;
    let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
    Some(match account {
        Some((namespace, name)) => format!("the ServiceAccount {namespace}/{name}"),
        None => format!("the user {user}"),
    })
}

/// What is missing, from the server's `namespaces "kafka" not found`.
pub(super) fn missing(message: &str) -> Option<String> {
    let name = message.strip_prefix("namespaces \"")?.strip_suffix("\" not found")?;
    Some(format!("namespace {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_message_says_who_asked() {
        let message = r#"configmaps is forbidden: User "system:serviceaccount:kafka:toolbox" cannot list resource"#;
        assert_eq!(asker(message).as_deref(), Some("the ServiceAccount kafka/toolbox"));
        assert_eq!(asker(r#"User "ann" cannot get"#).as_deref(), Some("the user ann"));
        assert_eq!(asker("no"), None);
    }
}
