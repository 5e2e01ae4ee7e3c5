//! Takes a tree apart and collects every fault: wrong types, unknown fields, missing values.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::formats::place::{Fault, Place, Placed};
use crate::formats::suggest::nearest;
use crate::formats::yaml::node::{short, shown_key};
use crate::formats::yaml::{Entry, FAULTS_MAX, Node, Style, Value};

/// Collects faults while a tree is taken apart. Where something is wrong, a method notes it and returns none, and the
/// caller goes on with what is left.
#[derive(Debug, Default)]
pub struct Reader {
    /// What was found wrong so far.
    pub faults: Vec<Fault>,
}

/// A mapping whose keys were checked.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'n, 'a> {
    /// Where the mapping starts.
    pub place: &'n Place,
    entries: &'n [Entry<'a>],
}

impl<'n, 'a> Fields<'n, 'a> {
    /// The value of a key, if the mapping has it.
    pub fn get(&self, key: &str) -> Option<&'n Node<'a>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Whether the mapping lacks a key, and no other key looks like a slip of it: such a slip has its fault already.
    pub fn lacks(&self, key: &str) -> bool {
        !self.entries.iter().any(|entry| nearest(&entry.key, [key]).is_some())
    }

    /// All entries.
    pub fn entries(&self) -> &'n [Entry<'a>] {
        self.entries
    }
}

impl Reader {
    /// Notes a fault.
    pub fn fault(&mut self, place: &Place, message: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::new(place.clone(), message));
        }
    }

    /// Notes a fault with a hint.
    pub fn fault_with_hint(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::new(place.clone(), message).with_hint(hint));
        }
    }

    /// A mapping with these keys only; each unknown one is a fault. `what` names the mapping, as in "a topic".
    pub fn fields<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str, known: &[&str]) -> Option<Fields<'n, 'a>> {
        let fields = self.mapping(node, what)?;
        for entry in fields.entries.iter().filter(|entry| !known.contains(&&*entry.key)).take(FAULTS_MAX) {
            let hint = match nearest(&entry.key, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("it has {}", known.join(", ")),
            };
            self.fault_with_hint(&entry.place, format!("{what} has no field {}", shown_key(&entry.key)), hint);
        }
        Some(fields)
    }

    /// A mapping with any keys.
    pub fn mapping<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str) -> Option<Fields<'n, 'a>> {
        if let Value::Map(entries) = &node.value {
            return Some(Fields { place: &node.place, entries });
        }
        let hint = if_nothing(node, "write {} for an empty one");
        self.wrong_shape(node, what, "a mapping (`key: value` lines)", hint)
    }

    /// A list.
    pub fn list<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str) -> Option<&'n [Node<'a>]> {
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        let hint = if_nothing(node, "write [] for an empty one");
        self.wrong_shape(node, what, "a list (lines that start with `- `)", hint)
    }

    /// A text, exactly as it was written: numbers and truth values are texts, too.
    pub fn text(&mut self, node: &Node<'_>, what: &str) -> Option<Placed<String>> {
        match node.scalar() {
            Some(scalar) if !scalar.is_null() => {
                Some(Placed { value: scalar.text.to_string(), place: node.place.clone() })
            }
            _ => self.wrong(node, what, "a text", hint_for_text(node)),
        }
    }

    /// A whole number inside of a range.
    pub fn whole(&mut self, node: &Node<'_>, what: &str, range: RangeInclusive<i64>) -> Option<Placed<i64>> {
        let Some(value) = node.scalar().and_then(super::Scalar::whole) else {
            return self.wrong(node, what, "a whole number", hint_for_number(node));
        };
        if !range.contains(&value) {
            self.fault(&node.place, format!("{what} must be {} to {}, found {value}", range.start(), range.end()));
            return None;
        }
        Some(Placed { value, place: node.place.clone() })
    }

    /// `true` or `false`.
    pub fn flag(&mut self, node: &Node<'_>, what: &str) -> Option<Placed<bool>> {
        match node.scalar().and_then(super::Scalar::flag) {
            Some(value) => Some(Placed { value, place: node.place.clone() }),
            None => self.wrong(node, what, "true or false", ""),
        }
    }

    /// A mapping of texts, each exactly as it was written.
    pub fn texts(&mut self, node: &Node<'_>, what: &str) -> Option<BTreeMap<String, Placed<String>>> {
        let fields = self.mapping(node, what)?;
        let mut texts = BTreeMap::new();
        for entry in fields.entries {
            if let Some(text) = self.text_of(entry, what) {
                texts.insert(entry.key.to_string(), text);
            }
        }
        Some(texts)
    }

    /// The same, where a value may also be a list of texts: it is joined with commas, as Kafka writes lists.
    pub fn texts_and_lists(&mut self, node: &Node<'_>, what: &str) -> Option<BTreeMap<String, Placed<String>>> {
        let fields = self.mapping(node, what)?;
        let mut texts = BTreeMap::new();
        for entry in fields.entries {
            let text = match &entry.value.value {
                Value::List(items) => {
                    let what = format!("`{}` of {what}", short(&entry.key));
                    let items: Vec<_> = items.iter().filter_map(|item| self.text(item, &what)).collect();
                    let items: Vec<_> = items.into_iter().map(|item| item.value).collect();
                    Some(Placed { value: items.join(","), place: entry.value.place.clone() })
                }
                _ => self.text_of(entry, what),
            };
            texts.extend(text.map(|text| (entry.key.to_string(), text)));
        }
        Some(texts)
    }

    /// The text of an entry; its name is made only where it is needed.
    fn text_of(&mut self, entry: &Entry<'_>, what: &str) -> Option<Placed<String>> {
        match entry.value.scalar() {
            Some(scalar) if !scalar.is_null() => {
                Some(Placed { value: scalar.text.to_string(), place: entry.value.place.clone() })
            }
            _ => self.text(&entry.value, &format!("`{}` of {what}", short(&entry.key))),
        }
    }

    /// A text where a mapping or a list should be may be a whole file that was never meant for us, such as one of
    /// passwords: it is not repeated.
    fn wrong_shape<T>(&mut self, node: &Node<'_>, what: &str, expected: &str, hint: &str) -> Option<T> {
        match node.scalar() {
            Some(scalar) if !scalar.is_null() => {
                self.fault(&node.place, format!("{what} must be {expected}, found a text"));
                None
            }
            _ => self.wrong(node, what, expected, hint),
        }
    }

    fn wrong<T>(&mut self, node: &Node<'_>, what: &str, expected: &str, hint: &str) -> Option<T> {
        if node.value != Value::Broken {
            let fault = Fault::new(node.place.clone(), format!("{what} must be {expected}, found {}", node.found()));
            self.faults.push(if hint.is_empty() { fault } else { fault.with_hint(hint) });
        }
        None
    }
}

fn if_nothing(node: &Node<'_>, hint: &'static str) -> &'static str {
    if node.is_null() { hint } else { "" }
}

fn hint_for_text(node: &Node<'_>) -> &'static str {
    match node.value {
        Value::List(_) => "write a list as one text with commas: a,b",
        _ => if_nothing(node, "write \"\" for an empty one, or remove the line"),
    }
}

fn hint_for_number(node: &Node<'_>) -> &'static str {
    match node.scalar() {
        Some(scalar) if scalar.style != Style::Plain && scalar.text.bytes().all(|byte| byte.is_ascii_digit()) => {
            "write it without quotes"
        }
        Some(scalar) if scalar.text.starts_with(|first: char| first.is_ascii_digit() || first == '+') => {
            "write plain digits, without leading zeros, points, exponents or underscores"
        }
        _ => "",
    }
}
