//! A `toolbox.yaml` that somebody else left in the working folder: it gets no secrets, and is not used in silence.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::toolbox::{Ran, Toolbox};

const SECRET: &str = "the-secret-of-the-person";

/// One who works in a folder with a toolbox.yaml of this mode, whose only cluster listens nowhere.
fn folder(mode: u32) -> (Toolbox, String) {
    let toolbox = Toolbox::alone().with("SECRET", SECRET);
    let properties = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.\
                      security.plain.PlainLoginModule required username=\"u\" password=\"${env:SECRET}\";\n";
    for (name, text) in [
        ("client.properties", properties),
        ("toolbox.yaml", "clusters: {main: {bootstrapServers: '127.0.0.1:1', commandConfig: client.properties}}\n"),
    ] {
        set_permissions(toolbox.file(name, text), Permissions::from_mode(mode)).unwrap();
    }
    let file = toolbox.state().parent().unwrap().join("toolbox.yaml");
    (toolbox, file.to_str().unwrap().to_owned())
}

fn list(toolbox: &Toolbox, more: &[&str]) -> Ran {
    let ran = toolbox.run(&[&["topics", "list", "--timeout", "1s"], more].concat());
    assert!(!ran.err.contains(SECRET) && !ran.out.contains(SECRET), "{ran:#?}");
    ran
}

#[test]
fn what_the_working_folder_names_gets_nothing_from_the_environment_unless_a_person_names_the_file() {
    let (toolbox, file) = folder(0o644);
    let ran = list(&toolbox, &[]).ends_with(2);
    assert!(ran.err.contains("found through the working folder"), "{ran:#?}");
    assert!(ran.err.contains("cluster main is read from ") && ran.err.contains(&file), "{ran:#?}");
    let named = list(&toolbox, &["--toolbox-file", &file]).ends_with(1);
    assert!(named.err.contains("127.0.0.1:1") && !named.err.contains("is read from"), "{named:#?}");
}

#[test]
fn a_file_that_others_can_write_is_refused_unless_a_person_names_it() {
    let (toolbox, file) = folder(0o666);
    let ran = list(&toolbox, &[]).ends_with(2);
    assert!(ran.err.contains("toolbox.yaml is not used") && ran.err.contains("(mode 666)"), "{ran:#?}");
    list(&toolbox, &["--toolbox-file", &file]).ends_with(1);
    let own = list(&toolbox, &["--bootstrap-server", "127.0.0.1:1"]).ends_with(1);
    assert!(!own.err.contains("is not used"), "it is not needed: {own:#?}");
}
