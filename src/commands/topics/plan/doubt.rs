//! Which planned changes may come from an answer that was old, and are planned again from a second look. Pure.

use crate::commands::topics::plan::last::LastApplied;
use crate::commands::topics::plan::step::{Cause, ConfigEdit, TopicStep};

/// Whether config changes are planned for keys that the last run left as they are declared, or may have: a broker that is
/// behind shows the value from before that run. Without a record any change may be of that kind.
pub fn has_doubtful_configs(steps: &[TopicStep], last: Option<&LastApplied>) -> bool {
    let is_doubtful = |step: &TopicStep| {
        let TopicStep::SetConfig { name, edits } = step else { return false };
        let applied = last.and_then(|last| last.topics.get(name));
        let may_be_done = |edit: &ConfigEdit| match (edit.cause, applied) {
            (Cause::Drift | Cause::NoLongerDeclared, _) | (_, None) => true,
            (_, Some(applied)) => applied.claimed.contains(&edit.key),
        };
        edits.iter().any(may_be_done)
    };
    steps.iter().any(is_doubtful)
}
