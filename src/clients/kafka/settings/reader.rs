//! Hands out the values of a properties file by key, and collects faults and notes with their places.

use std::collections::BTreeMap;

use crate::clients::kafka::settings::Note;
use crate::clients::kafka::settings::keys;
use crate::clients::kafka::settings::keys::Meaning;
use crate::clients::kafka::settings::keys::holds_secret;
use crate::clients::kafka::settings::substitute;
use crate::clients::kafka::settings::substitute::Outside;
use crate::clients::kafka::settings::substitute::Provider;
use crate::clients::kafka::settings::substitute::Providers;
use crate::clients::kafka::settings::substitute::Replacer;
use crate::formats::place::Fault;
use crate::formats::place::Place;
use crate::formats::properties::Property;
use crate::formats::properties::show_key;
use crate::formats::secret::SecretString;
use crate::formats::secret::remember;

/// Most config providers that are looked at; Kafka has three.
const PROVIDERS_MAX: usize = 50;

/// Most notes on one file.
const NOTES_MAX: usize = 100;

/// A file's properties, checked by key.
pub(super) struct Reader {
    values: BTreeMap<String, Value>,
    pub faults: Vec<Fault>,
    pub notes: Vec<Note>,
    /// Whether what is secret may go to another machine by plain HTTP.
    pub allows_plain_http: bool,
}

/// A value, trimmed as Kafka trims it, with everything replaced.
pub(super) struct Value {
    pub text: String,
    property: Property,
    /// Whether offsets in the text are offsets in the property's value; and what trimming took from its start.
    trimmed: Option<usize>,
}

impl Value {
    /// Where the value stands.
    pub(super) fn place(&self) -> Place {
        self.property.place()
    }

    /// Where bytes of the value stand, for as long as it takes.
    pub(super) fn places(&self) -> impl Fn(usize) -> Place + use<> {
        let (property, trimmed) = (self.property.clone(), self.trimmed);
        move |offset| trimmed.map_or_else(|| property.place(), |trimmed| property.place_at(offset + trimmed))
    }

    /// Where a byte of the value stands.
    pub(super) fn place_at(&self, offset: usize) -> Place {
        match self.trimmed {
            Some(trimmed) => self.property.place_at(offset + trimmed),
            None => self.property.place(),
        }
    }
}

impl Reader {
    /// Sorts properties into those that are read, ignored (with a note) and refused (with a fault).
    pub(super) fn new(properties: Vec<Property>, outside: Outside<'_>) -> Self {
        for property in properties.iter().filter(|property| holds_secret(&property.key)) {
            remember(property.value().trim());
        }
        let mut reader =
            Self { values: BTreeMap::new(), faults: Vec::new(), notes: Vec::new(), allows_plain_http: false };
        let mut references = Replacer::new(reader.providers(&properties), outside);
        for property in properties {
            match keys::meaning(&property.key) {
                Meaning::Read => reader.take(property, &mut references),
                Meaning::Ignored(why) => {
                    let key = &property.key;
                    // Single words stand in our own lists, so they can be shown.
                    let shown = if key.contains('.') { show_key(key) } else { format!("`{key}`") };
                    let what = format!("{shown} is ignored: {why}");
                    reader.note(property.key_place.clone(), what);
                }
                Meaning::Refused(what, hint) => {
                    let what = format!("{}: {what}", show_key(&property.key));
                    reader.faults.push(Fault::new(property.key_place, what).with_hint(hint));
                }
                Meaning::Unknown => reader.unknown(&property),
            }
        }
        reader
    }

    fn providers(&mut self, properties: &[Property]) -> Providers {
        let get = |key: &str| properties.iter().find(|property| property.key == key);
        let mut providers = substitute::default_providers();
        let Some(names) = get("config.providers") else { return providers };
        for name in names.value().split(',').map(str::trim).filter(|name| !name.is_empty()).take(PROVIDERS_MAX) {
            let class = get(&format!("config.providers.{name}.class"));
            match class.map(|class| Provider::of_class(class.value().trim())) {
                Some(Some(provider)) => {
                    providers.insert(name.to_owned(), provider);
                }
                Some(None) => self.faults.push(
                    Fault::new(names.place(), "a config provider that is a Java class of its own can't be loaded")
                        .with_hint("supported are Kafka's EnvVarConfigProvider, FileConfigProvider and DirectoryConfigProvider"),
                ),
                None => self.faults.push(
                    Fault::new(names.place(), "a config provider without a class")
                        .with_hint("add config.providers.NAME.class"),
                ),
            }
        }
        providers
    }

    fn take(&mut self, property: Property, references: &mut Replacer<'_>) {
        if property.has_foreign_bytes() {
            let what = format!(
                "{} has letters beyond ASCII, which are read as ISO-8859-1, as Java does",
                show_key(&property.key)
            );
            self.warn_with(property.place(), what, "write them as \\uXXXX to be sure");
        }
        let replaced = match references.replace(property.value()) {
            Ok(replaced) => replaced,
            Err((offset, why)) => {
                self.faults.push(Fault::new(property.place_at(offset), format!("{}: {why}", show_key(&property.key))));
                return;
            }
        };
        for offset in replaced.left {
            let what = "`${…}` is left as it is: there is no config provider of that name";
            self.warn_with(property.place_at(offset), what.to_owned(), "there are env, file and dir");
        }
        let text = replaced.text.trim().to_owned();
        if holds_secret(&property.key) {
            remember(text.clone());
        }
        let trimmed = (!replaced.is_changed).then(|| replaced.text.len() - replaced.text.trim_start().len());
        self.values.insert(property.key.clone(), Value { text, property, trimmed });
    }

    fn unknown(&mut self, property: &Property) {
        let key = show_key(&property.key);
        if key.contains("this key") {
            // Not even shaped like a key: most likely a value of several lines that lost its backslash.
            let fault = Fault::new(property.key_place.clone(), "this line does not begin with a key")
                .with_hint("a value of several lines needs a \\ at the end of each line but the last");
            self.faults.push(fault);
        } else {
            self.note(property.key_place.clone(), format!("{key} is ignored: it is no key of Kafka's clients"));
        }
    }

    /// The value of a key, unless it is empty.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.text.is_empty())
    }

    /// The value of a key, empty or not.
    pub(super) fn get_even_empty(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The value of a key as a secret.
    pub(super) fn secret(&self, key: &str) -> Option<SecretString> {
        self.get(key).map(|value| remember(value.text.clone()))
    }

    /// A value that must be `true` or `false`.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        match value.text.to_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                let place = value.place();
                self.fault(place, format!("`{key}` is neither true nor false"), "");
                None
            }
        }
    }

    /// A number of milliseconds from 1 on.
    pub(super) fn milliseconds(&mut self, key: &str) -> Option<u64> {
        let value = self.get(key)?;
        if let Ok(number @ 1..) = value.text.parse::<i32>() {
            return Some(u64::from(number.unsigned_abs()));
        }
        let place = value.place();
        let hint = "a whole number from 1 to 2147483647";
        self.fault(place, format!("`{key}` is not a number of milliseconds"), hint);
        None
    }

    /// Remembers a fault; an empty hint is none.
    pub(super) fn fault(&mut self, place: Place, what: impl Into<String>, hint: &str) {
        let fault = Fault::new(place, what);
        self.faults.push(if hint.is_empty() { fault } else { fault.with_hint(hint) });
    }

    /// Whether a fault names this key already: that it is missing is then no news.
    pub(super) fn has_told_of(&self, key: &str) -> bool {
        let names = |text: &str| text.contains(key);
        self.faults.iter().any(|fault| names(&fault.message) || fault.hint.as_deref().is_some_and(names))
    }

    /// Remembers something harmless.
    pub(super) fn note(&mut self, place: Place, what: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note { is_warning: false, fault: Fault::new(place, what) });
        }
    }

    /// Remembers something that weakens security, or that most likely is not meant.
    pub(super) fn warn_with(&mut self, place: Place, what: String, hint: &str) {
        let fault = Fault::new(place, what);
        let fault = if hint.is_empty() { fault } else { fault.with_hint(hint) };
        self.notes.push(Note { is_warning: true, fault });
    }

    /// Warns of every key that begins so: it is not used.
    pub(super) fn warn_unused(&mut self, prefix: &str, why: &str) {
        let unused: Vec<_> = self.values.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
        let warnings: Vec<_> =
            unused.iter().map(|(key, value)| (value.property.key_place.clone(), (*key).clone())).collect();
        for (place, key) in warnings {
            self.warn_with(place, format!("`{key}` is not used: {why}"), "");
        }
    }
}
