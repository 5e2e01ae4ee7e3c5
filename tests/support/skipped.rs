//! Tests that this machine can't run: said loudly, with the reason, and counted.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Says on the terminal, also from a test that passes, that a test proves nothing here.
pub(crate) fn skipped(reason: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // The test runner hides what a passing test prints, but not what goes straight to the terminal.
    let line = format!("{count} skipped: {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
