//! Large values are freed where nobody waits for it.

use std::thread;

/// Frees a value on a thread of its own, which neither what follows nor the end of the process waits for: what was observed
/// of ten thousand topics takes about 20 ms to free, half as long as to plan.
pub fn free_beside(value: impl Send + 'static) {
    // Where no thread can be started, it is freed here, with the closure.
    drop(thread::Builder::new().name("free".to_owned()).spawn(move || drop(value)));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_value_is_freed_by_another_thread() {
        struct Told(Sender<thread::ThreadId>);
        impl Drop for Told {
            fn drop(&mut self) {
                // Nobody listens any more only where the test has failed.
                let _ = self.0.send(thread::current().id());
            }
        }
        let (told, freed) = channel();
        free_beside(Told(told));
        let by: Result<_, RecvTimeoutError> = freed.recv_timeout(Duration::from_secs(10));
        assert_ne!(by.unwrap(), thread::current().id());
    }
}
