//! The page of `ensemble status` for KRaft: each replica of the metadata log on a row.

use serde::Serialize;

use crate::cluster::ensemble::tolerance::Tolerance;
use crate::cluster::quorum::{DirectoryId, NodeId, QuorumReplica};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::kraft::Pass;
use crate::commands::ensemble::plan::kraft::seen::SeenQuorum;
use crate::commands::ensemble::report::{Foot, next_step};

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
    pub leader: Option<NodeId>,
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
    /// What stands below the table.
    #[serde(flatten)]
    pub foot: Foot,
}

/// One replica of the metadata log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The node's id.
    pub node: NodeId,
    /// `leader`, `voter` or `observer`.
    pub role: &'static str,
    /// Whether it fetches and lacks few records.
    pub caught_up: bool,
    /// The offset after its last record.
    pub log_end: Option<i64>,
    /// By how many records it is behind the leader.
    pub behind: Option<i64>,
    /// How long ago it fetched last, in milliseconds.
    pub fetched_ms_ago: Option<u64>,
    /// Its directory id.
    pub directory: Option<DirectoryId>,
}

/// Makes the page. `has_record`: it is known what is desired.
pub fn page(seen: &SeenQuorum, pass: &Pass, refusal: Option<Refusal>, has_record: bool) -> Page {
    let of = |replicas: &[QuorumReplica], role| replicas.iter().map(|it| row(seen, it, role)).collect::<Vec<_>>();
    let mut replicas = of(&seen.quorum.voters, "voter");
    replicas.sort_by_key(|row| row.node);
    let mut observers = of(&seen.quorum.observers, "observer");
    observers.sort_by_key(|row| row.node);
    replicas.extend(observers);
    let next_step = has_record.then(|| next_step(&pass.decision, ToString::to_string));
    let (foot, tolerance) = (Foot { findings: pass.findings.clone(), refusal, next_step }, seen.tolerance());
    Page {
        // A static quorum is as healthy as any; it only can't be changed.
        healthy: foot.is_healthy(Code::StaticQuorum),
        is_static: seen.is_static(),
        leader: seen.quorum.leader,
        epoch: seen.quorum.leader_epoch,
        high_watermark: seen.quorum.high_watermark,
        tolerance,
        after_one_loss: tolerance.after_one_loss(),
        replicas,
        foot,
    }
}

fn row(seen: &SeenQuorum, replica: &QuorumReplica, role: &'static str) -> Row {
    let (behind, time) = seen.lag(replica);
    let is_leader = role == "voter" && seen.quorum.leader == Some(replica.key.id);
    Row {
        node: replica.key.id,
        role: if is_leader { "leader" } else { role },
        caught_up: seen.is_caught_up(replica),
        log_end: replica.log_end_offset,
        behind,
        fetched_ms_ago: time.and_then(|time| u64::try_from(time.as_millis()).ok()),
        directory: replica.key.directory,
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
}

fn number(offset: Option<i64>) -> String {
    offset.map_or("-".to_owned(), |offset| offset.to_string())
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
            number(self.log_end),
            number(self.behind),
            fetched,
            state.to_owned(),
        ];
        if is_wide {
            cells.push(self.directory.map_or("-".to_owned(), |directory| directory.to_string()));
        }
        cells
    }
}
