//! Which server of a rolling restart is next, without I/O: `(units, stopped, held) → Next`.
//!
//! In this order: what this run stopped is started; a pause and whatever is not well is waited for; then the servers that are
//! to be restarted, those that are not well first and the active controller or leader last. Progress is what is seen (the
//! revision of a pod) or recorded (outside Kubernetes), never a counter: a run that was killed goes on where it was.

pub mod leaders;
pub mod record;
pub mod standing;
pub mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::commands::rollout::plan::standing::Standing;

/// A server of a roll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its id.
    pub id: i32,
    /// What it is called: `broker 3`, `pod kafka-2 (broker 1003)`.
    pub name: String,
    /// Its StatefulSet; empty outside Kubernetes.
    pub set: String,
    /// Whether it runs what it is to run.
    pub is_done: bool,
    /// How it stands.
    pub standing: Standing,
    /// Whether it is the active controller, or leads.
    pub is_active: bool,
    /// Its pod, in Kubernetes.
    pub pod: Option<PodSeen>,
}

/// What is seen of a unit's pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodSeen {
    /// Its uid; none where it is not there.
    pub uid: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Why none of its containers runs.
    pub stuck: Option<String>,
    /// Its place among the pods of its set, from 0 (its ordinal without `spec.ordinals.start`), where the set replaces pods from the
    /// last one down: what the `partition` of its update counts.
    pub stepped: Option<u32>,
}

/// What comes next; units by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Every unit is done and well.
    Finished,
    /// This one was stopped by this run, or by one that died: start it.
    Start(usize),
    /// This one is next, if it may stop.
    Try(usize),
    /// Nothing can be done yet; what is waited for.
    Wait(String),
}

/// How a roll ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every server is done and well.
    Finished,
    /// It waited too long, for this; the next run goes on.
    Paused(String),
}

/// What a roll did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// How it ended.
    pub end: End,
    /// Who was restarted, in order.
    pub restarted: Vec<String>,
    /// Partitions whose preferred leader was elected.
    pub elected: usize,
}

/// Decides what comes next. `held` says why nothing may be stopped now whatever the units are like: a pause, a missing pod.
pub fn next(units: &[Unit], stopped: Option<i32>, held: Option<&str>) -> Next {
    if let Some(index) = stopped.and_then(|id| units.iter().position(|unit| unit.id == id)) {
        return Next::Start(index);
    }
    if let Some(why) = held {
        return Next::Wait(why.to_owned());
    }
    if let Some(unit) = units.iter().find(|unit| unit.is_done && !is_well(unit)) {
        return Next::Wait(format!("{} was restarted and is not back: {}", unit.name, ails(unit)));
    }
    if let Some(unit) = units.iter().find(|unit| is_being_replaced(unit)) {
        return Next::Wait(format!("{} is being replaced", unit.name));
    }
    let Some(first) = order(units).first().copied() else { return Next::Finished };
    let is_out = |index: usize, unit: &&Unit| index != first && matches!(unit.standing, Standing::Out(_));
    if let Some((_, unit)) = units.iter().enumerate().find(|(index, unit)| is_out(*index, unit)) {
        return Next::Wait(format!("another server is out, {}: {}", unit.name, ails(unit)));
    }
    let unit = &units[first];
    match &unit.standing {
        // Its process may recover its log: only where none runs a restart takes nothing away.
        Standing::Out(why) if !is_process_gone(unit) => Next::Wait(format!("{}: {why}", unit.name)),
        _ => Next::Try(first),
    }
}

/// Which of these are not back: those that were not before and are not known to be well now, and every one that has what it is to
/// have and is not well. A unit whose pod does not exist now is in no look: it is not back either.
pub fn not_back(before: &BTreeMap<i32, String>, units: &[Unit]) -> BTreeMap<i32, String> {
    let mut out = before.clone();
    for unit in units {
        if is_well(unit) {
            out.remove(&unit.id);
        } else if unit.is_done {
            out.insert(unit.id, unit.name.clone());
        }
    }
    out
}

/// Who is out because of a roll that ends now, in a sentence.
pub fn left_out(not_back: &BTreeMap<i32, String>) -> String {
    let names: Vec<_> = not_back.values().map(String::as_str).collect();
    match &names[..] {
        [] => "No server is out because of this roll".to_owned(),
        [one] => format!("{one} was restarted and is not back in sync yet: stop no other server before it is"),
        _ => format!(
            "{} were restarted and are not back in sync yet: stop no other server before they are",
            names.join(", ")
        ),
    }
}

/// Whether no process of a unit runs: then to stop it takes nothing away.
pub fn is_process_gone(unit: &Unit) -> bool {
    unit.pod.as_ref().is_some_and(|pod| pod.stuck.is_some())
}

/// The units that are to be restarted, in order: stuck ones, those that are not well, the rest, the active one last. Of a
/// set that replaces pods from the highest ordinal down only that one can be next.
pub fn order(units: &[Unit]) -> Vec<usize> {
    let mut highest: BTreeMap<&str, u32> = BTreeMap::new();
    let stepped = |unit: &Unit| unit.pod.as_ref().and_then(|pod| pod.stepped);
    for unit in units.iter().filter(|unit| !unit.is_done) {
        if let Some(ordinal) = stepped(unit) {
            let most = highest.entry(&unit.set).or_default();
            *most = ordinal.max(*most);
        }
    }
    let may_be_next = |unit: &Unit| stepped(unit).is_none_or(|ordinal| highest.get(&*unit.set) == Some(&ordinal));
    let mut order: Vec<_> =
        (0..units.len()).filter(|index| !units[*index].is_done && may_be_next(&units[*index])).collect();
    order.sort_by_key(|index| {
        let unit = &units[*index];
        let rank = match (&unit.standing, is_process_gone(unit)) {
            (_, true) => 0,
            (Standing::Out(_), false) => 1,
            (Standing::Behind(_), false) => 2,
            (Standing::Complete, false) if !is_ready(unit) => 2,
            (Standing::Complete, false) => 3,
        };
        (rank, unit.is_active, unit.set.clone(), unit.id)
    });
    order
}

fn is_ready(unit: &Unit) -> bool {
    unit.pod.as_ref().is_none_or(|pod| pod.is_ready)
}

fn is_being_replaced(unit: &Unit) -> bool {
    unit.pod.as_ref().is_some_and(|pod| pod.is_deleting || pod.uid.is_none())
}

/// Whether it runs, lacks nothing, and its pod is ready.
pub fn is_well(unit: &Unit) -> bool {
    unit.standing == Standing::Complete && is_ready(unit) && !is_being_replaced(unit)
}

/// What is wrong with a unit, in words.
fn ails(unit: &Unit) -> String {
    let stuck = unit.pod.as_ref().and_then(|pod| pod.stuck.as_ref());
    match (&unit.standing, stuck) {
        (_, Some(stuck)) => format!("its pod is stuck ({stuck}) with the new revision: correct the StatefulSet"),
        (Standing::Out(why) | Standing::Behind(why), None) => why.clone(),
        (Standing::Complete, None) if is_being_replaced(unit) => "its pod is being replaced".to_owned(),
        (Standing::Complete, None) => "its pod is not ready".to_owned(),
    }
}
