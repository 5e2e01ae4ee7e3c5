//! Parser events to trees: text in, documents and faults out.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use yaml_events::{Event, Events, Marker, ScalarStyle, Span, Tag};

use crate::formats::place::{Fault, Place};
use crate::formats::yaml::node::{short, shown_key};
use crate::formats::yaml::{
    BYTES_MAX, COPIED_BYTES_MAX, COPIED_NODES_MAX, DEPTH_MAX, Entry, FAULTS_MAX, NODES_MAX, Node, Origin, Scalar,
    Style, Value, syntax,
};

/// Reads all documents of a text; empty ones are left out. A document with a fault in its syntax is left out, too, and
/// reading goes on behind it.
pub fn documents<'a>(origin: &Origin, text: &'a str) -> (Vec<Node<'a>>, Vec<Fault>) {
    if text.len() > BYTES_MAX {
        return (Vec::new(), syntax::decode(origin, text.as_bytes()).err().into_iter().collect());
    }
    let mut events = Events::new(text, DEPTH_MAX);
    let mut composer = Composer::new(origin, COPIED_NODES_MAX + text.len());
    while composer.faults.len() < FAULTS_MAX {
        let stopped = match events.next() {
            None => break,
            Some(Ok((event, span))) => composer.take(event, &span),
            Some(Err(error)) => {
                composer.faults.push(syntax::fault_of(origin, &error));
                Err(Stopped::Document)
            }
        };
        match stopped {
            Ok(()) => {}
            Err(Stopped::Document) if composer.starts_next_document(&mut events) => {}
            Err(_) => break,
        }
    }
    (composer.documents, composer.faults)
}

/// A limit or a fault ends the reading of this much.
enum Stopped {
    Document,
    Text,
}

struct Composer<'a, 'o> {
    origin: &'o Origin,
    documents: Vec<Node<'a>>,
    faults: Vec<Fault>,
    open: Vec<Open<'a>>,
    anchors: HashMap<usize, Anchored<'a>>,
    nodes: usize,
    copied: Amount,
    copied_nodes_max: usize,
}

/// How much a value is, with all that is in it.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    nodes: usize,
    bytes: usize,
}

impl Amount {
    fn plus(self, more: Self) -> Self {
        Self { nodes: self.nodes + more.nodes, bytes: self.bytes + more.bytes }
    }
}

/// A list or mapping whose end is not read yet.
struct Open<'a> {
    place: Place,
    anchor: usize,
    broken: bool,
    contents: Contents<'a>,
}

enum Contents<'a> {
    List(Vec<Node<'a>>),
    Map { entries: Vec<Entry<'a>>, key: Option<Node<'a>>, merged: Vec<Node<'a>> },
}

/// What aliases of an anchor copy, and how much that is.
struct Anchored<'a> {
    node: Node<'a>,
    amount: Amount,
}

impl<'a, 'o> Composer<'a, 'o> {
    fn new(origin: &'o Origin, copied_nodes_max: usize) -> Self {
        Self {
            origin,
            documents: Vec::new(),
            faults: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            copied: Amount::default(),
            copied_nodes_max,
        }
    }

    /// Forgets the document that stopped and looks for the next one.
    fn starts_next_document(&mut self, events: &mut Events<'a>) -> bool {
        self.open.clear();
        self.anchors.clear();
        events.skip_document()
    }

    fn take(&mut self, event: Event<'a>, span: &Span) -> Result<(), Stopped> {
        let place = self.place(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(&place)?;
                let value = self.scalar(text, style, tag.as_deref(), &place);
                self.complete(Node { place, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.start(place, anchor, tag.as_deref(), Contents::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                let contents = Contents::Map { entries: Vec::new(), key: None, merged: Vec::new() };
                self.start(place, anchor, tag.as_deref(), contents)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::UnresolvedAlias(name) => {
                let message = format!("the alias `*{}` names no anchor above it", short(&name));
                let hint = "quote a value that starts with `*`: '*'";
                self.faults.push(Fault::new(place.clone(), message).with_hint(hint));
                self.complete(Node { place, value: Value::Broken }, 0)
            }
            Event::DocumentStart(..) | Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn place(&self, mark: &Marker) -> Place {
        self.origin.place(mark.line() as u64, mark.col() as u64 + 1)
    }

    /// Counts one value of the text.
    fn count(&mut self, place: &Place) -> Result<(), Stopped> {
        self.nodes += 1;
        self.check_limit(place, self.nodes > NODES_MAX, || {
            format!("has more than {NODES_MAX} values (aliases filled in), the most that is read")
        })
    }

    /// Counts what an anchor keeps for its aliases, or an alias copies.
    fn count_copy(&mut self, place: &Place, copy: Amount) -> Result<(), Stopped> {
        self.nodes += copy.nodes;
        self.copied.nodes += copy.nodes;
        self.copied.bytes += copy.bytes;
        let nodes_max = self.copied_nodes_max.min(NODES_MAX);
        let is_over = self.copied.nodes > nodes_max || self.copied.bytes > COPIED_BYTES_MAX;
        self.check_limit(place, is_over, || {
            let mebibytes = COPIED_BYTES_MAX >> 20;
            format!(
                "its aliases copy more than {nodes_max} values or {mebibytes} MiB, the most for a text of this length"
            )
        })
    }

    fn check_limit(&mut self, place: &Place, is_over: bool, message: impl Fn() -> String) -> Result<(), Stopped> {
        if !is_over {
            return Ok(());
        }
        self.faults.push(Fault::new(place.clone(), message()).with_hint("split it, or use fewer aliases"));
        Err(Stopped::Text)
    }

    fn scalar(&mut self, text: Cow<'a, str>, style: ScalarStyle, tag: Option<&Tag>, place: &Place) -> Value<'a> {
        let style = match style {
            ScalarStyle::Plain if tag.is_some() => Style::Quoted,
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
            _ => Style::Quoted,
        };
        if self.refuses_tag(tag, "str", place) { Value::Broken } else { Value::Scalar(Scalar { text, style }) }
    }

    fn refuses_tag(&mut self, tag: Option<&Tag>, allowed: &str, place: &Place) -> bool {
        let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag(allowed)) else { return false };
        let message = format!("the tag `{}` is not read here", short(&tag.original()));
        let hint = "remove it, or quote a value that starts with `!`";
        self.faults.push(Fault::new(place.clone(), message).with_hint(hint));
        true
    }

    fn start(&mut self, place: Place, anchor: usize, tag: Option<&Tag>, contents: Contents<'a>) -> Result<(), Stopped> {
        self.count(&place)?;
        if self.open.len() == DEPTH_MAX {
            let message = format!("lists and mappings nest deeper than {DEPTH_MAX}, the most that is read");
            self.faults.push(Fault::new(place, message));
            return Err(Stopped::Document);
        }
        let allowed = if matches!(contents, Contents::List(_)) { "seq" } else { "map" };
        let broken = self.refuses_tag(tag, allowed, &place);
        self.open.push(Open { place, anchor, broken, contents });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stopped> {
        let Some(Open { place, anchor, broken, contents }) = self.open.pop() else { return Ok(()) };
        let value = match contents {
            _ if broken => Value::Broken,
            Contents::List(items) => Value::List(items),
            Contents::Map { entries, merged, .. } => Value::Map(self.mapping(entries, merged)),
        };
        self.complete(Node { place, value }, anchor)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Stopped> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            let message = "an alias stands inside of the value that it names";
            self.faults.push(Fault::new(place.clone(), message));
            return self.complete(Node { place, value: Value::Broken }, 0);
        };
        let amount = anchored.amount;
        self.count_copy(&place, amount)?;
        match self.anchors.get(&anchor).map(|anchored| anchored.node.clone()) {
            Some(node) => self.complete(node, 0),
            None => Ok(()),
        }
    }

    /// Puts a value that is read to its end where it belongs.
    fn complete(&mut self, node: Node<'a>, anchor: usize) -> Result<(), Stopped> {
        if anchor != 0 {
            let amount = measure(&node);
            self.count_copy(&node.place.clone(), amount)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), amount });
        }
        let Some(Open { contents, broken, .. }) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        match contents {
            Contents::List(items) => items.push(node),
            Contents::Map { key: key @ None, .. } => *key = Some(node),
            Contents::Map { entries, key, merged } => {
                let Some(Node { place, value }) = key.take() else { return Ok(()) };
                match value {
                    Value::Scalar(Scalar { text, style: Style::Plain }) if text == "<<" => merged.push(node),
                    Value::Scalar(scalar) if !scalar.is_null() => {
                        entries.push(Entry { key: scalar.text, place, value: node });
                    }
                    Value::Broken => {}
                    _ => {
                        let fault = Fault::new(place, "a key must be a text on one line");
                        let hint =
                            "quote a key that starts with `[` or `{`; is this a `{{ … }}` that was not filled in?";
                        self.faults.push(fault.with_hint(hint));
                        *broken = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// Refuses keys that are written twice, then fills in what merge keys bring along.
    fn mapping(&mut self, entries: Vec<Entry<'a>>, merged: Vec<Node<'a>>) -> Vec<Entry<'a>> {
        let mut kept = if has_doubles(&entries) { self.without_doubles(entries) } else { entries };
        if merged.is_empty() {
            return kept;
        }
        let mut known: HashSet<_> = kept.iter().map(|entry| entry.key.clone()).collect();
        for node in merged {
            for entry in self.merge_of(node) {
                if known.insert(entry.key.clone()) {
                    kept.push(entry);
                }
            }
        }
        kept
    }

    fn without_doubles(&mut self, entries: Vec<Entry<'a>>) -> Vec<Entry<'a>> {
        let mut first: HashMap<Cow<'a, str>, Place> = HashMap::with_capacity(entries.len());
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(place) = first.get(&entry.key) {
                let message = format!("the key {} is written twice in one mapping", shown_key(&entry.key));
                let hint = format!("the first is at {place}; remove one of them");
                self.faults.push(Fault::new(entry.place, message).with_hint(hint));
            } else {
                first.insert(entry.key.clone(), entry.place.clone());
                kept.push(entry);
            }
        }
        kept
    }

    /// The entries of a merge key's value: a mapping, or a list of mappings of which the first wins.
    fn merge_of(&mut self, node: Node<'a>) -> Vec<Entry<'a>> {
        match node.value {
            Value::Map(entries) => entries,
            Value::List(nodes) if nodes.iter().all(|node| matches!(node.value, Value::Map(_))) => {
                nodes.into_iter().flat_map(|node| self.merge_of(node)).collect()
            }
            Value::Broken => Vec::new(),
            _ => {
                let message = format!("`<<` merges a mapping or a list of mappings, found {}", node.found());
                self.faults.push(Fault::new(node.place, message));
                Vec::new()
            }
        }
    }
}

/// Whether a key is written twice. Nearly all mappings are a few lines, and hashing these costs more than comparing them.
fn has_doubles(entries: &[Entry<'_>]) -> bool {
    const FEW: usize = 16;
    if entries.len() > FEW {
        let mut known = HashSet::with_capacity(entries.len());
        return !entries.iter().all(|entry| known.insert(&entry.key));
    }
    (1..entries.len()).any(|later| entries[..later].iter().any(|entry| entry.key == entries[later].key))
}

/// How many values a tree has, and how many bytes of text a copy of it could take.
fn measure(node: &Node<'_>) -> Amount {
    let of = |bytes| Amount { nodes: 1, bytes };
    match &node.value {
        Value::Scalar(scalar) => of(scalar.text.len()),
        Value::List(items) => items.iter().map(measure).fold(of(0), Amount::plus),
        Value::Map(entries) => {
            entries.iter().map(|entry| of(entry.key.len()).plus(measure(&entry.value))).fold(of(0), Amount::plus)
        }
        Value::Broken => of(0),
    }
}
