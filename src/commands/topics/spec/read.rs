//! Sources to topics: decodes, tells formats apart, hands each document to its reader.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::commands::topics::spec::Spec;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::configmap;
use crate::commands::topics::spec::jikkou;
use crate::commands::topics::spec::merge;
use crate::commands::topics::spec::strimzi;
use crate::commands::topics::spec::toolbox;
use crate::commands::topics::spec::topicctl;
use crate::formats::place::{Fault, Faults, Place};
use crate::formats::source::Source;
use crate::formats::yaml::{self, Node, Origin, Reader, short};

/// In which form topics are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Whatever each document looks like; Jikkou's resources are read in this format only
    #[default]
    Auto,
    /// This tool's own: `topics: [{name, partitions, …}]`
    Toolbox,
    /// topicctl's topic files: `meta` and `spec`
    Topicctl,
    /// Strimzi's `KafkaTopic` resources
    Strimzi,
}

/// Reads and merges sources. All faults of all sources are collected, ordered by place.
pub fn parse(sources: &[Source], format: Format) -> Result<Spec, Faults> {
    let mut draft = Draft::default();
    for source in sources {
        draft.source(source, format);
    }
    jikkou::resolve(&mut draft);
    merge::merge(draft)
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Collects faults.
    pub(super) reader: Reader,
    /// Topics in the order of the sources, `defaults` merged in.
    pub(super) topics: Vec<TopicSpec>,
    /// What a person should know.
    pub(super) notes: Vec<Fault>,
    /// Fields that have no counterpart here: where each was first, and how often.
    pub(super) lost: BTreeMap<String, (Place, usize)>,
    /// What Jikkou's topics refer to.
    pub(super) references: jikkou::References,
}

impl Draft {
    fn source(&mut self, source: &Source, format: Format) {
        let origin = Origin::new(Arc::clone(&source.label));
        match yaml::decode(&origin, &source.bytes) {
            Ok(text) => self.text(&origin, text, format, false),
            Err(fault) => self.reader.faults.push(fault),
        }
    }

    /// Reads a text: a whole source, or a key of a ConfigMap (`inside`).
    pub(super) fn text(&mut self, origin: &Origin, text: &str, format: Format, inside: bool) {
        let (documents, faults) = yaml::documents(origin, text);
        if documents.is_empty() && faults.is_empty() {
            self.note(&origin.place(1, 1), "is empty: it declares nothing");
        }
        self.reader.faults.extend(faults);
        for document in &documents {
            self.document(document, format, inside);
        }
    }

    fn document(&mut self, document: &Node<'_>, format: Format, inside: bool) {
        let kind = text_of(document, "kind");
        let api = text_of(document, "apiVersion").unwrap_or_default();
        let is_strimzi = format == Format::Strimzi || api.starts_with(strimzi::GROUP);
        match (kind, format) {
            (Some(kind), Format::Auto) if jikkou::is_jikkou(api) => jikkou::read(self, document, kind),
            (Some("ConfigMap"), _) if inside => {
                self.reader.fault(&document.place, "a ConfigMap inside of a ConfigMap is not read");
            }
            (Some("ConfigMap"), _) => configmap::read(self, document, format),
            (Some(list), _) if list.ends_with("List") && document.get("items").is_some() => {
                self.items(document, format, inside);
            }
            (Some(_), Format::Auto | Format::Strimzi) if is_strimzi => strimzi::read(self, document),
            (Some(kind), Format::Auto) => {
                let place = document.get("kind").map_or(&document.place, |node| &node.place);
                let message = format!("`kind: {}` declares no topics", short(kind));
                let hint = "ConfigMap, KafkaTopic (kafka.strimzi.io, kafka.jikkou.io) and lists of them are read; a file in \
                            this tool's own form has no `kind`";
                self.reader.fault_with_hint(place, message, hint);
            }
            (_, Format::Strimzi) => strimzi::read(self, document),
            (_, Format::Topicctl) => topicctl::read(self, document),
            (_, Format::Auto) if document.get("meta").is_some() => topicctl::read(self, document),
            _ => toolbox::read(self, document),
        }
    }

    /// A list as `kubectl get -o yaml` writes it. Lists inside of lists are faults: no tool writes them.
    fn items(&mut self, document: &Node<'_>, format: Format, inside: bool) {
        let Some(items) = document.get("items").and_then(|node| self.reader.list(node, "`items`")) else { return };
        for item in items {
            if item.get("items").is_some() {
                self.reader.fault(&item.place, "a list inside of a list is not read");
            } else {
                self.document(item, format, inside);
            }
        }
    }

    /// Notes what a person should know.
    pub(super) fn note(&mut self, place: &Place, message: impl Into<String>) {
        self.notes.push(Fault::new(place.clone(), message));
    }

    /// Notes that a field of another tool has no counterpart here: once a field, with the number of topics.
    pub(super) fn lose(&mut self, place: &Place, field: &str) {
        match self.lost.get_mut(field) {
            Some((_, count)) => *count += 1,
            None => drop(self.lost.insert(field.to_owned(), (place.clone(), 1))),
        }
    }
}

fn text_of<'n>(document: &'n Node<'_>, key: &str) -> Option<&'n str> {
    document.get(key)?.scalar().map(|scalar| scalar.text.as_ref())
}
