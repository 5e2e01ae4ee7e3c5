//! Places where test builds can be made to die, or to wait, to prove that this does no harm there. Release builds have none.

/// Ends the process without a word if `TOOLBOX_DIE_AT` names this place: `NAME:COUNT`, the COUNTth time it is reached. If
/// `TOOLBOX_PAUSE_AT` names it, the file `TOOLBOX_PAUSE_FILE` is written, and waited for until it is gone.
#[inline]
pub fn fail_point(name: &'static str) {
    #[cfg(debug_assertions)]
    reached::here(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// How much of a text is written before the process dies at this place: half, or all.
pub fn cut<'a>(name: &'static str, text: &'a [u8]) -> (&'a [u8], bool) {
    #[cfg(debug_assertions)]
    if reached::dies(name) {
        return (&text[..text.len() / 2], true);
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
    (text, false)
}

#[cfg(debug_assertions)]
mod reached {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    /// How often it is looked whether a pause is over, each time after 10 ms.
    const LOOKS_MAX: usize = 6_000;

    static DEATHS: AtomicUsize = AtomicUsize::new(0);
    static PAUSES: AtomicUsize = AtomicUsize::new(0);

    /// Whether a variable names this place, and it was reached so often.
    fn is_here(variable: &str, name: &str, seen: &AtomicUsize) -> bool {
        let Ok(wanted) = std::env::var(variable) else { return false };
        let Some((place, count)) = wanted.split_once(':') else { return false };
        place == name && count.parse() == Ok(seen.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn dies(name: &str) -> bool {
        is_here("TOOLBOX_DIE_AT", name, &DEATHS)
    }

    pub(super) fn here(name: &str) {
        if dies(name) {
            std::process::abort();
        }
        if is_here("TOOLBOX_PAUSE_AT", name, &PAUSES)
            && let Ok(file) = std::env::var("TOOLBOX_PAUSE_FILE")
            && std::fs::write(&file, name).is_ok()
        {
            let is_gone = |_: &usize| {
                std::thread::sleep(Duration::from_millis(10));
                !std::path::Path::new(&file).exists()
            };
            let _ = (0..LOOKS_MAX).find(is_gone);
        }
    }
}
