//! The page of `ensemble status` for ZooKeeper: each server on a row, what the ensemble survives, what is wrong.

use serde::Serialize;

use crate::cluster::ensemble::member::ServerId;
use crate::cluster::ensemble::membership::ConfigVersion;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::cluster::ensemble::view::{Answer, Mode, ServerView, Zxid};
use crate::cluster::visible;
use crate::commands::ensemble::plan::Pass;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::{Alert, Finding, unusable_record};
use crate::commands::ensemble::plan::seen::{PodSeen, Seen};
use crate::commands::ensemble::report::{Foot, next_step};

/// Most servers whose words are shown of why the membership is not known.
const NOTES_MAX: usize = 3;

/// Most characters of why a server does not answer, in the table.
const REASON_MAX: usize = 160;

/// The page, as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// The version of the configuration that the leader has; of the newest one, where none leads.
    pub version: Option<ConfigVersion>,
    /// The server that leads, if exactly one does.
    pub leader: Option<ServerId>,
    /// How many failures the ensemble survives now.
    pub tolerance: Option<Tolerance>,
    /// The same after one more failure.
    pub after_one_loss: Option<Tolerance>,
    /// Each server, by id; those without a known id last.
    pub servers: Vec<Row>,
    /// What stands below the table.
    #[serde(flatten)]
    pub foot: Foot,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its id, where it is known.
    pub id: Option<ServerId>,
    /// Where it was asked.
    pub address: String,
    /// `participant`, `observer`, or none where it is no member.
    pub role: Option<String>,
    /// What it is, in words.
    pub state: String,
    /// What it answers.
    pub answer: Answer,
    /// By how many transactions it is behind the leader; none where they are of different epochs, or it does not serve.
    pub behind: Option<u64>,
    /// The version that it has itself.
    pub version: Option<ConfigVersion>,
    /// Its line in the configuration.
    pub line: Option<String>,
    /// Its pod in Kubernetes, where the record names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSeen>,
}

/// A server that did not say who it is.
#[derive(Debug, Clone)]
pub struct Stranger {
    /// Where it was asked.
    pub address: String,
    /// What it answers.
    pub answer: Answer,
}

/// Where servers were asked.
#[derive(Clone)]
pub struct Places<'a> {
    /// Servers that did not say who they are.
    pub strangers: Vec<Stranger>,
    /// Whether it is known what is desired.
    pub has_record: bool,
    /// What kept from knowing the membership, one line a server.
    pub notes: &'a [String],
    /// Where each of the others was asked.
    pub address: &'a dyn Fn(ServerId) -> String,
}

/// Makes the page.
pub fn page(seen: &Seen, pass: &Pass, refusal: Option<Refusal>, places: &Places<'_>) -> Page {
    let members = seen.membership();
    let row = |id: ServerId, view: Option<&ServerView>| {
        let line = members.and_then(|membership| membership.servers.get(&id));
        let answer =
            view.map_or_else(|| Answer::Unreadable { why: "it was not asked".to_owned() }, |view| view.answer.clone());
        let leader = seen.leader_zxid.zip(answer.zxid());
        Row {
            id: Some(id),
            address: (places.address)(id),
            role: line.map(|line| line.role.to_string()),
            state: pass.members.get(&id).map_or("unknown", |known| known.row.words()).to_owned(),
            behind: leader.and_then(|(leader, own)| behind(leader, own)),
            answer,
            version: view.and_then(|view| view.config.as_ref()).map(|config| config.version),
            line: line.map(ToString::to_string),
            pod: seen.workload.as_ref().and_then(|workload| workload.pods.get(&id).cloned()),
        }
    };
    let mut servers: Vec<_> = pass.members.keys().map(|id| row(*id, seen.servers.get(id))).collect();
    servers.extend(places.strangers.iter().map(|stranger| Row {
        id: None,
        address: stranger.address.clone(),
        role: None,
        state: "its id is not known".to_owned(),
        answer: stranger.answer.clone(),
        behind: None,
        version: None,
        line: None,
        pod: None,
    }));
    let (findings, refusal) = if is_membership_unknown(seen, places) {
        let text = format!("no server shows the membership: {}", why_unknown(places.notes));
        let texts = std::iter::once(text).chain(unusable_record(&seen.asked));
        (texts.map(|text| Finding { alert: Alert::IncoherentConfiguration, text }).collect(), None)
    } else {
        (pass.findings.clone(), refusal)
    };
    // Without any answer there is nothing that `apply` could do next.
    let has_next = places.has_record && seen.is_answered();
    let foot = Foot { findings, refusal, next_step: has_next.then(|| next_steps(pass)) };
    Page {
        // An ensemble that can't be reconfigured is as healthy as any.
        healthy: foot.is_healthy(Code::ReconfigOff),
        version: seen.quorum.as_ref().map(|config| config.version),
        leader: seen.leader(),
        tolerance: pass.tolerance,
        after_one_loss: pass.tolerance.map(Tolerance::after_one_loss),
        servers,
        foot,
    }
}

fn next_steps(pass: &Pass) -> String {
    let next = next_step(&pass.decision, |change| format!("{change} ({})", change.impact()));
    pass.scale_down.as_ref().map_or_else(|| next.clone(), |scale_down| format!("{scale_down}; {next}"))
}

/// Whether servers serve, and none of them says who the members are.
fn is_membership_unknown(seen: &Seen, places: &Places<'_>) -> bool {
    let serves = |it: &Stranger| it.answer.mode().is_some_and(|mode| mode != Mode::Standalone);
    seen.servers.is_empty() && places.strangers.iter().any(serves)
}

/// Why no server says who the members are: by what each said; a word that is not in the whitelist is the usual reason.
fn why_unknown(notes: &[String]) -> String {
    let others: Vec<_> = notes.iter().filter(|note| !note.contains("4lw.commands.whitelist")).take(NOTES_MAX).collect();
    let whitelist = "`conf` is not in 4lw.commands.whitelist of zoo.cfg".to_owned();
    if others.is_empty() {
        whitelist
    } else {
        others.into_iter().map(|note| one_line(note)).collect::<Vec<_>>().join("; ")
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn behind(leader: Zxid, own: Zxid) -> Option<u64> {
    if own.has_all_of(leader) {
        return Some(0);
    }
    (leader.epoch() == own.epoch()).then(|| leader.counter().saturating_sub(own.counter()))
}

impl Page {
    /// What stands above the table.
    pub fn head(&self) -> String {
        let nobody = if self.tolerance.is_none() { "leader not known" } else { "no leader" };
        let leader = self.leader.map_or(nobody.to_owned(), |id| format!("server {id} leads"));
        let version = self.version.map_or("configuration not known".to_owned(), |it| format!("configuration {it}"));
        let now = self.tolerance.map_or("the membership is not known".to_owned(), Tolerance::words);
        let after =
            self.after_one_loss.map(|it| format!("After one more failure: {}\n", it.words())).unwrap_or_default();
        format!("{leader}, {version}\nNow: {now}\n{after}\n")
    }

    /// The table's head; `is_wide`: with pods and nodes, where they are known, and the addresses between servers.
    pub fn columns(&self, is_wide: bool) -> Vec<&'static str> {
        let mut columns = vec!["ID", "ADDRESS", "ROLE", "MODE", "ZXID", "BEHIND", "STATE"];
        if is_wide && self.has_pods() {
            columns.extend(["POD", "NODE"]);
        }
        if is_wide {
            columns.extend(["VERSION", "SERVER LINE"]);
        }
        columns
    }

    fn has_pods(&self) -> bool {
        self.servers.iter().any(|row| row.pod.is_some())
    }

    /// The table's rows.
    pub fn rows(&self, is_wide: bool) -> Vec<Vec<String>> {
        self.servers.iter().map(|row| row.cells(is_wide, self.has_pods())).collect()
    }
}

impl Row {
    fn cells(&self, is_wide: bool, has_pods: bool) -> Vec<String> {
        let dash = || "-".to_owned();
        let trouble = self.answer.trouble().map(|why| format!(": {}", visible::bounded(&one_line(&why), REASON_MAX)));
        let mode = match &self.answer {
            Answer::Serving { mode, .. } => mode.to_string(),
            Answer::NotServing => "no quorum".to_owned(),
            Answer::Unreadable { .. } => "not readable".to_owned(),
            Answer::Silent { .. } => "silent".to_owned(),
            Answer::Down { .. } => "down".to_owned(),
        };
        let mut cells = vec![
            self.id.map_or_else(dash, |id| id.to_string()),
            self.address.clone(),
            self.role.clone().unwrap_or_else(dash),
            mode,
            self.answer.zxid().map_or_else(dash, |zxid| zxid.to_string()),
            self.behind.map_or_else(dash, |count| count.to_string()),
            format!("{}{}", self.state, trouble.unwrap_or_default()),
        ];
        if is_wide && has_pods {
            cells.push(self.pod.as_ref().map_or_else(dash, |pod| format!("{} ({})", pod.name, pod.state)));
            cells.push(self.pod.as_ref().map_or_else(dash, PodSeen::place));
        }
        if is_wide {
            cells.push(self.version.map_or_else(dash, |version| version.to_string()));
            cells.push(self.line.clone().unwrap_or_else(dash));
        }
        cells
    }
}
