//! One server: `srvr`, `conf` and `mntr`, asked at the same time.

use std::time::Duration;

use tokio::time::Instant;

use crate::clients::four_letter_words::{FourLetterWords, Word, WordError};
use crate::clients::kafka::settings::Settings;
use crate::cluster::address::Address;
use crate::cluster::ensemble::view::{Answer, Mode, ServerView, Zxid};
use crate::cluster::four_letter::{ServerMode, ServerState};
use crate::formats::ensemble_config::read;

/// What one server said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Where it was asked.
    pub(super) address: Address,
    /// What it is.
    pub(super) view: ServerView,
    /// Why its configuration is not known, where it is not.
    pub(super) no_config: Option<String>,
}

/// Asks a server everything; ends within the limit.
pub(super) async fn look(settings: &Settings, address: Address, limit: Duration) -> Said {
    let words = match words(settings, &address, limit) {
        Ok(words) => words,
        Err(why) => {
            return Said { address, view: ServerView::of(Answer::Unreadable { why }), no_config: None };
        }
    };
    let start = Instant::now();
    let (state, conf, metrics) = tokio::join!(words.srvr(), words.ask(Word::Conf), words.mntr());
    let mut view = ServerView::of(answer(state, start.elapsed(), limit));
    let mut no_config = None;
    match conf.map_err(|error| error.to_string()).and_then(|text| {
        read(&format!("{} conf", words.address()), text.as_bytes()).map_err(|faults| faults.to_string())
    }) {
        // One that runs alone shows id 0 and no members.
        Ok(said) if said.config.membership.servers.is_empty() => {}
        Ok(said) => {
            view.own_id = said.own_id;
            view.config = Some(said.config);
        }
        Err(why) => no_config = Some(why),
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number, cut at 31 years of milliseconds"
    )]
    let number = |name: &str| Some(metrics.as_ref().ok()?.text(name)?.parse::<f64>().ok()?.clamp(0.0, 1e12) as u64);
    view.digest_mismatches = number("zk_digest_mismatches_count");
    // One that has just stopped leading may show how long it led.
    view.leads_for_ms = number("zk_leader_uptime").filter(|_| view.answer.mode() == Some(Mode::Leader));
    Said { address, view, no_config }
}

/// Asks again for the last transaction of a server that serves.
pub(super) async fn zxid(settings: &Settings, address: &Address, limit: Duration) -> Option<Zxid> {
    let state = words(settings, address, limit).ok()?.srvr().await.ok()?;
    Some(Zxid(state.zxid))
}

fn words(settings: &Settings, address: &Address, limit: Duration) -> Result<FourLetterWords, String> {
    let settings = Settings { timeout: limit, ..settings.clone() };
    FourLetterWords::new(&settings, &address.host, address.port).map_err(|error| error.to_string())
}

fn answer(state: Result<ServerState, WordError>, took: Duration, limit: Duration) -> Answer {
    let waited = took.as_millis().try_into().unwrap_or(u64::MAX);
    // A port that drops what is sent, or takes a connection and says nothing, uses up the time.
    let is_late = took >= limit * 9 / 10;
    match state {
        Ok(state) => Answer::Serving { mode: mode(state.mode), zxid: Zxid(state.zxid) },
        Err(WordError::NotServing { .. }) => Answer::NotServing,
        Err(WordError::Unreachable { .. } | WordError::NoAnswer { .. }) if is_late => {
            Answer::Silent { after_ms: waited }
        }
        Err(WordError::Unreachable { why, .. }) => Answer::Down { why },
        Err(error) => Answer::Unreadable { why: error.to_string() },
    }
}

fn mode(mode: ServerMode) -> Mode {
    match mode {
        ServerMode::Leader => Mode::Leader,
        ServerMode::Follower => Mode::Follower,
        ServerMode::Observer => Mode::Observer,
        ServerMode::Standalone => Mode::Standalone,
        ServerMode::ReadOnly => Mode::ReadOnly,
    }
}
