//! What runs keep for later runs.

use crate::cluster::handover::Handover;
use crate::cluster::overrides::Overrides;
use crate::cluster::throttle::ThrottleRecord;
use crate::contents::Contents;

/// A journal, a line of the audit log, and what runs keep of each other.
pub fn records(bytes: &[u8]) {
    let contents = Contents::read(bytes);
    let _ = (contents.unmatched().len(), contents.pending().count());
    for damaged in &contents.damaged {
        let _ = contents.may_hide_a_change(damaged);
    }
    let _ = serde_json::from_slice::<ThrottleRecord>(bytes);
    let _ = serde_json::from_slice::<Overrides>(bytes);
    let _ = serde_json::from_slice::<Handover>(bytes);
}
