//! Finds `toolbox.yaml` and takes the chosen cluster's settings from it. A flag says more than the file.
//!
//! Nobody asked for the one in the working folder, which may be a folder of somebody else's files: it is read only where
//! nobody else can have written it, the run says that it is used, and what it leads to may not refer to the environment
//! or to other files (`${…}`), or those would be sent to whichever broker it names.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::clients::files::{self, Reading};
use crate::context::Context;
use crate::context::zookeeper::OfCluster;
use crate::exit::Stop;
use crate::formats::suggest::nearest;
use crate::formats::toolbox_file::{self, Cluster, ToolboxFile};
use crate::formats::yaml;
use crate::formats::yaml::Origin;
use crate::output;

/// Where the file is looked for, in this order, when no flag names it.
const PLACES: [&str; 2] = [IN_WORKING_FOLDER, "/etc/toolbox/toolbox.yaml"];

/// The one that is found where the command happens to be run.
const IN_WORKING_FOLDER: &str = "toolbox.yaml";

/// Mode bits that let the group, or everybody, write.
const OTHERS_WRITE: u32 = 0o022;

impl Context {
    /// Reads `toolbox.yaml`, where there is one, and takes what it says of the chosen cluster: how to reach it, the id
    /// that it must have, its tags and its maps.
    ///
    /// The cluster is `--cluster`; without it, and without `--bootstrap-server`, the file's only one.
    pub fn read_toolbox_file(&mut self) -> anyhow::Result<()> {
        let Some(path) = self.find_toolbox_file()? else {
            return match &self.flags.cluster {
                None => Ok(()),
                Some(name) => Err(no_file(name).into()),
            };
        };
        if self.flags.cluster.is_none() && self.flags.bootstrap_server.is_some() {
            // Its settings stay away; only what the cluster is called is of use. A file with a fault has no names.
            self.named_clusters = self.read_found(&path).map(|file| names_by_id(&file)).unwrap_or_default();
            return Ok(());
        }
        let mut file = self.read_found(&path)?;
        let Some(name) = self.choose(&path, &file)? else { return Ok(()) };
        let cluster = file.clusters.remove(&name).unwrap_or_default();
        self.take(&path, name, cluster)
    }

    /// Says which file of the working folder this run uses, if it uses one.
    pub fn say_toolbox_file(&self) {
        if let (Some(folder), Some(name)) = (&self.working_folder_file, &self.flags.cluster) {
            output::say(&format!("cluster {name} is read from {} (--toolbox-file names another)", folder.display()));
        }
    }

    /// Reads the file; the one in the working folder only where nobody else can have written it.
    fn read_found(&self, path: &Path) -> anyhow::Result<ToolboxFile> {
        let file = files::open(path).with_context(|| failed(path))?;
        if self.is_implicit(path) {
            check_owner(path, file.file())?;
        }
        read(path, file)
    }

    /// Whether the file is used because of the working folder, and not because somebody named it.
    fn is_implicit(&self, path: &Path) -> bool {
        self.flags.toolbox_file.is_none() && path == Path::new(IN_WORKING_FOLDER)
    }

    fn find_toolbox_file(&self) -> Result<Option<PathBuf>, Stop> {
        match &self.flags.toolbox_file {
            Some(path) if !path.is_file() => {
                Err(Stop::usage(format!("--toolbox-file {} is not there, or not a file", path.display())))
            }
            Some(path) => Ok(Some(path.clone())),
            None => Ok(PLACES.iter().map(PathBuf::from).find(|path| path.is_file())),
        }
    }

    /// The name of the cluster that is meant, if one is.
    fn choose(&self, path: &Path, file: &ToolboxFile) -> Result<Option<String>, Stop> {
        let names = || file.clusters.keys().map(String::as_str);
        match &self.flags.cluster {
            Some(name) if file.clusters.contains_key(name) => Ok(Some(name.clone())),
            Some(name) => {
                let hint = match nearest(name, names()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
                };
                Err(Stop::usage(format!("{} has no cluster `{name}` ({hint})", path.display())))
            }
            None if file.clusters.len() == 1 => Ok(names().next().map(str::to_owned)),
            None => Ok(None),
        }
    }

    fn take(&mut self, path: &Path, name: String, cluster: Cluster) -> anyhow::Result<()> {
        let is_implicit = self.is_implicit(path);
        let Cluster { bootstrap_servers, command_config, zookeeper, zookeeper_config, cluster_id, tags, maps } =
            cluster;
        let flags = &mut self.flags;
        let folder = path.parent().unwrap_or(Path::new(""));
        flags.bootstrap_server = flags.bootstrap_server.take().or(bootstrap_servers);
        if let Some(config) = command_config.filter(|_| flags.command_config.is_none()) {
            let config = folder.join(config);
            if is_implicit {
                // A file that is missing or can't be read is named by whoever reads it.
                files::open(&config).map_or(Ok(()), |file| check_owner(&config, file.file()))?;
            }
            self.is_config_implicit = is_implicit;
            flags.command_config = Some(config);
        }
        let zookeeper_config = zookeeper_config.map(|config| folder.join(config));
        if let (true, Some(config)) = (is_implicit, &zookeeper_config) {
            files::open(config).map_or(Ok(()), |file| check_owner(config, file.file()))?;
        }
        self.zookeeper_of_cluster = OfCluster { servers: zookeeper, config: zookeeper_config, is_implicit };
        flags.cluster_id = flags.cluster_id.take().or(cluster_id);
        flags.cluster = Some(name);
        if is_implicit {
            let folder = std::env::current_dir().unwrap_or_default();
            self.working_folder_file = Some(folder.join(path));
        }
        self.tags = tags;
        self.maps = maps;
        Ok(())
    }
}

/// The names of clusters whose ids are known, by id; an id that two have names neither.
fn names_by_id(file: &ToolboxFile) -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for (name, cluster) in &file.clusters {
        if let Some(id) = &cluster.cluster_id {
            names.entry(id.clone()).or_default().push(name);
        }
    }
    let only = |(id, names): (String, Vec<&String>)| (names.len() == 1).then(|| (id, names[0].clone()));
    names.into_iter().filter_map(only).collect()
}

fn no_file(cluster: &str) -> Stop {
    let places = PLACES.join(" or ");
    Stop::usage(format!("--cluster {cluster} needs a toolbox.yaml: none at {places}; name it with --toolbox-file"))
}

fn failed(path: &Path) -> String {
    format!("failed to read {}", path.display())
}

/// Refuses a file that somebody else owns or may write, and a link that somebody else made.
fn check_owner(path: &Path, file: &File) -> Result<(), Stop> {
    let wrong = |error: std::io::Error| Stop::usage(format!("{}: {error}", failed(path)));
    let (opened, named) = (file.metadata().map_err(wrong)?, fs::symlink_metadata(path).map_err(wrong)?);
    let us = rustix::process::geteuid().as_raw();
    let why =
        if let Some(owner) = [&opened, &named].map(Metadata::uid).into_iter().find(|owner| ![0, us].contains(owner)) {
            format!("it belongs to user {owner}, and this command runs as user {us}")
        } else if opened.mode() & OTHERS_WRITE != 0 {
            format!("others than its owner can write it (mode {:03o})", opened.mode() & 0o777)
        } else {
            return Ok(());
        };
    Err(Stop::usage(format!(
        "{} is not used: it was found through the working folder, and {why}. Nothing was sent. If it is yours, `chmod go-w` \
         it, or name it with --toolbox-file",
        path.display()
    )))
}

fn read(path: &Path, file: Reading) -> anyhow::Result<ToolboxFile> {
    let failed = || failed(path);
    let mut bytes = Vec::new();
    let limit = u64::try_from(yaml::BYTES_MAX).unwrap_or(u64::MAX) + 1;
    file.take(limit).read_to_end(&mut bytes).with_context(failed)?;
    let source = path.display().to_string();
    let text = yaml::decode(&Origin::new(source.as_str()), &bytes).map_err(|fault| Stop::usage(fault.to_string()))?;
    toolbox_file::parse(&source, text).map_err(|faults| Stop::usage(faults.to_string()).into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::context::Flags;
    use crate::exit::Exit;
    use crate::output::exit_of;

    const TWO: &str = "clusters:\n  one:\n    bootstrapServers: [a:1, b:2]\n    commandConfig: one.properties\n    \
                       clusterId: x1\n    tags: {env: prod}\n    maps: {m: {topics: '.*', brokers: [1-3]}}\n  two: {}\n";

    /// A context after reading a toolbox.yaml of this text.
    fn read_with(text: &str, arguments: &[&str]) -> (PathBuf, anyhow::Result<Context>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let mut context = Context::new(Flags::of(["--toolbox-file", path].iter().chain(arguments).copied()));
        let read = context.read_toolbox_file().map(|()| context);
        (file.path().parent().unwrap().to_owned(), read)
    }

    #[test]
    fn a_cluster_by_name_brings_its_settings_and_flags_say_more() {
        let (folder, context) = read_with(TWO, &["--cluster", "one", "--cluster-id", "flag"]);
        let context = context.unwrap();
        assert_eq!(context.flags.bootstrap_server.as_deref(), Some("a:1,b:2"));
        assert_eq!(context.flags.command_config, Some(folder.join("one.properties")));
        assert_eq!(context.flags.cluster_id.as_deref(), Some("flag"));
        assert_eq!(context.tags["env"], "prod");
        assert_eq!(context.maps.0.len(), 1);
    }

    #[test]
    fn the_only_cluster_is_taken_and_one_of_two_is_not_guessed() {
        let (_, context) = read_with("clusters: {only: {bootstrapServers: a:1}}", &[]);
        assert_eq!(context.unwrap().flags.cluster.as_deref(), Some("only"));
        let (_, context) = read_with(TWO, &[]);
        assert_eq!(context.unwrap().flags.bootstrap_server, None);
        let (_, context) = read_with("clusters: {only: {clusterId: x}}", &["--bootstrap-server", "b:2"]);
        assert_eq!(context.unwrap().flags.cluster_id, None, "another cluster's settings stay away");
        let (_, context) = read_with(TWO, &["--bootstrap-server", "b:2"]);
        let context = context.unwrap();
        assert_eq!(context.cluster_ref("x1").name.as_deref(), Some("one"), "however it is addressed");
        assert_eq!(context.cluster_ref("x2").name, None);
    }

    #[test]
    fn a_file_of_the_working_folder_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        let check = |mode: u32| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            check_owner(file.path(), file.as_file()).map_err(|stop| stop.message)
        };
        assert_eq!(check(0o644), Ok(()));
        assert_eq!(check(0o600), Ok(()));
        for mode in [0o664, 0o646, 0o666] {
            let words = check(mode).unwrap_err();
            assert!(words.contains("others than its owner can write it"), "{words}");
        }
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(file.path(), Some(1234), None).unwrap();
            assert!(check(0o644).unwrap_err().contains("belongs to user 1234"));
        }
    }

    #[test]
    fn a_wrong_name_a_broken_file_and_a_missing_file_are_bad_usage() {
        let wrong = |text: &str, arguments: &[&str]| {
            let error = read_with(text, arguments).1.err().unwrap();
            assert_eq!(exit_of(&error), Exit::Usage);
            format!("{error:#}")
        };
        assert!(wrong(TWO, &["--cluster", "onne"]).contains("did you mean `one`?"));
        assert!(wrong("clusters: [", &[]).contains(":1:"));
        let flags = Flags::of(["--toolbox-file", "/nowhere/toolbox.yaml"]);
        let error = Context::new(flags).read_toolbox_file().unwrap_err();
        assert!(error.to_string().contains("is not there"));
    }
}
