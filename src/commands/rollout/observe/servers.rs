//! One look at a ZooKeeper ensemble, as `ensemble status` has it.

use crate::cluster::ensemble::view::Answer;
use crate::commands::ensemble::observe::pass::views;
use crate::commands::ensemble::observe::servers::{Look, SERVER_LIMIT};
use crate::commands::ensemble::observe::sessions::Connections;
use crate::context::{Context, ZooKeeperFlags};

/// Asks every server of the ensemble, within some seconds: by four-letter words, and by a session for its own configuration.
///
/// # Errors
///
/// No server could be asked, or none of those that serve shows the configuration.
pub async fn look(context: &Context, zookeeper: &ZooKeeperFlags) -> anyhow::Result<Look> {
    let connections = Connections::new(context.zookeeper_settings(zookeeper)?);
    let look = views(&connections, None).await;
    look.notes.iter().for_each(|note| tracing::warn!("{note}"));
    if look.seen.quorum.is_some() || look.seen.leaders().len() > 1 {
        return Ok(look);
    }
    // Why a session shows nothing is only worth a question where that is the reason.
    let is_served = serves(&look);
    let session = if is_served { connections.unsynced(connections.named(), SERVER_LIMIT).await.err() } else { None };
    match unknown(&look, session.as_deref()) {
        Some(why) => Err(anyhow::anyhow!(why)),
        None => Ok(look),
    }
}

fn serves(look: &Look) -> bool {
    answers(look).any(|(_, answer)| answer.mode().is_some())
}

/// Where each server was asked, and what it answers.
fn answers(look: &Look) -> impl Iterator<Item = (&str, &Answer)> {
    let known =
        look.seen.servers.iter().map(|(id, view)| (look.addresses.get(id).map_or("-", String::as_str), &view.answer));
    known.chain(look.nameless.iter().map(|one| (one.address.as_str(), &one.answer)))
}

/// Why nothing is known of an ensemble whose configuration was not read; none where servers run that have no quorum: that is known.
fn unknown(look: &Look, session: Option<&str>) -> Option<String> {
    if serves(look) {
        let alone = look.seen.reconfig_off.as_deref();
        let whys: Vec<_> = look.notes.iter().map(String::as_str).chain(alone).chain(session).collect();
        return Some(format!(
            "no server shows the configuration ({}): allow `conf` in 4lw.commands.whitelist of the servers, or let this \
             client read /zookeeper/config in a session",
            whys.join("; ")
        ));
    }
    if answers(look).any(|(_, answer)| matches!(answer, Answer::NotServing)) {
        return None;
    }
    let each: Vec<_> = answers(look).map(|(address, answer)| format!("{address}: {}", words(answer))).collect();
    Some(format!("no server of the ensemble could be asked: {}", each.join("; ")))
}

fn words(answer: &Answer) -> String {
    match answer {
        Answer::Serving { mode, .. } => format!("it serves ({mode})"),
        Answer::NotServing => "it runs and has no quorum".to_owned(),
        Answer::Unreadable { why } | Answer::Down { why } => why.clone(),
        Answer::Silent { after_ms } => format!("no answer within {after_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ensemble::view::{Mode, Zxid};
    use crate::commands::ensemble::observe::servers::Nameless;

    fn look(answers: &[Answer]) -> Look {
        let one =
            |(at, answer): (usize, &Answer)| Nameless { address: format!("zk-{at}:2181"), answer: answer.clone() };
        Look { nameless: answers.iter().enumerate().map(one).collect(), ..Look::default() }
    }

    #[test]
    fn an_ensemble_of_which_no_server_can_be_asked_is_unknown_with_the_reason_of_each() {
        let down = Answer::Down { why: "connection refused".to_owned() };
        let words = unknown(&look(&[down.clone(), Answer::Silent { after_ms: 2_000 }]), None).unwrap();
        assert!(words.contains("zk-0:2181: connection refused; zk-1:2181: no answer within 2000 ms"), "{words}");
        assert_eq!(unknown(&look(&[down, Answer::NotServing]), None), None, "that the quorum is lost is known");
    }

    #[test]
    fn servers_that_show_no_configuration_are_unknown_with_what_to_do() {
        let serving = Answer::Serving { mode: Mode::Follower, zxid: Zxid(1) };
        let notes = vec!["zk-0:2181: `conf` is not executed because it is not in the whitelist".to_owned()];
        let words = unknown(&Look { notes, ..look(&[serving]) }, Some("it was refused")).unwrap();
        for part in ["is not in the whitelist; it was refused", "4lw.commands.whitelist", "/zookeeper/config"] {
            assert!(words.contains(part), "{words}");
        }
    }
}
