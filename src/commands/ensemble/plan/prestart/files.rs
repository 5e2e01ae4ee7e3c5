//! The files of a server as they should be: `zoo.cfg`, the dynamic file, `myid`, the marker. What is there already in substance is
//! left as it is: ZooKeeper itself rewrites `zoo.cfg`, in another order, at each change of the membership.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::cluster::ensemble::membership::EnsembleConfig;
use crate::commands::ensemble::plan::prestart::decide::{Disk, DiskFile};

/// The key of zoo.cfg that names the dynamic file.
const DYNAMIC_KEY: &str = "dynamicConfigFile";

/// First line of a zoo.cfg that is written here.
const HEADER: &str = "# Written by `toolbox ensemble prestart`. ZooKeeper rewrites it when the membership changes.";

/// Where a server's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `dataDir`.
    pub data: String,
    /// `dataLogDir`, where it is another folder.
    pub log: Option<String>,
    /// The folder of zoo.cfg and the dynamic file.
    pub conf: String,
}

impl Layout {
    /// `zoo.cfg`.
    pub fn zoo_cfg(&self) -> String {
        format!("{}/zoo.cfg", self.conf)
    }

    /// The dynamic file as this program names it, without a version: ZooKeeper takes the version from the others.
    pub fn dynamic(&self) -> String {
        format!("{}/zoo.cfg.dynamic", self.conf)
    }

    /// `myid`.
    pub fn myid(&self) -> String {
        format!("{}/myid", self.data)
    }

    /// Whose disk it is.
    pub fn marker(&self) -> String {
        format!("{}/.member", self.data)
    }

    /// Where `initialize` may stand: ZooKeeper looks for it in the folder of the transaction log.
    pub fn initialize(&self) -> Vec<String> {
        std::iter::once(&self.data).chain(&self.log).map(|folder| format!("{folder}/initialize")).collect()
    }
}

/// What was found in the folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFiles {
    /// What the decision needs.
    pub disk: Disk,
    /// zoo.cfg, if it is there and can be read. It may hold passwords, and is saved nowhere.
    #[serde(skip)]
    pub settings: Option<BTreeMap<String, String>>,
    /// The dynamic file that was read, or that would be.
    pub dynamic: String,
    /// Files named `initialize`.
    pub initialize: Vec<String>,
}

/// The files that are to be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The dynamic file: path and text.
    pub dynamic: Option<(String, String)>,
    /// zoo.cfg: path and text.
    pub zoo_cfg: Option<(String, String)>,
}

/// What differs from what is there. `config` is what the server starts with; none to keep the file that is there.
pub fn wanted(
    layout: &Layout,
    settings: &[(String, String)],
    found: &FoundFiles,
    config: Option<&EnsembleConfig>,
) -> Wanted {
    let is_same = |config: &EnsembleConfig| match &found.disk.file {
        DiskFile::Read(there) => there.membership == config.membership,
        DiskFile::Absent | DiskFile::Unreadable(_) => false,
    };
    let dynamic = config.filter(|config| !is_same(config)).map(|config| (layout.dynamic(), dynamic_text(config)));
    let named = dynamic.as_ref().map_or(&found.dynamic, |(path, _)| path);
    let mut expected: BTreeMap<String, String> = settings.iter().cloned().collect();
    expected.insert(DYNAMIC_KEY.to_owned(), named.clone());
    let zoo_cfg = (found.settings.as_ref() != Some(&expected)).then(|| (layout.zoo_cfg(), zoo_cfg(settings, named)));
    Wanted { dynamic, zoo_cfg }
}

/// One line a server, without a version: it is in no file but those that ZooKeeper writes, whose names have it.
fn dynamic_text(config: &EnsembleConfig) -> String {
    let text = EnsembleConfig { version: crate::cluster::ensemble::membership::ConfigVersion(0), ..config.clone() };
    let text = text.to_string();
    let lines = text.lines().filter(|line| !line.starts_with("version="));
    lines.fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "{line}");
        all
    })
}

fn zoo_cfg(settings: &[(String, String)], dynamic: &str) -> String {
    let mut text = format!("{HEADER}\n");
    for (key, value) in settings {
        let _ = writeln!(text, "{}={}", escaped(key, true), escaped(value, false));
    }
    let _ = writeln!(text, "{DYNAMIC_KEY}={}", escaped(dynamic, false));
    text
}

/// As `java.util.Properties` reads it back.
fn escaped(text: &str, is_key: bool) -> String {
    let mut all = String::with_capacity(text.len());
    for (place, c) in text.char_indices() {
        match c {
            '\\' => all.push_str("\\\\"),
            '\n' => all.push_str("\\n"),
            '\r' => all.push_str("\\r"),
            '\t' => all.push_str("\\t"),
            ' ' if place == 0 || is_key => all.push_str("\\ "),
            '=' | ':' | '#' | '!' if is_key => {
                all.push('\\');
                all.push(c);
            }
            c if (' '..='~').contains(&c) => all.push(c),
            c => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(all, "\\u{unit:04x}");
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::properties;

    proptest! {
        #[test]
        fn whatever_a_setting_holds_java_reads_the_same_back(key in "[a-zA-Z.]{1,8}", value in "[ -~é\\t\\n\\\\ü😀]{0,20}") {
            let settings = [(key.clone(), value.clone())];
            let text = zoo_cfg(&settings, "/data/x");
            let read = properties::parse("zoo.cfg", text.as_bytes()).unwrap();
            prop_assert_eq!(&read[0].key, &key);
            prop_assert_eq!(read[0].value(), value);
        }
    }
}
