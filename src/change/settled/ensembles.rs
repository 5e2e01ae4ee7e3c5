//! Changes of an ensemble's membership.

use crate::change::event::Event;
use crate::change::settled::values;

/// Whether the present membership shows a change done; none where it shows neither.
pub(super) fn is_done(intent: &Event, membership: &str) -> Option<bool> {
    if !["ensemble.reconfigured", "ensemble.change_confirmed"].contains(&intent.kind.as_str()) {
        return None;
    }
    let servers = |text: &str| {
        let lines =
            values(Some(text)).into_iter().filter(|(key, _)| key.starts_with("server.") || key.starts_with("voter."));
        lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    let (before, after) = (intent.before.as_deref().map(servers), intent.after.as_deref().map(servers));
    let now = Some(servers(membership));
    match () {
        () if now == after => Some(true),
        () if now == before => Some(false),
        () => None,
    }
}
