//! Sources to topics: decodes, tells formats apart, hands each document to its reader.

use std::sync::Arc;

use crate::commands::topics::spec::Spec;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::merge;
use crate::commands::topics::spec::toolbox;
use crate::formats::place::{Fault, Faults};
use crate::formats::source::Source;
use crate::formats::yaml::{self, Node, Origin, Reader};

/// In which form topics are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Whatever each document looks like
    #[default]
    Auto,
    /// This tool's own: `topics: [{name, partitions, …}]`
    Toolbox,
}

/// Reads and merges sources. All faults of all sources are collected, ordered by place.
pub fn parse(sources: &[Source], format: Format) -> Result<Spec, Faults> {
    let mut draft = Draft::default();
    for source in sources {
        draft.source(source, format);
    }
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
}

impl Draft {
    fn source(&mut self, source: &Source, format: Format) {
        let origin = Origin::new(Arc::clone(&source.label));
        match yaml::decode(&origin, &source.bytes) {
            Ok(text) => self.text(&origin, text, format),
            Err(fault) => self.reader.faults.push(fault),
        }
    }

    fn text(&mut self, origin: &Origin, text: &str, format: Format) {
        let (documents, faults) = yaml::documents(origin, text);
        if documents.is_empty() && faults.is_empty() {
            self.notes.push(Fault::new(origin.place(1, 1), "is empty: it declares nothing"));
        }
        self.reader.faults.extend(faults);
        for document in &documents {
            self.document(document, format);
        }
    }

    fn document(&mut self, document: &Node<'_>, _format: Format) {
        toolbox::read(self, document);
    }
}
