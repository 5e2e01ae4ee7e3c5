//! A start as a plan: the document first, then files, `initialize` last; what is as it should be is left alone.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::change::event::Severity;
use crate::change::plan::{Plan, Risk, Step};
use crate::cluster::ensemble::desired::{Desired, LastConfig};
use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::visible;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::prestart::batch::StartBatch;
use crate::commands::ensemble::plan::prestart::decide::{Decision, Live, Marker, Start, decide};
use crate::commands::ensemble::plan::prestart::files::{FoundFiles, Layout, wanted};
use crate::commands::ensemble::plan::prestart::reserve::{Halt, Me, Reservation, reserve};
use crate::commands::ensemble::plan::refuse::next_step;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The id of this pod.
    pub id: ServerId,
    /// Who it is.
    pub me: Me,
    /// Its line, for a document that does not have it yet.
    pub line: Option<ServerLine>,
    /// The number of voters of a new ensemble.
    pub size: Option<usize>,
    /// Whether a new ensemble may be small.
    pub dev: bool,
    /// Whether this server was named as the one that begins it.
    pub begins: bool,
    /// Where its files are.
    pub layout: Layout,
    /// Its settings, in the order in which they are written.
    pub settings: Vec<(String, String)>,
    /// The present time.
    pub now: Timestamp,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// The document.
    pub record: Option<Desired>,
    /// This pod's folders; why they can't be read, where they can't.
    pub found: Result<FoundFiles, String>,
    /// Servers that serve, this one's id included if somebody has it.
    pub live: BTreeMap<ServerId, Live>,
    /// Where a process answers that has this id.
    pub rival: Option<String>,
    /// Another server that answers at all, in words.
    pub answers: Option<String>,
    /// Whether this pod's own name resolves.
    pub resolves: bool,
    /// The id of the ensemble, should it be new: made at random.
    pub fresh_id: String,
}

/// What a look comes to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What is done now.
    pub plan: Plan<PrestartStep>,
    /// Why the server can't start yet, where it can't: look again after the plan was carried out.
    pub waits: Option<String>,
    /// The document as it is to be.
    pub desired: Option<Desired>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrestartStep {
    /// The server.
    pub id: ServerId,
    /// What is done.
    #[serde(flatten)]
    pub act: Act,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Act {
    /// The document is written.
    Record {
        /// What changes in it.
        what: String,
    },
    /// A file is written.
    Write {
        /// Its path.
        path: String,
        /// Its text; settings may hold passwords, so it is shown nowhere.
        #[serde(skip)]
        text: String,
        /// Why, where there is more to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// An empty `initialize` is made: the server may vote though it has no data.
    Initialize {
        /// Its path.
        path: String,
    },
    /// An `initialize` of an earlier start is removed.
    RemoveInitialize {
        /// Its path.
        path: String,
    },
}

/// The plan of a start.
pub fn plan(terms: &Terms, ground: &Ground) -> Outcome {
    let refused = |refusal: &Refusal| {
        let mut plan = Plan::default();
        plan.refuse(format!("server:{}", terms.id), "start", refusal.to_string());
        Outcome { plan, waits: None, desired: None }
    };
    let found = match &ground.found {
        Ok(found) => found,
        Err(why) => return refused(&Refusal::new(Code::DiskIo, why.clone(), next_step(Code::DiskIo))),
    };
    let asked = Reservation {
        id: terms.id,
        me: &terms.me,
        line: terms.line.as_ref(),
        size: terms.size,
        dev: terms.dev,
        begins: terms.begins,
        disk: &found.disk,
        answers: ground.answers.as_deref().or(ground.rival.as_deref()),
        fresh_id: &ground.fresh_id,
    };
    let mut desired = match reserve(ground.record.as_ref(), &asked) {
        Ok(desired) => desired,
        Err(Halt::Refuse(refusal)) => return refused(&refusal),
        Err(Halt::Wait(why)) => return Outcome { plan: Plan::default(), waits: Some(why), desired: None },
    };
    let start = Start {
        id: terms.id,
        desired: &desired,
        disk: &found.disk,
        live: &ground.live,
        resolves: ground.resolves,
        rival: ground.rival.as_deref(),
        answers: ground.answers.as_deref(),
    };
    let decision = decide(start);
    if let Decision::Refuse(refusal) = &decision {
        return refused(refusal);
    }
    mark(&mut desired, ground, found, terms, &decision);
    let mut outcome = Outcome { plan: Plan::default(), waits: None, desired: None };
    record(&mut outcome, terms, ground.record.as_ref(), desired.clone());
    match decision {
        Decision::Wait(why) => outcome.waits = Some(why),
        decision => write(&mut outcome.plan, terms, found, &desired, &decision),
    }
    find_other_line(&mut outcome.plan, terms, &desired);
    find_copy(&mut outcome.plan, terms, found.disk.marker.as_ref());
    outcome
}

/// What a start shows of the ensemble: its first member is recorded before it starts, and that it has begun once anybody serves.
fn mark(desired: &mut Desired, ground: &Ground, found: &FoundFiles, terms: &Terms, decision: &Decision) {
    let is_new = !desired.initialized && ground.live.is_empty();
    match decision {
        Decision::Write { config, .. } if is_new && config.membership.servers.keys().eq([&terms.id]) => {
            desired.last_config.get_or_insert_with(|| LastConfig { config: config.clone(), since: terms.now });
            desired.initialized = found.disk.has_data;
        }
        Decision::Write { .. } | Decision::Keep { .. } if !ground.live.is_empty() => desired.initialized = true,
        _ => {}
    }
}

fn record(outcome: &mut Outcome, terms: &Terms, before: Option<&Desired>, after: Desired) {
    if before == Some(&after) {
        return;
    }
    let is_known = before.is_some_and(|before| before.members.contains_key(&terms.id));
    let pod = terms.me.pod.as_ref().map(|pod| format!(" for pod {pod}")).unwrap_or_default();
    let what = match before {
        None => format!("a new ensemble of {} voters, begun by this server{pod}", after.size),
        Some(_) if !is_known => format!("the id is reserved{pod}"),
        Some(before) if !before.initialized && after.initialized => "the ensemble has begun to serve".to_owned(),
        Some(_) => format!("the entry of the server is completed{pod}"),
    };
    outcome.plan.steps.push(PrestartStep { id: terms.id, act: Act::Record { what } });
    outcome.desired = Some(after);
}

/// Files of a server that starts.
fn write(plan: &mut Plan<PrestartStep>, terms: &Terms, found: &FoundFiles, desired: &Desired, decision: &Decision) {
    let Terms { id, layout, .. } = terms;
    let (config, initialize, why) = match decision {
        Decision::Write { config, initialize, why } => (Some(config), *initialize, why),
        Decision::Keep { why } => (None, false, why),
        Decision::Wait(_) | Decision::Refuse(_) => return,
    };
    let mut add = |act: Act| plan.steps.push(PrestartStep { id: *id, act });
    let stale = found.initialize.iter().filter(|_| !initialize);
    stale.for_each(|path| add(Act::RemoveInitialize { path: path.clone() }));
    let file = |path: String, text: String| Act::Write { path, text, why: None };
    if found.disk.myid.is_none() {
        add(file(layout.myid(), format!("{id}\n")));
    }
    if let Some(marker) = marker(terms, desired, found.disk.marker.as_ref()) {
        // It is plain data: writing it as JSON does not fail.
        add(file(layout.marker(), serde_json::to_string(&marker).unwrap_or_default() + "\n"));
    }
    let wanted = wanted(layout, &terms.settings, found, config);
    if let Some((path, text)) = wanted.dynamic {
        add(Act::Write { path, text, why: Some(why.clone()) });
    }
    if let Some((path, text)) = wanted.zoo_cfg {
        add(file(path, text));
    }
    if initialize {
        let missing = layout.initialize().into_iter().filter(|path| !found.initialize.contains(path));
        missing.for_each(|path| add(Act::Initialize { path }));
    }
}

/// The marker that is to be written, if another one is there or none.
fn marker(terms: &Terms, desired: &Desired, there: Option<&Marker>) -> Option<Marker> {
    let volume = terms.me.volume.clone();
    let Some(there) = there else {
        return Some(Marker { ensemble_id: desired.ensemble_id.clone()?, id: terms.id, volume });
    };
    let is_known = volume.is_none() || there.volume == volume;
    (!is_known).then(|| Marker { volume, ..there.clone() })
}

/// Files that were copied from another disk may be old, and the other disk may come back.
fn find_copy(plan: &mut Plan<PrestartStep>, terms: &Terms, there: Option<&Marker>) {
    let before = there.and_then(|marker| marker.volume.as_ref());
    let Some((before, now)) = before.zip(terms.me.volume.as_ref()).filter(|(before, now)| before != now) else {
        return;
    };
    let text = format!(
        "the files of server {} were written on volume {}, and are on {now} now: they were copied. Make sure that the other disk does \
         not come back, and that the copy is a whole one",
        terms.id,
        visible::value(before)
    );
    plan.find(format!("server:{}", terms.id), "ensemble.other_volume", text);
}

/// The document wins over the flag: a pod never changes an address.
fn find_other_line(plan: &mut Plan<PrestartStep>, terms: &Terms, desired: &Desired) {
    let member = desired.members.get(&terms.id);
    let other = member.zip(terms.line.as_ref()).filter(|(member, line)| !member.line.is_at_same_place(line));
    if let Some((member, line)) = other {
        let text = format!(
            "the document has server {} at `{}`, --server-line says `{line}`: the document counts. Change it there, and \
             `toolbox ensemble apply` moves the server",
            terms.id, member.line
        );
        plan.find(format!("server:{}", terms.id), "ensemble.other_address", text);
    }
}

impl fmt::Display for PrestartStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match &self.act {
            Act::Record { what } => write!(f, "~ server {id}: document: {what}"),
            Act::Write { path, why: Some(why), .. } => write!(f, "+ server {id}: {path} is written: {why}"),
            Act::Write { path, .. } => write!(f, "+ server {id}: {path} is written"),
            Act::Initialize { path } => write!(f, "+ server {id}: {path} is made: it may begin without data"),
            Act::RemoveInitialize { path } => {
                write!(f, "- server {id}: {path} is removed: it may not begin without data any more")
            }
        }
    }
}

impl Step for PrestartStep {
    type Batch = StartBatch;

    fn subject(&self) -> String {
        format!("server:{}", self.id)
    }

    fn risk(&self) -> Risk {
        Risk::Reversible
    }

    fn kind(&self) -> &'static str {
        match &self.act {
            Act::Record { .. } => "ensemble.recorded",
            Act::Write { .. } => "ensemble.written",
            Act::Initialize { .. } | Act::RemoveInitialize { .. } => "ensemble.initialize",
        }
    }

    fn batch(&self) -> StartBatch {
        match &self.act {
            Act::Record { .. } => StartBatch::Record,
            _ => StartBatch::Write,
        }
    }

    fn severity(&self) -> Severity {
        match &self.act {
            Act::Record { .. } | Act::Initialize { .. } => Severity::Info,
            _ => Severity::Low,
        }
    }

    fn before_after(&self) -> (Option<String>, Option<String>) {
        match &self.act {
            // The members. Settings may hold passwords.
            Act::Write { text, why: Some(_), .. } => (None, Some(text.replace('=', ": "))),
            _ => (None, None),
        }
    }
}
