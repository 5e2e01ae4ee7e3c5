//! Places where test builds can be made to die, to prove that dying there does no harm. Release builds have none.

/// Ends the process without a word if `TOOLBOX_DIE_AT` names this place: `NAME:COUNT`, the COUNTth time it is reached.
pub(super) fn fail_point(name: &'static str) {
    #[cfg(debug_assertions)]
    if reached(name) {
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// How much of a text is written before the process dies at this place: half, or all.
pub(super) fn cut<'a>(name: &'static str, text: &'a [u8]) -> (&'a [u8], bool) {
    #[cfg(debug_assertions)]
    if reached(name) {
        return (&text[..text.len() / 2], true);
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
    (text, false)
}

#[cfg(debug_assertions)]
fn reached(name: &'static str) -> bool {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    let Ok(wanted) = std::env::var("TOOLBOX_DIE_AT") else { return false };
    let Some((place, count)) = wanted.split_once(':') else { return false };
    place == name && SEEN.fetch_add(1, Ordering::Relaxed) + 1 == count.parse().unwrap_or(0)
}
