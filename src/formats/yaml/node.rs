//! The tree of one YAML document: values as they were written, each with its place.

use std::borrow::Cow;
use std::sync::Arc;

use crate::cluster::visible;
use crate::formats::place::Place;

/// What a text is called in faults, and where it starts: a text may stand inside another one, as in a ConfigMap's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The source's name.
    pub source: Arc<str>,
    /// Lines of the source before the text.
    pub lines_before: u64,
    /// Columns of the source before each line of the text.
    pub columns_before: u64,
}

impl Origin {
    /// A text that is a source of its own.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), lines_before: 0, columns_before: 0 }
    }

    /// The place of a line and a column of the text, both from 1.
    pub fn place(&self, line: u64, column: u64) -> Place {
        Place { source: Arc::clone(&self.source), line: self.lines_before + line, column: self.columns_before + column }
    }
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Where it was written. A value that an alias filled in keeps the place where it was written first.
    pub place: Place,
    /// The value.
    pub value: Value<'a>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text, number, truth value or nothing.
    Scalar(Scalar<'a>),
    /// A list.
    List(Vec<Node<'a>>),
    /// A mapping; no key is in it twice.
    Map(Vec<Entry<'a>>),
    /// Something that has its fault already: readers pass over it.
    Broken,
}

/// One line of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key as it was written.
    pub key: Cow<'a, str>,
    /// Where the key stands.
    pub place: Place,
    /// Its value.
    pub value: Node<'a>,
}

/// A scalar as it was written, escapes and folding undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: it may mean nothing, a number or a truth value.
    Plain,
    /// In quotes, or tagged `!!str`: always a text.
    Quoted,
    /// A block after `|`: each of its lines stands in the source as it is.
    Literal,
    /// A block after `>`.
    Folded,
}

impl Scalar<'_> {
    /// Whether it is nothing: empty, `~` or `null` without quotes.
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }

    /// The truth value, if it is one. `yes`, `no`, `on` and `off` are texts.
    pub fn flag(&self) -> Option<bool> {
        match &*self.text {
            _ if self.style != Style::Plain => None,
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// The whole number, if it is one and is written so that no reader takes it for another one: `12`, `-1`;
    /// not `012`, `0x1F`, `1_000`, `1e3`, `3.0`.
    pub fn whole(&self) -> Option<i64> {
        let digits = self.text.strip_prefix('-').unwrap_or(&self.text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let is_clear = !(digits.len() > 1 && digits.starts_with('0'));
        (self.style == Style::Plain && is_number && is_clear).then(|| self.text.parse().ok()).flatten()
    }
}

impl<'a> Node<'a> {
    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar<'a>> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Whether it is a scalar that is nothing.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// What stands here, for "found …".
    pub fn found(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing".into(),
            Value::Scalar(scalar) if scalar.style == Style::Plain => format!("`{}`", short(&scalar.text)),
            Value::Scalar(scalar) => format!("the text \"{}\"", short(&scalar.text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Broken => "a fault".into(),
        }
    }
}

/// A key as messages show it: in backquotes if it looks like one, else not at all, since a file that was not meant for us
/// may have a secret there.
pub(super) fn shown_key(key: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ' ' | '<');
    let looks_like_a_key = key.chars().all(is_plain) && key.chars().count() <= CHARACTERS_MAX;
    if looks_like_a_key { format!("`{key}`") } else { "of this name (it is not shown: it may be a secret)".to_owned() }
}

/// A text on one short line, hidden characters escaped.
pub fn short(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", visible::line(&text[..end])),
        None => visible::line(text).into_owned(),
    }
}
