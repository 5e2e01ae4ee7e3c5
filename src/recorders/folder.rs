//! The state folder: where it is, and what lies where in it.

use std::path::{Path, PathBuf};

use crate::clients::files::state;

/// Where this tool keeps its state if nobody says otherwise and there is no home: in a pod, a mounted volume.
const WITHOUT_HOME: &str = "/var/lib/kafka-toolbox";

/// The folder for the audit log, the event spool and what was last applied: what a flag says, else
/// `$XDG_STATE_HOME/kafka-toolbox`, else in a pod or without a home `/var/lib/kafka-toolbox`, else
/// `~/.local/state/kafka-toolbox`. `env` looks a variable up.
pub fn state_folder(flag: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> PathBuf {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(folder) = flag {
        return folder.to_owned();
    }
    // The XDG specification: a relative path is to be ignored.
    if let Some(state) = set("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        return state.join("kafka-toolbox");
    }
    let in_pod = set("KUBERNETES_SERVICE_HOST").is_some();
    match set("HOME").map(PathBuf::from).filter(|path| path.is_absolute() && !in_pod) {
        Some(home) => home.join(".local/state/kafka-toolbox"),
        None => PathBuf::from(WITHOUT_HOME),
    }
}

/// Journals of runs that live or died.
pub fn open(state: &Path) -> PathBuf {
    state.join("open")
}

/// Journals of ended runs with undelivered events.
pub fn spool(state: &Path) -> PathBuf {
    state.join("spool")
}

/// What sinks called malformed.
pub fn quarantine(state: &Path) -> PathBuf {
    state.join("quarantine")
}

/// The files of a folder whose names end in `.jsonl`, in the order of their names, which is that of time. A folder
/// that is not there has none.
pub fn journals(folder: &Path) -> Vec<PathBuf> {
    state::list(folder, "jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_is_where_the_first_of_flag_xdg_pod_and_home_says() {
        let folder = |flag: Option<&str>, set: &[(&str, &str)]| {
            let found = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            state_folder(flag.map(Path::new), found).display().to_string()
        };
        let all = [("XDG_STATE_HOME", "/x"), ("HOME", "/h"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")];
        assert_eq!(folder(Some("f"), &all), "f");
        assert_eq!(folder(None, &all), "/x/kafka-toolbox");
        assert_eq!(folder(None, &all[1..]), "/var/lib/kafka-toolbox");
        assert_eq!(folder(None, &all[1..2]), "/h/.local/state/kafka-toolbox");
        assert_eq!(folder(None, &[("XDG_STATE_HOME", "relative"), ("HOME", "")]), "/var/lib/kafka-toolbox");
    }
}
