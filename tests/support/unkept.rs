//! A record that can't be kept any more, from the moment on that a cluster in memory was changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use kafka_toolbox::clients::kafka::memory::{Call, Memory};

/// Most changes of a kind that a run makes here.
const CHANGES_MAX: usize = 20;

/// Breaks a record when it is told to.
#[derive(Clone, Default)]
pub(crate) struct Breaker(Arc<OnceLock<(PathBuf, usize)>>);

impl Breaker {
    /// The same cluster; its changes of this kind break the record once that is armed.
    pub(crate) fn at(&self, kafka: Memory, call: Call) -> Memory {
        (1..=CHANGES_MAX).fold(kafka, |kafka, nth| {
            let breaker = self.clone();
            kafka.after(call, nth, move |_| breaker.meet(nth))
        })
    }

    /// From now on the record for a purpose (`throttle`, `moves`) in a state folder can't be written any more once the
    /// cluster was changed for the n-th time since it was made.
    pub(crate) fn arm(&self, state: &Path, purpose: &str, nth: usize) {
        self.0.set((state.join("records").join(purpose), nth)).unwrap();
    }

    fn meet(&self, nth: usize) {
        let Some((prefix, first)) = self.0.get() else { return };
        if nth < *first {
            return;
        }
        let (folder, purpose) = (prefix.parent().unwrap(), prefix.file_name().unwrap().to_str().unwrap());
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name.starts_with(purpose)
                && path.extension().is_some_and(|extension| extension == "json")
                && path.is_file()
            {
                // A folder in its place can't be written over, not even by root.
                std::fs::remove_file(&path).unwrap();
                std::fs::create_dir(&path).unwrap();
            }
        }
    }
}
