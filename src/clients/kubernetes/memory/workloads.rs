//! StatefulSets and pods in memory, and what the StatefulSets' controller does.

use async_trait::async_trait;

use super::{Call, Memory, State};
use crate::clients::kubernetes::selector::Selector;
use crate::clients::kubernetes::{
    KubernetesError, ObjectName, PodState, REVISION_LABEL, Resource, StatefulSet, Strategy, Verb, Version, Workloads,
};

impl Memory {
    /// Makes or replaces a StatefulSet.
    pub fn add_stateful_set(&self, set: StatefulSet) {
        let mut state = self.lock();
        let resource_version = state.next_version();
        state.stateful_sets.insert(set.name.clone(), StatefulSet { resource_version, ..set });
    }

    /// Makes or replaces a pod.
    pub fn add_pod(&self, pod: PodState) {
        self.lock().pods.insert(pod.name.clone(), pod);
    }

    /// Removes a pod, whatever its controller would do.
    pub fn remove_pod(&self, name: &ObjectName) {
        self.lock().pods.remove(name);
    }

    /// A pod, if it is there.
    pub fn peek_pod(&self, name: &ObjectName) -> Option<PodState> {
        self.lock().pods.get(name).cloned()
    }

    /// The pods that were deleted so far, with their uids, in order.
    pub fn deleted_pods(&self) -> Vec<(ObjectName, String)> {
        self.lock().deleted_pods.clone()
    }
}

impl State {
    /// What the StatefulSets' controller does: the pod is made anew, from the set's new revision, and is ready at once.
    fn make_anew(&mut self, name: &ObjectName) {
        let Some(pod) = self.pods.remove(name) else { return };
        self.deleted_pods.push((name.clone(), pod.uid.clone()));
        let set = self.stateful_sets.values().find(|set| Some(&set.uid) == pod.controller_uid.as_ref());
        let Some(set) = set else { return };
        let revision = set.update_revision.clone();
        let mut anew = PodState { uid: format!("{}+", pod.uid), is_ready: true, stuck: None, crash_loop: None, ..pod };
        anew.labels.insert(REVISION_LABEL.to_owned(), revision);
        self.pods.insert(name.clone(), anew);
    }
}

#[async_trait]
impl Workloads for Memory {
    async fn stateful_set(&self, name: &ObjectName) -> Result<Option<StatefulSet>, KubernetesError> {
        let state = self.enter(Verb::Get, Resource::StatefulSets, &name.namespace)?;
        Ok(state.stateful_sets.get(name).cloned())
    }

    async fn pod(&self, name: &ObjectName) -> Result<Option<PodState>, KubernetesError> {
        let state = self.enter(Verb::Get, Resource::Pods, &name.namespace)?;
        Ok(state.pods.get(name).cloned())
    }

    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<PodState>, KubernetesError> {
        let state = self.enter(Verb::List, Resource::Pods, namespace)?;
        let wanted = Selector::parse(selector).map_err(|message| KubernetesError::Invalid {
            what: format!("pods of namespace {namespace}"),
            message: format!("unable to parse requirement: {message}"),
        })?;
        let is_wanted = |pod: &&PodState| pod.name.namespace == namespace && wanted.matches(&pod.labels);
        Ok(state.pods.values().filter(is_wanted).cloned().collect())
    }

    async fn delete_pod(&self, name: &ObjectName, uid: &str) -> Result<(), KubernetesError> {
        let call = Call(Verb::Delete, Resource::Pods, name);
        let mut state = self.enter(call.0, call.1, &name.namespace)?;
        match state.pods.get(name) {
            None => Ok(()),
            Some(pod) if pod.uid != uid => Err(KubernetesError::Conflict { what: call.to_string() }),
            Some(_) => {
                state.make_anew(name);
                Ok(())
            }
        }
    }

    async fn set_partition(&self, set: &StatefulSet, partition: u32) -> Result<(), KubernetesError> {
        let call = Call(Verb::Patch, Resource::StatefulSets, &set.name);
        let mut state = self.enter(call.0, call.1, &set.name.namespace)?;
        let version = state.next_version();
        let Some(there) = state.stateful_sets.get_mut(&set.name) else {
            return Err(KubernetesError::NotFound { what: call.to_string() });
        };
        if there.resource_version != set.resource_version || there.uid != set.uid {
            return Err(KubernetesError::Conflict { what: call.to_string() });
        }
        there.strategy = Strategy::Partition(partition);
        there.resource_version = version;
        let (uid, revision) = (there.uid.clone(), there.update_revision.clone());
        // The partition counts pods of the set, whatever ordinal the first one has.
        let from = there.first_ordinal.saturating_add(partition);
        let is_old = |pod: &PodState| {
            pod.controller_uid.as_ref() == Some(&uid)
                && pod.ordinal().is_some_and(|ordinal| ordinal >= from)
                && pod.revision() != Some(&revision)
        };
        let old: Vec<_> = state.pods.values().filter(|pod| is_old(pod)).map(|pod| pod.name.clone()).collect();
        for name in &old {
            state.make_anew(name);
        }
        Ok(())
    }

    async fn set_replicas(&self, name: &ObjectName, read: &Version, replicas: u32) -> Result<(), KubernetesError> {
        let call = Call(Verb::Update, Resource::Scales, name);
        let mut state = self.enter(call.0, call.1, &name.namespace)?;
        let resource_version = state.next_version();
        let Some(there) = state.stateful_sets.get_mut(name) else {
            return Err(KubernetesError::NotFound { what: call.to_string() });
        };
        if there.resource_version != read.resource_version || there.uid != read.uid {
            return Err(KubernetesError::Conflict { what: call.to_string() });
        }
        there.replicas = replicas;
        there.resource_version = resource_version;
        let (uid, end) = (there.uid.clone(), there.first_ordinal + replicas);
        let is_surplus = |pod: &PodState| {
            pod.controller_uid.as_ref() == Some(&uid) && pod.ordinal().is_some_and(|ordinal| ordinal >= end)
        };
        state.pods.retain(|_, pod| !is_surplus(pod));
        Ok(())
    }
}
