//! What a script wants recorded: flags' texts in, a checked note or what is wrong with it out.

use std::collections::BTreeMap;

use crate::change::event::Event;
use crate::formats::secret::is_secret_key;

/// Most tags of one event: each value of each is a series that Datadog keeps.
pub const TAGS_MAX: usize = 10;

/// Longest value of a tag, so that nobody tags with whole texts.
const TAG_VALUE_CHARS_MAX: usize = 100;

/// Longest text.
const TEXT_CHARS_MAX: usize = 4_000;

/// Longest title and subject.
const LINE_CHARS_MAX: usize = 300;

/// Tags that this tool sets itself.
const OWN_TAGS: [&str; 6] = ["source", "kafka_cluster", "kafka_cluster_id", "kt_command", "kt_kind", "kt_outcome"];

/// What a script says about its side effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// One line.
    pub title: String,
    /// Why, or what a person should know.
    pub text: Option<String>,
    /// As `hook.ran`.
    pub kind: String,
    /// As `host:kafka-1`.
    pub subject: String,
    /// What was there, `key: value` a line.
    pub before: Option<String>,
    /// What is there now.
    pub after: Option<String>,
    /// Few labels with few values.
    pub tags: BTreeMap<String, String>,
}

impl Note {
    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let Self { title, text, kind, subject, before, after, tags } = self;
        if title.trim().is_empty() {
            return Err("--title says nothing".to_owned());
        }
        for (flag, line) in [("--title", title), ("--subject", subject), ("--kind", kind)] {
            if line.chars().count() > LINE_CHARS_MAX || line.contains('\n') {
                return Err(format!("{flag} is one line of at most {LINE_CHARS_MAX} characters"));
            }
        }
        for (flag, text) in [("--text", text), ("--before", before), ("--after", after)] {
            if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
                return Err(format!("{flag} has at most {TEXT_CHARS_MAX} characters"));
            }
        }
        let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !kind.contains('.') || !kind.split('.').all(word) {
            return Err(format!("--kind `{kind}` is not words with dots between them, as hook.ran"));
        }
        if subject.split_once(':').is_none_or(|(kind, name)| !word(kind) || name.is_empty()) {
            return Err(format!("--subject `{subject}` is not KIND:NAME, as host:kafka-1"));
        }
        if tags.len() > TAGS_MAX {
            return Err(format!("{} tags are too many: {TAGS_MAX} at most", tags.len()));
        }
        tags.iter().try_for_each(|(key, value)| check_tag(key, value))
    }

    /// The event with what the note says.
    #[must_use]
    pub fn fill(&self, event: Event) -> Event {
        let Self { title, text, kind, subject, before, after, tags } = self.clone();
        Event { title, kind, subject, before, after, tags, reason: text, ..event }
    }
}

fn check_tag(key: &str, value: &str) -> Result<(), String> {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !key.starts_with(|c: char| c.is_ascii_alphabetic()) || !key.chars().all(word) {
        return Err(format!("--tag `{key}`: a key is letters, digits, `_`, `-` and `.`, a letter first"));
    }
    if OWN_TAGS.contains(&key) {
        return Err(format!("--tag `{key}` is set by toolbox itself"));
    }
    if is_secret_key(key) {
        return Err(format!("--tag `{key}` is named like a secret; secrets do not belong into events"));
    }
    if value.is_empty() || value.chars().count() > TAG_VALUE_CHARS_MAX {
        return Err(format!("--tag `{key}`: a value has 1 to {TAG_VALUE_CHARS_MAX} characters"));
    }
    Ok(())
}

/// Reads `KEY=VALUE`.
pub fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is not KEY=VALUE, as team=data")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        Note {
            title: "rotated the keys".into(),
            kind: "hook.ran".into(),
            subject: "host:kafka-1".into(),
            ..Note::default()
        }
    }

    #[test]
    fn a_good_note_is_good_and_each_fault_is_named() {
        assert_eq!(note().check(), Ok(()));
        let tags = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        for (wrong, expected) in [
            (Note { title: " ".into(), ..note() }, "--title says nothing"),
            (Note { title: "a\nb".into(), ..note() }, "--title is one line"),
            (Note { text: Some("x".repeat(4_001)), ..note() }, "--text has at most 4000"),
            (Note { kind: "hook".into(), ..note() }, "--kind `hook` is not words with dots"),
            (Note { kind: "hook..x".into(), ..note() }, "--kind `hook..x`"),
            (Note { subject: "kafka-1".into(), ..note() }, "--subject `kafka-1` is not KIND:NAME"),
            (Note { tags: tags("kt_kind", "x"), ..note() }, "set by toolbox itself"),
            (Note { tags: tags("api_key", "x"), ..note() }, "named like a secret"),
            (Note { tags: tags("team", ""), ..note() }, "a value has 1 to 100"),
            (Note { tags: tags("1", "x"), ..note() }, "a letter first"),
            (Note { tags: (0..11).map(|n| (format!("t{n}"), "v".into())).collect(), ..note() }, "10 at most"),
        ] {
            let said = wrong.check().unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }
}
