//! Texts that people write, and texts that people are shown.

use crate::cluster::visible;
use crate::commands::topics::spec::{Form, Format, Spec, TopicSpec, parse, write};
use crate::formats::reassignment_json::{Moves, read_either, read_plan, write_plan};
use crate::formats::source::Source;
use crate::formats::{maps, properties as java_properties, toolbox_file as file};

/// A reassignment of Kafka's, or a plan of ours: read or refused; what was read can be written and read again.
pub fn moves(bytes: &[u8]) {
    match read_either(&Source::new("fuzz", bytes)) {
        Ok(Moves::Plan(plan)) => {
            let text = write_plan(&plan).expect("a plan can be written");
            let again = read_plan(&Source::new("again", text.as_str())).expect("what is written is read");
            assert_eq!(again, plan);
        }
        Ok(Moves::Assignment(_)) => {}
        Err(faults) => assert!(!faults.to_string().is_empty()),
    }
}

/// Java client properties, and a JAAS text in them: read or refused.
pub fn properties(bytes: &[u8]) {
    if let Err(faults) = java_properties::parse("fuzz", bytes) {
        assert!(!faults.to_string().is_empty());
    }
    let _ = crate::is_jaas(&String::from_utf8_lossy(bytes));
}

/// A topics file, in every form: read or refused; what was read can be written and read again.
pub fn spec(bytes: &[u8]) {
    let names = |spec: &Spec| spec.topics.keys().cloned().collect::<Vec<_>>();
    let config = |topic: &TopicSpec| {
        topic.config.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect::<Vec<_>>()
    };
    for format in [Format::Auto, Format::Toolbox, Format::Topicctl, Format::Strimzi] {
        let Ok(spec) = parse(&[Source::new("fuzz", bytes)], format) else { continue };
        for form in [Form::Toolbox, Form::Configmap] {
            let text = write(form, spec.topics.values(), None).text;
            let again = parse(&[Source::new("again", text.as_str())], Format::Auto).expect("what is written is read");
            assert_eq!(names(&again), names(&spec));
            for (name, topic) in &spec.topics {
                assert_eq!(config(&again.topics[name]), config(topic));
                assert_eq!(again.topics[name].labels, topic.labels);
            }
        }
        let _ = write(Form::Topicctl, spec.topics.values(), None);
        let _ = write(Form::Strimzi, spec.topics.values(), None);
    }
}

/// A toolbox.yaml, and maps of their own: read or refused.
pub fn toolbox_file(bytes: &[u8]) {
    if let Err(faults) = maps::parse(&[Source::new("fuzz", bytes)]) {
        assert!(!faults.to_string().is_empty());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(faults) = file::parse("fuzz", text) {
        assert!(!faults.to_string().is_empty());
    }
}

/// What is shown: nothing hidden is left, and JSON stays JSON that means the same.
pub fn visible(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for shown in [visible::value(text), visible::line(text), visible::text(text)] {
        assert!(!visible::has_hidden(&shown));
    }
    assert!(!visible::value(text).contains(['\n', '\t']));
    let json = serde_json::to_string(text).expect("a text is JSON");
    let shown = visible::json(&json);
    assert!(!visible::has_hidden(&shown));
    assert_eq!(serde_json::from_str::<String>(&shown).expect("it stays JSON"), text);
}
