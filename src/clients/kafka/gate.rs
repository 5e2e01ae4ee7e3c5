//! The gate for writes: what must be true of this process right before a write is sent, such as that it holds a lock.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

/// Whether writes may be sent now; a reason if not.
pub type Condition = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Conditions of one client for its writes, by name. Without any, each write is sent. Clones are the same gate.
#[derive(Clone, Default)]
pub struct WriteGate(Arc<RwLock<BTreeMap<String, Condition>>>);

impl WriteGate {
    /// From now on each write needs this condition, too. It replaces the one of the same name. It is asked right before
    /// each attempt to send, on whichever thread sends, and must answer at once.
    pub fn require(&self, name: &str, condition: Condition) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), condition);
    }

    /// From now on writes do not need the condition of this name.
    pub fn waive(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Whether a write may be sent now; else the reason of the first condition that fails.
    pub fn check(&self) -> Result<(), String> {
        let conditions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        conditions.values().try_for_each(|condition| condition())
    }
}

impl fmt::Debug for WriteGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(conditions.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_must_hold_until_it_is_waived() {
        let gate = WriteGate::default();
        assert_eq!(gate.check(), Ok(()));
        gate.require("a", Arc::new(|| Ok(())));
        gate.require("b", Arc::new(|| Err("b is lost".to_owned())));
        assert_eq!(gate.clone().check(), Err("b is lost".to_owned()));
        gate.require("b", Arc::new(|| Ok(())));
        assert_eq!(gate.check(), Ok(()));
        gate.require("b", Arc::new(|| Err("b is lost again".to_owned())));
        gate.waive("b");
        assert_eq!(gate.check(), Ok(()));
    }
}
