//! Lines of `zoo.cfg` that people wrote, with what a server of an ensemble that changes its members must have.
//!
//! Their own lines are kept. A line that contradicts what the start relies on is a fault with its place: a list of servers above
//! all, which would be a template that brings old members back.

use crate::formats::place::{Fault, Faults};
use crate::formats::properties::{self, Property};

/// Keys and values that are always there: `db.autocreate=false` lets an empty server neither vote nor lead before it has the data.
const FORCED: [(&str, &str); 3] =
    [("standaloneEnabled", "false"), ("reconfigEnabled", "true"), ("db.autocreate", "false")];

/// ZooKeeper has no defaults for the last two (`QuorumPeerConfig.checkValidity`); these are those of its example.
const DEFAULTS: [(&str, &str); 3] = [("tickTime", "2000"), ("initLimit", "10"), ("syncLimit", "5")];

/// Four-letter words by which servers are asked.
const WORDS: [&str; 3] = ["srvr", "conf", "mntr"];

const WHITELIST: &str = "4lw.commands.whitelist";

/// The settings of a server, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Keys and values.
    pub lines: Vec<(String, String)>,
    /// `dataLogDir`, where it is set to another folder than `dataDir`.
    pub log: Option<String>,
}

/// Reads their lines, and adds what must be there.
pub fn settings(source: &str, bytes: &[u8], data: &str) -> Result<Settings, Faults> {
    let own = properties::parse(source, bytes)?;
    Faults::check(own.iter().filter_map(|property| fault(property, data)).collect())?;
    let is_ours = |key: &str| key == "dataDir" || key == WHITELIST || FORCED.iter().any(|(forced, _)| *forced == key);
    let mut lines: Vec<(String, String)> = Vec::new();
    for (key, value) in DEFAULTS {
        if !own.iter().any(|property| property.key == key) {
            lines.push((key.to_owned(), value.to_owned()));
        }
    }
    for property in own.iter().filter(|property| !is_ours(&plain(&property.key))) {
        lines.push((property.key.clone(), property.value().trim().to_owned()));
    }
    lines.push(("dataDir".to_owned(), data.to_owned()));
    lines.extend(FORCED.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let words = own.iter().find(|property| property.key == WHITELIST).map_or("", Property::value);
    lines.push((WHITELIST.to_owned(), whitelist(words)));
    let log = own.iter().find(|property| property.key == "dataLogDir").map(|property| property.value().trim());
    Ok(Settings { log: log.filter(|log| *log != data).map(str::to_owned), lines })
}

/// ZooKeeper puts `zookeeper.` before keys that it does not know, if it is not there.
fn plain(key: &str) -> String {
    key.strip_prefix("zookeeper.").unwrap_or(key).to_owned()
}

fn whitelist(own: &str) -> String {
    let own: Vec<_> = own.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if own.contains(&"*") {
        return "*".to_owned();
    }
    let missing = WORDS.iter().copied().filter(|word| !own.contains(word));
    own.iter().copied().chain(missing).collect::<Vec<_>>().join(",")
}

fn fault(property: &Property, data: &str) -> Option<Fault> {
    let (key, value) = (plain(&property.key), property.value().trim());
    let wrong = |what: String, hint: &str| Some(Fault::new(property.key_place.clone(), what).with_hint(hint));
    if ["server.", "group.", "weight."].iter().any(|list| key.starts_with(list)) || key == "dynamicConfigFile" {
        let what = format!("`{}` does not belong here: members come from the live servers", property.key);
        return wrong(what, "leave it out; a server's own address is --server-line");
    }
    if ["clientPort", "clientPortAddress"].contains(&&*key) {
        return wrong(format!("`{key}` does not belong here"), "set the client port in --server-line, after the `;`");
    }
    if key == "dataDir" && value != data {
        return wrong("`dataDir` is not the folder of --data-dir".to_owned(), "leave it out");
    }
    let forced = FORCED.iter().find(|(forced, _)| *forced == key);
    let (_, must) = forced.filter(|(_, must)| !must.eq_ignore_ascii_case(value))?;
    wrong(format!("`{}` must be {must}", property.key), "leave it out: it is written anyway")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        settings("zoo.cfg", text.as_bytes(), "/data").map_err(|faults| faults.to_string())
    }

    #[test]
    fn lines_of_people_are_kept_and_what_must_be_there_is_added() {
        let found =
            read("autopurge.purgeInterval=1\ntickTime = 500\n4lw.commands.whitelist=ruok, srvr\ndataLogDir=/log\n")
                .unwrap();
        let text: Vec<_> = found.lines.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "initLimit=10",
            "syncLimit=5",
            "autopurge.purgeInterval=1",
            "tickTime=500",
            "dataLogDir=/log",
            "dataDir=/data",
            "standaloneEnabled=false",
            "reconfigEnabled=true",
            "db.autocreate=false",
            "4lw.commands.whitelist=ruok,srvr,conf,mntr",
        ];
        assert_eq!((text, found.log.as_deref()), (expected.map(str::to_owned).to_vec(), Some("/log")));
        assert!(read("").unwrap().lines.contains(&(WHITELIST.to_owned(), "srvr,conf,mntr".to_owned())));
        assert!(read("dataDir=/data\nreconfigEnabled=TRUE\n4lw.commands.whitelist=*\n").is_ok());
    }

    #[test]
    fn a_template_of_members_and_what_would_endanger_the_data_are_refused_at_their_place() {
        for (line, why) in [
            ("server.1=a:1:2;3", "members come from the live servers"),
            ("dynamicConfigFile=/x", "members come from the live servers"),
            ("clientPort=2181", "after the `;`"),
            ("dataDir=/other", "--data-dir"),
            ("db.autocreate=true", "must be false"),
            ("zookeeper.db.autocreate=true", "must be false"),
            ("standaloneEnabled=true", "must be false"),
            ("reconfigEnabled=false", "must be true"),
        ] {
            let words = read(&format!("tickTime=500\n{line}\n")).unwrap_err();
            assert!(words.contains(why) && words.contains("zoo.cfg:2:1"), "{line}: {words}");
        }
    }
}
