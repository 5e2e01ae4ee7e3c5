//! What can be applied of sources of which some have faults: the others. A source with a fault is left out whole, and of a
//! ConfigMap all keys: whoever wrote one of them wrong may have meant something else by the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::commands::topics::spec::Spec;
use crate::commands::topics::spec::State;
use crate::commands::topics::spec::TopicSpec;
use crate::commands::topics::spec::clusters;
use crate::commands::topics::spec::read::{Format, parse};
use crate::formats::place::{Fault, Faults};
use crate::formats::source::Source;

/// Topics of the sources without faults.
#[derive(Debug, Default)]
pub struct Sound {
    /// The topics.
    pub spec: Spec,
    /// What was left out, each a file or a ConfigMap as `configmap NAMESPACE/NAME`.
    pub left_out: BTreeSet<String>,
    /// Why.
    pub faults: Vec<Fault>,
}

impl Sound {
    /// Why a declared topic must not be touched while something is left out: it was last applied from there, and whatever is
    /// declared of it there can't be read now.
    pub fn fault_of(&self, declared: &TopicSpec, last_source: &str) -> Option<Fault> {
        let before = unit(last_source);
        if !self.left_out.contains(before) || unit(&declared.name.place.source) == before {
            return None;
        }
        let name = &declared.name;
        let message =
            format!("topic `{}` was last applied from {before}, which is left out for its faults", name.value);
        Some(Fault::new(name.place.clone(), message).with_hint("it is left as it is until that source has no fault"))
    }
}

/// Reads the sources without faults; `given` are faults that were found before any text was read. Fails if no source is left.
///
/// First those go that are wrong by themselves, then those that contradict others: what is not read can't be contradicted.
pub fn parse_sound(sources: &[Source], given: Vec<Fault>, format: Format) -> Result<Sound, Faults> {
    let mut faults = given;
    let mut units: BTreeMap<&str, Vec<Source>> = BTreeMap::new();
    for source in sources {
        units.entry(unit(&source.label)).or_default().push(source.clone());
    }
    let mut alone = Vec::new();
    for unit in units.values() {
        match parse(unit, format) {
            Ok(spec) => alone.push(spec),
            Err(Faults(found)) => faults.extend(found),
        }
    }
    // Which cluster is meant can't be chosen by leaving one out.
    let topics: Vec<_> = alone.iter().flat_map(|spec| spec.topics.values()).collect();
    Faults::check(clusters::faults(&topics))?;
    faults.extend(declared_twice(&alone));
    let mut rest = rest_of(sources, &faults);
    let mut spec = parse(&rest, format);
    if let Err(Faults(found)) = spec {
        faults.extend(found);
        rest = rest_of(sources, &faults);
        spec = parse(&rest, format);
    }
    faults.sort();
    faults.dedup();
    if rest.is_empty() && !faults.is_empty() {
        return Err(Faults(faults));
    }
    Ok(Sound { spec: spec?, left_out: left_out(&faults), faults })
}

/// Faults of topics that several sources declare, or whose names collide: which of them is meant is not known, so all are
/// left out.
fn declared_twice(specs: &[Spec]) -> Vec<Fault> {
    let mut by_name: BTreeMap<String, Vec<&TopicSpec>> = BTreeMap::new();
    for topic in specs.iter().flat_map(|spec| spec.topics.values()) {
        by_name.entry(topic.name.value.collision_key()).or_default().push(topic);
    }
    let mut faults = Vec::new();
    for topics in by_name.values().filter(|topics| topics.len() > 1) {
        for topic in topics {
            let is_other = |other: &&&TopicSpec| {
                let are_present = [other.state, topic.state] == [State::Present; 2];
                other.name.place != topic.name.place && (other.name.value == topic.name.value || are_present)
            };
            let other = topics.iter().find(is_other);
            let Some(other) = other else { continue };
            let message = if other.name.value == topic.name.value {
                format!("topic `{}` is declared twice", topic.name.value)
            } else {
                format!("topic `{}` collides with `{}`", topic.name.value, other.name.value)
            };
            let hint = format!("the other is at {}; neither is applied: remove one of them", other.name.place);
            faults.push(Fault::new(topic.name.place.clone(), message).with_hint(hint));
        }
    }
    faults
}

fn left_out(faults: &[Fault]) -> BTreeSet<String> {
    faults.iter().map(|fault| unit(&fault.place.source).to_owned()).collect()
}

fn rest_of(sources: &[Source], faults: &[Fault]) -> Vec<Source> {
    let left_out = left_out(faults);
    sources.iter().filter(|source| !left_out.contains(unit(&source.label))).cloned().collect()
}

/// What is left out with a source: a file, or a whole ConfigMap. The forms are `FILE`, `FILE:LINE:COLUMN, inside key KEY`
/// and `configmap NAMESPACE/NAME, key KEY`.
fn unit(source: &str) -> &str {
    if source.starts_with("configmap ") {
        return source.split(", key ").next().unwrap_or(source);
    }
    match source.split_once(", inside key ") {
        Some((place, _)) => place.rsplitn(3, ':').last().unwrap_or(place),
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(label: &str, topic: &str) -> Source {
        Source::new(label, format!("topics: [{{name: {topic}, partitions: 1}}]"))
    }

    #[test]
    fn a_configmap_with_one_wrong_key_is_left_out_whole_and_the_others_are_read() {
        let sources = [
            source("configmap kafka/a, key good.yaml", "a1"),
            Source::new("configmap kafka/a, key wrong.yaml", "topics:\n  - {name: a2, partitions: many}"),
            source("configmap kafka/b, key b.yaml", "b1"),
            source("configmap kafka/b, key c.yaml", "b2"),
        ];
        let sound = parse_sound(&sources, Vec::new(), Format::Auto).unwrap();
        let names: Vec<_> = sound.spec.topics.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["b1", "b2"]);
        assert_eq!(sound.left_out, BTreeSet::from(["configmap kafka/a".to_owned()]));
        let said: Vec<_> = sound.faults.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].starts_with("configmap kafka/a, key wrong.yaml:2:"), "{said:?}");
        let declared = &sound.spec.topics.values().next().unwrap();
        let fault = sound.fault_of(declared, "configmap kafka/a, key wrong.yaml").unwrap();
        assert!(fault.to_string().contains("`b1` was last applied from configmap kafka/a"), "{fault}");
        assert!(sound.fault_of(declared, "configmap kafka/b, key other.yaml").is_none());
        assert!(sound.fault_of(declared, "configmap kafka/ab, key b.yaml").is_none());
    }

    #[test]
    fn without_a_source_that_has_no_fault_nothing_is_left_to_apply() {
        let wrong = Source::new("topics.yaml", "topics: 1");
        assert!(parse_sound(&[wrong], Vec::new(), Format::Auto).is_err());
        let whole = parse_sound(&[source("x.yaml", "x")], Vec::new(), Format::Auto).unwrap();
        assert!(whole.left_out.is_empty() && whole.faults.is_empty());
    }

    #[test]
    fn a_source_is_not_left_out_because_it_repeats_what_a_faulty_one_declares() {
        let wrong = "topics: [{name: a, partitions: 1}, {name: b, partitons: 1}]";
        let sources = [Source::new("a.yaml", wrong), source("b.yaml", "a"), source("c.yaml", "c")];
        let sound = parse_sound(&sources, Vec::new(), Format::Auto).unwrap();
        assert_eq!(sound.left_out, BTreeSet::from(["a.yaml".to_owned()]));
        assert_eq!(sound.spec.topics.len(), 2);
    }

    #[test]
    fn of_a_topic_in_two_files_neither_wins() {
        let twice = [source("a.yaml", "a"), source("b.yaml", "a"), source("c.yaml", "c")];
        let sound = parse_sound(&twice, Vec::new(), Format::Auto).unwrap();
        assert_eq!(sound.left_out, BTreeSet::from(["a.yaml".to_owned(), "b.yaml".to_owned()]));
        assert_eq!(sound.spec.topics.len(), 1);
        let said = sound.faults[0].to_string();
        assert!(said.contains("the other is at b.yaml:1:17; neither is applied"), "{said}");
        let colliding = [source("a.yaml", "a.x"), source("b.yaml", "a_x"), source("c.yaml", "c")];
        assert_eq!(parse_sound(&colliding, Vec::new(), Format::Auto).unwrap().left_out.len(), 2);
    }

    #[test]
    fn files_of_two_clusters_stop_everything() {
        let of = |label: &str, topic: &str, cluster: &str| {
            let text = format!(
                "apiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata: {{name: {topic}, labels: {{strimzi.io/cluster: \
                 {cluster}}}}}\n"
            );
            Source::new(label, text)
        };
        let files = [of("a.yaml", "a", "east"), of("b.yaml", "b", "west")];
        assert!(parse_sound(&files, Vec::new(), Format::Auto).is_err());
    }

    #[test]
    fn a_fault_inside_of_a_manifest_leaves_the_file_out() {
        let manifest = "kind: ConfigMap\ndata:\n  a.yaml: \"topics: [{name: a, partitions: x}]\"\n";
        let sources = [Source::new("dir/a:1/m.yaml", manifest), source("other.yaml", "b")];
        let sound = parse_sound(&sources, Vec::new(), Format::Auto).unwrap();
        assert_eq!(sound.left_out, BTreeSet::from(["dir/a:1/m.yaml".to_owned()]));
        assert_eq!(sound.spec.topics.len(), 1);
    }
}
