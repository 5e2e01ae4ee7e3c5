//! What is known of the address that a member should move to. ZooKeeper takes any: a wrong one makes a live voter unreachable for the
//! others.

use crate::cluster::ensemble::desired::ChangeKind;
use crate::cluster::ensemble::server_line::ServerLine;
use crate::cluster::ensemble::view::NewPlace;
use crate::commands::ensemble::plan::change::Change;
use crate::commands::ensemble::plan::code::Code;
use crate::commands::ensemble::plan::guards::{Check, Ground, Guard, judged, unmeasured};

/// Whether the member that moves was found at its new address, as the server with its id.
pub fn is_found(change: &Change, ground: Ground<'_>) -> bool {
    let place = ground.seen.servers.get(&change.target).and_then(|view| view.new_place.as_ref());
    asks_new_host(change, ground) && place.is_some_and(|place| place.own_id == Some(change.target))
}

/// Whether asking the client address of the new line shows anything of the new quorum address: one that stays is the old process's.
fn asks_new_host(change: &Change, ground: Ground<'_>) -> bool {
    let now = ground.membership.servers.get(&change.target).and_then(ServerLine::client_address);
    let next = change.line.as_ref().and_then(ServerLine::client_address);
    next.is_some() && now != next
}

/// What guard I6 says of the new address: words where nothing is against it.
pub fn at_new_place(change: &Change, ground: Ground<'_>) -> Result<String, Check> {
    if change.kind != ChangeKind::Readdress {
        return Ok(String::new());
    }
    let id = change.target;
    if !asks_new_host(change, ground) {
        return Ok("; its client address stays, so that the new quorum address could not be asked".to_owned());
    }
    let Some(place) = ground.seen.servers.get(&id).and_then(|view| view.new_place.as_ref()) else {
        let address = change.line.as_ref().and_then(ServerLine::client_address);
        let address = address.map(|it| it.to_string()).unwrap_or_default();
        return Err(unmeasured(Guard::I6, format!("server {id} was not asked at its new address {address}")));
    };
    let NewPlace { address, answer, own_id } = place;
    match own_id {
        Some(own) if *own == id => Ok(format!("; server {id} answers at {address}")),
        Some(own) => {
            let numbers = format!("server {id} should move to {address}, where the process has myid {own}");
            Err(judged(Guard::I6, false, Code::IdConflict, numbers))
        }
        None if answer.is_of_zookeeper() => Ok(format!("; the server at {address} does not show its id")),
        None => {
            let why = answer.trouble().unwrap_or_default();
            let numbers = format!(
                "server {id} should move to {address}, where it does not answer ({why}): it has to answer there first"
            );
            Err(judged(Guard::I6, false, Code::BadAddress, numbers))
        }
    }
}
