//! Topics to text, in any of the forms: what `export` writes. What a form can't say becomes a note.
//!
//! Reading the text again gives the same topics: the tests hold this for any topics.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::commands::topics::spec::State;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::jikkou;
use crate::commands::topics::spec::keys;
use crate::commands::topics::spec::topicctl;
use crate::formats::yaml::{quoted_text, verbatim_text};

/// The forms that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Form {
    /// This tool's own: `topics: [{name, partitions, …}]`
    #[default]
    Toolbox,
    /// The same inside of a ConfigMap's manifest
    Configmap,
    /// topicctl's topic files: `meta` and `spec`
    Topicctl,
    /// Strimzi's `KafkaTopic` resources (kafka.strimzi.io/v1)
    Strimzi,
    /// Jikkou's `KafkaTopic` resources (kafka.jikkou.io/v1beta2)
    Jikkou,
}

/// A text, and what it could not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// The text.
    pub text: String,
    /// What a person should know, or fill in.
    pub notes: Vec<String>,
}

/// Writes topics. `cluster` is what Strimzi and topicctl call the cluster, where a topic's labels do not say it.
pub fn write<'a>(form: Form, topics: impl IntoIterator<Item = &'a TopicSpec>, cluster: Option<&str>) -> Written {
    let mut writer = Writer { cluster: cluster.unwrap_or("main"), written: Written::default(), lost: BTreeMap::new() };
    let topics: Vec<_> = topics.into_iter().collect();
    match form {
        Form::Toolbox => writer.toolbox(&topics, 0),
        Form::Configmap => {
            writer.written.text.push_str("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: topics\n");
            writer.written.text.push_str("  labels:\n    toolbox/topics: \"true\"\ndata:\n  topics.yaml: |\n");
            writer.toolbox(&topics, 4);
        }
        Form::Topicctl => topics.iter().for_each(|topic| writer.topicctl(topic)),
        Form::Strimzi => writer.strimzi(&topics),
        Form::Jikkou => topics.iter().for_each(|topic| writer.jikkou(topic)),
    }
    for (what, count) in &writer.lost {
        let topics = if *count == 1 { "1 topic".to_owned() } else { format!("{count} topics") };
        writer.written.notes.push(format!("{what} ({topics})"));
    }
    writer.written
}

struct Writer<'c> {
    cluster: &'c str,
    written: Written,
    /// What is lost, and for how many topics.
    lost: BTreeMap<String, usize>,
}

impl Writer<'_> {
    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.written.text, "{:indent$}{text}", "");
    }

    fn field(&mut self, indent: usize, key: &str, value: &str) {
        let _ = writeln!(self.written.text, "{:indent$}{key}: {value}", "");
    }

    fn lose(&mut self, what: &str) {
        *self.lost.entry(what.to_owned()).or_default() += 1;
    }

    fn toolbox(&mut self, topics: &[&TopicSpec], indent: usize) {
        if topics.is_empty() {
            return self.line(indent, "topics: []");
        }
        self.line(indent, "topics:");
        for topic in topics {
            self.field(indent + 2, "- name", &quoted_text(topic.name.value.as_str()));
            let indent = indent + 4;
            if topic.state == State::Absent {
                self.field(indent, "state", "absent");
            }
            self.numbers(indent, topic, "replicationFactor");
            if let Some(map) = &topic.map {
                self.field(indent, "map", &quoted_text(&map.value));
            }
            self.config(indent, "config", topic);
            self.texts(indent, "labels", &topic.labels);
            if topic.strict {
                self.field(indent, "strict", "true");
            }
        }
    }

    fn numbers(&mut self, indent: usize, topic: &TopicSpec, factor: &str) {
        if let Some(partitions) = &topic.partitions {
            self.field(indent, "partitions", &partitions.value.to_string());
        }
        if let Some(replicas) = &topic.replication_factor {
            self.field(indent, factor, &replicas.value.to_string());
        }
    }

    fn config(&mut self, indent: usize, key: &str, topic: &TopicSpec) {
        if topic.config.is_empty() {
            return;
        }
        self.line(indent, &format!("{key}:"));
        for (key, value) in &topic.config {
            let value = if value.value.is_empty() && keys::is_set(key) { keys::NONE } else { &value.value };
            self.field(indent + 2, &quoted_text(key), &verbatim_text(value));
        }
    }

    fn texts(&mut self, indent: usize, key: &str, texts: &BTreeMap<String, String>) {
        if texts.is_empty() {
            return;
        }
        self.line(indent, &format!("{key}:"));
        for (key, text) in texts {
            self.field(indent + 2, &quoted_text(key), &quoted_text(text));
        }
    }

    /// Whether another tool can be told of a topic at all, and what it can't be told.
    fn can_be_told(&mut self, topic: &TopicSpec, tool: &str) -> bool {
        if topic.state == State::Absent {
            self.lose(&format!("`state: absent` has no counterpart in {tool}: the topic is left out"));
            return false;
        }
        if topic.map.is_some() {
            self.lose(&format!("`map` has no counterpart in {tool} and is left out"));
        }
        true
    }

    fn topicctl(&mut self, topic: &TopicSpec) {
        if !self.can_be_told(topic, "topicctl") {
            return;
        }
        let (Some(_), Some(_)) = (&topic.partitions, &topic.replication_factor) else {
            return self.lose("topicctl needs partitions and replicationFactor: the topic is left out");
        };
        if topic.strict {
            self.lose("`strict` has no counterpart in topicctl: it leaves undeclared keys alone");
        }
        if !self.written.text.is_empty() {
            self.line(0, "---");
        }
        self.line(0, "meta:");
        self.field(2, "name", &quoted_text(topic.name.value.as_str()));
        for key in topicctl::META_TEXTS {
            match topic.labels.get(&format!("{}{key}", topicctl::LABEL)) {
                Some(text) => self.field(2, key, &quoted_text(text)),
                None if *key == "cluster" => self.field(2, key, &quoted_text(self.cluster)),
                None if *key == "description" => {}
                None => {
                    self.field(2, key, "unknown");
                    self.lose(&format!("topicctl needs `meta.{key}`: fill it in where it says `unknown`"));
                }
            }
        }
        let own = |(key, _): &(&String, &String)| !key.starts_with(topicctl::LABEL);
        let labels = topic.labels.iter().filter(own).map(|(key, text)| (key.clone(), text.clone())).collect();
        self.texts(2, "labels", &labels);
        if let Some(consumers) = topic.labels.get(&format!("{}consumers", topicctl::LABEL)) {
            let names: Vec<_> = consumers.split(',').filter(|name| !name.is_empty()).map(quoted_text).collect();
            self.field(2, "consumers", &format!("[{}]", names.join(", ")));
        }
        self.line(0, "spec:");
        self.numbers(2, topic, "replicationFactor");
        self.line(2, "placement:");
        self.field(4, "strategy", "any");
        self.config(2, "settings", topic);
    }

    fn jikkou(&mut self, topic: &TopicSpec) {
        if topic.map.is_some() {
            self.lose("`map` has no counterpart in Jikkou and is left out");
        }
        if topic.strict {
            self.lose("`strict` has no counterpart in Jikkou: it leaves undeclared keys alone");
        }
        if !self.written.text.is_empty() {
            self.line(0, "---");
        }
        self.line(0, "apiVersion: kafka.jikkou.io/v1beta2\nkind: KafkaTopic\nmetadata:");
        self.field(2, "name", &quoted_text(topic.name.value.as_str()));
        self.texts(2, "labels", &topic.labels);
        if topic.state == State::Absent {
            self.line(2, "annotations:");
            self.field(4, jikkou::DELETE, "true");
        }
        self.line(0, "spec:");
        self.numbers(2, topic, "replicas");
        self.config(2, "configs", topic);
        if self.written.text.ends_with("spec:\n") {
            self.written.text.truncate(self.written.text.len() - "spec:\n".len());
            self.line(0, "spec: {}");
        }
    }

    fn strimzi(&mut self, topics: &[&TopicSpec]) {
        let mut taken = BTreeSet::new();
        for topic in topics {
            if !self.can_be_told(topic, "Strimzi") {
                continue;
            }
            if !topic.strict {
                self.lose("Strimzi unsets config keys that a resource does not name, as `strict: true` does");
            }
            let name = resource_name(topic.name.value.as_str(), &mut taken);
            if !self.written.text.is_empty() {
                self.line(0, "---");
            }
            self.line(0, "apiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata:");
            self.field(2, "name", &quoted_text(&name));
            self.line(2, "labels:");
            if !topic.labels.contains_key("strimzi.io/cluster") {
                self.field(4, "strimzi.io/cluster", &quoted_text(self.cluster));
            }
            for (key, text) in &topic.labels {
                if is_label_of_kubernetes(key, text) {
                    self.field(4, &quoted_text(key), &quoted_text(text));
                } else {
                    self.lose("a label that Kubernetes does not take is left out");
                }
            }
            self.line(0, "spec:");
            if name != topic.name.value.as_str() {
                self.field(2, "topicName", &quoted_text(topic.name.value.as_str()));
            }
            self.numbers(2, topic, "replicas");
            self.config(2, "config", topic);
            if self.written.text.ends_with("spec:\n") {
                self.written.text.truncate(self.written.text.len() - "spec:\n".len());
                self.line(0, "spec: {}");
            }
        }
    }
}

/// A name that Kubernetes takes (RFC 1123: lower case, digits, `-` and `.`), different from those taken before.
fn resource_name(topic: &str, taken: &mut BTreeSet<String>) -> String {
    let lower = topic.to_lowercase().replace('_', "-");
    let parts = lower.split('.').map(|part| part.trim_matches('-')).filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<_>>().join(".");
    let name = if name.is_empty() { "topic".to_owned() } else { name };
    let numbered = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    let free = numbered.take(taken.len() + 1).find(|name| !taken.contains(name)).unwrap_or(name);
    taken.insert(free.clone());
    free
}

/// Whether Kubernetes takes a label: a key of up to 63 characters after an optional `PREFIX/`, a value of up to 63.
pub(super) fn is_label_of_kubernetes(key: &str, value: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_word = |word: &str| {
        let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        word.len() <= 63
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && ends_well(word.chars().next())
            && ends_well(word.chars().next_back())
    };
    let is_domain = |domain: &str| {
        domain.len() <= 253
            && domain.split('.').all(|part| {
                !part.starts_with('-')
                    && !part.ends_with('-')
                    && !part.is_empty()
                    && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            })
    };
    is_word(name) && prefix.is_none_or(is_domain) && (value.is_empty() || is_word(value))
}
