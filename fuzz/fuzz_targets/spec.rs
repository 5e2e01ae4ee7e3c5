//! Any bytes as a topics file, in every form: read or refused, never a panic; what was read can be written and read again.
#![no_main]

use kafka_toolbox_fuzz::commands::topics::spec::{Form, Format, parse, write};
use kafka_toolbox_fuzz::formats::source::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Auto, Format::Toolbox, Format::Topicctl, Format::Strimzi] {
        let Ok(spec) = parse(&[Source::new("fuzz", bytes)], format) else { continue };
        for form in [Form::Toolbox, Form::Configmap] {
            let text = write(form, spec.topics.values(), None).text;
            let again = parse(&[Source::new("again", text.as_str())], Format::Auto).expect("what is written is read");
            let names = |spec: &kafka_toolbox_fuzz::commands::topics::spec::Spec| spec.topics.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&again), names(&spec));
            for (name, topic) in &spec.topics {
                let config = |topic: &kafka_toolbox_fuzz::commands::topics::spec::TopicSpec| {
                    topic.config.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect::<Vec<_>>()
                };
                assert_eq!(config(&again.topics[name]), config(topic));
                assert_eq!(again.topics[name].labels, topic.labels);
            }
        }
        let _ = write(Form::Topicctl, spec.topics.values(), None);
        let _ = write(Form::Strimzi, spec.topics.values(), None);
    }
});
