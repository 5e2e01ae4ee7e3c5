//! The page of `ensemble status` for KRaft: each replica of the metadata log on a row.

use serde::Serialize;
use uuid::Uuid;

use crate::cluster::broker::BrokerId;
use crate::cluster::ensemble::tolerance::Tolerance;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::coherence::Finding;
use crate::commands::ensemble::plan::kraft::Pass;
use crate::commands::ensemble::plan::kraft::seen::{Replica, SeenQuorum};
use crate::commands::ensemble::report::{foot, is_alert};

/// The page, as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// Whether the voters stand in configuration files (`controller.quorum.voters`) and can't be changed while they run.
    #[serde(rename = "static")]
    pub is_static: bool,
    /// The controller that leads.
    pub leader: Option<BrokerId>,
    /// The leader's epoch.
    pub epoch: i32,
    /// The offset after the last committed record.
    pub high_watermark: i64,
    /// How many failures the quorum survives now.
    pub tolerance: Tolerance,
    /// The same after one more failure.
    pub after_one_loss: Tolerance,
    /// Voters, then observers: brokers, and controllers that join or were removed.
    pub replicas: Vec<Row>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What forbids every change now.
    pub refusal: Option<Refusal>,
}

/// One replica of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The node's id.
    pub node: BrokerId,
    /// `leader`, `voter` or `observer`.
    pub role: &'static str,
    /// Whether it fetches and lacks few records.
    pub caught_up: bool,
    /// The offset after its last record.
    pub log_end: i64,
    /// By how many records it is behind the leader.
    pub behind: i64,
    /// How long ago it fetched last, in milliseconds.
    pub fetched_ms_ago: Option<u64>,
    /// Its directory id.
    pub directory: Option<Uuid>,
}

/// Makes the page.
pub fn page(seen: &SeenQuorum, pass: &Pass, refusal: Option<Refusal>) -> Page {
    let of = |replicas: &[Replica], role| replicas.iter().map(|it| row(seen, it, role)).collect::<Vec<_>>();
    let mut replicas = of(&seen.voters, "voter");
    replicas.sort_by_key(|row| row.node);
    let mut observers = of(&seen.observers, "observer");
    observers.sort_by_key(|row| row.node);
    replicas.extend(observers);
    // A static quorum is as healthy as any; it only can't be changed.
    let is_bad = refusal.as_ref().is_some_and(|refusal| refusal.code != Code::StaticQuorum);
    Page {
        healthy: !is_bad && !pass.findings.iter().any(is_alert),
        is_static: seen.is_static(),
        leader: seen.leader,
        epoch: seen.epoch,
        high_watermark: seen.high_watermark,
        tolerance: pass.tolerance,
        after_one_loss: pass.tolerance.after_one_loss(),
        replicas,
        findings: pass.findings.clone(),
        refusal,
    }
}

fn row(seen: &SeenQuorum, replica: &Replica, role: &'static str) -> Row {
    let (behind, time) = seen.lag(replica);
    let is_leader = role == "voter" && seen.leader == Some(replica.node);
    Row {
        node: replica.node,
        role: if is_leader { "leader" } else { role },
        caught_up: seen.is_caught_up(replica),
        log_end: replica.log_end,
        behind,
        fetched_ms_ago: time.and_then(|time| u64::try_from(time.as_millis()).ok()),
        directory: replica.directory,
    }
}

impl Page {
    /// What stands above the table.
    pub fn head(&self) -> String {
        let leader = self.leader.map_or("no leader".to_owned(), |node| format!("controller {node} leads"));
        let kind = if self.is_static { "static quorum" } else { "dynamic quorum" };
        let (now, after) = (self.tolerance.words(), self.after_one_loss.words());
        let Self { epoch, high_watermark, .. } = self;
        format!(
            "{leader}, epoch {epoch}, high watermark {high_watermark}, {kind}\nNow: {now}\nAfter one more \
                failure: {after}\n\n"
        )
    }

    /// The table's head; `is_wide`: with directory ids.
    pub fn columns(is_wide: bool) -> Vec<&'static str> {
        let mut columns = vec!["NODE", "ROLE", "LOG END", "BEHIND", "LAST FETCH", "STATE"];
        if is_wide {
            columns.push("DIRECTORY");
        }
        columns
    }

    /// The table's rows.
    pub fn rows(&self, is_wide: bool) -> Vec<Vec<String>> {
        self.replicas.iter().map(|row| row.cells(is_wide)).collect()
    }

    /// What stands below the table.
    pub fn foot(&self) -> String {
        foot(&self.findings, self.refusal.as_ref())
    }
}

impl Row {
    fn cells(&self, is_wide: bool) -> Vec<String> {
        let fetched = match (self.role, self.fetched_ms_ago) {
            ("leader", _) | (_, None) => "-".to_owned(),
            (_, Some(ms)) => format!("{}.{} s ago", ms / 1_000, ms % 1_000 / 100),
        };
        let state = if self.caught_up { "caught up" } else { "dead or lagging" };
        let mut cells = vec![
            self.node.to_string(),
            self.role.to_owned(),
            self.log_end.to_string(),
            self.behind.to_string(),
            fetched,
            state.to_owned(),
        ];
        if is_wide {
            cells.push(
                self.directory.map_or("-".to_owned(), |directory| crate::formats::directory_id::shown(&directory)),
            );
        }
        cells
    }
}
