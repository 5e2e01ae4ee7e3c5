//! Finds `toolbox.yaml` and takes the chosen cluster's settings from it. A flag says more than the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::context::Context;
use crate::exit::Stop;
use crate::formats::suggest::nearest;
use crate::formats::toolbox_file::{self, Cluster, ToolboxFile};
use crate::formats::yaml;
use crate::formats::yaml::Origin;

/// Where the file is looked for, in this order, when no flag names it.
const PLACES: [&str; 2] = ["toolbox.yaml", "/etc/toolbox/toolbox.yaml"];

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
            self.named_clusters = read(&path).map(|file| names_by_id(&file)).unwrap_or_default();
            return Ok(());
        }
        let mut file = read(&path)?;
        let Some(name) = self.choose(&path, &file)? else { return Ok(()) };
        let cluster = file.clusters.remove(&name).unwrap_or_default();
        self.take(&path, name, cluster);
        Ok(())
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

    fn take(&mut self, path: &Path, name: String, cluster: Cluster) {
        let Cluster { bootstrap_servers, command_config, cluster_id, tags, maps } = cluster;
        let flags = &mut self.flags;
        let folder = path.parent().unwrap_or(Path::new(""));
        flags.bootstrap_server = flags.bootstrap_server.take().or(bootstrap_servers);
        flags.command_config = flags.command_config.take().or_else(|| command_config.map(|config| folder.join(config)));
        flags.cluster_id = flags.cluster_id.take().or(cluster_id);
        flags.cluster = Some(name);
        self.tags = tags;
        self.maps = maps;
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

fn read(path: &Path) -> anyhow::Result<ToolboxFile> {
    let failed = || format!("failed to read {}", path.display());
    let mut bytes = Vec::new();
    let limit = u64::try_from(yaml::BYTES_MAX).unwrap_or(u64::MAX) + 1;
    File::open(path).with_context(failed)?.take(limit).read_to_end(&mut bytes).with_context(failed)?;
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
