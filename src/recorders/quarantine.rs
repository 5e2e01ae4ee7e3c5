//! The quarantine: a folder for people to look at, with what a sink called malformed and with lines of journals that
//! can't be read. It is bounded: the oldest files make room.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::clients::files::state;
use crate::formats::secret::scrub;
use crate::recorders::folder;
use crate::recorders::journal::{Contents, Damaged};

/// Files in the quarantine; older ones make room.
const FILES_MAX: usize = 100;

/// Lines of one journal that are kept, and characters of each: a journal that was overwritten is not kept whole.
const LINES_MAX: usize = 1_000;
const LINE_CHARS_MAX: usize = 16 * 1024;

/// Puts a document there, on the disk when this returns, and says for people where it is.
pub fn keep(quarantine: &Path, name: &str, document: &Value) -> String {
    let path = quarantine.join(name);
    let text = document.to_string();
    match state::inner_folder(quarantine).and_then(|()| state::write(&path, scrub(&text).as_bytes())) {
        Ok(()) => {
            make_room(quarantine);
            format!("kept in {}", path.display())
        }
        Err(error) => format!("and it can't be kept in {}: {error}", path.display()),
    }
}

/// Copies the lines of a journal that can't be read, and says so: one sentence a line of text, the first of them only
/// where there are many. None if every line can be read. The same journal, looked at again, replaces its copy.
pub fn keep_damaged(state: &Path, journal: &Path, contents: &Contents) -> Option<String> {
    let first = contents.damaged.first()?;
    let name = journal.file_stem().and_then(|name| name.to_str()).unwrap_or("journal");
    let lines: Vec<_> = contents.damaged.iter().take(LINES_MAX).map(document).collect();
    let document = json!({ "journal": journal.display().to_string(), "why": "not readable", "lines": lines });
    let kept = keep(&folder::quarantine(state), &format!("{name}-damaged.json"), &document);
    let more = match contents.damaged.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more lines"),
    };
    let hides = contents.damaged.iter().any(|damaged| contents.may_hide_a_change(damaged));
    let hides = if hides {
        "; it may have been the intent of a change: what that change did is not known, look at the cluster"
    } else {
        ""
    };
    Some(format!("{}:{}{more} can't be read, the others are; {kept}{hides}", journal.display(), first.line))
}

fn document(damaged: &Damaged) -> Value {
    let text: String = damaged.text.chars().take(LINE_CHARS_MAX).collect();
    json!({ "line": damaged.line, "text": text })
}

/// Removes the oldest files of a folder that has too many. Their names begin with the time.
fn make_room(folder: &Path) {
    for path in state::list(folder, "json").iter().rev().skip(FILES_MAX) {
        // A file that stays is one too many for a while.
        if let Err(error) = std::fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, path = %path.display(), "an old file of the quarantine stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quarantine_keeps_the_newest_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = folder.path().join("quarantine");
        for n in 0..FILES_MAX + 5 {
            keep(&quarantine, &format!("{n:03}.json"), &json!({}));
        }
        let names = state::list(&quarantine, "json");
        assert_eq!((names.len(), names[0].ends_with("005.json")), (FILES_MAX, true));
    }

    #[test]
    fn a_damaged_line_hides_a_change_unless_another_line_speaks_of_it_too() {
        let intent = r#"{"event":{"event_id":"01900000-0000-7000-8000-000000000001","run_id":"01900000-0000-7000-8000-000000000000","time":"2026-01-01T00:00:00Z","kind":"topics.created","outcome":"planned","severity":"info","cluster":"c","actor":"a","command":"x","subject":"topic:t","title":"t","tool_version":"0"}}"#;
        let damaged = intent.replace("\"severity\"", "\u{0}severity");
        let outcome = intent.replace("planned", "done");
        let hides = |text: &str| {
            let contents = Contents::read(text);
            assert_eq!(contents.damaged.len(), 1, "{text}");
            contents.may_hide_a_change(&contents.damaged[0])
        };
        assert!(hides(&damaged));
        assert!(hides("\u{0}\u{0}\u{0}"));
        assert!(!hides(&format!("{damaged}\n{outcome}")));
        assert!(!hides("{\"taken\":{\"event_id\":\"0190\u{0}"));
    }
}
