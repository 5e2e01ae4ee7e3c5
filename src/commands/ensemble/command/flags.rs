//! Which ensemble or quorum: flags that several verbs have.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cluster::address::Address;
use crate::cluster::ensemble::member::ServerId;
use crate::commands::ensemble::apply::zookeeper::Wanted;
use crate::commands::ensemble::observe::servers::SERVERS_MAX;
use crate::commands::ensemble::observe::stored::Folders;
use crate::context::{Context, ControllerArgs, ZooKeeperFlags, duration};
use crate::exit::Stop;

/// Which ensemble.
#[derive(Debug, Clone, Args)]
pub(super) struct EnsembleFlags {
    /// How its servers are reached: one that answers is enough, it names the others.
    #[command(flatten)]
    pub(super) zookeeper: ZooKeeperFlags,

    /// The ensemble's name, under which its record is kept [default: that of --cluster; else the id that `ensemble adopt`
    /// gave it]
    #[arg(long = "ensemble", env = "TOOLBOX_ENSEMBLE", help_heading = "ZooKeeper", value_name = "NAME",
          value_parser = ensemble_name)]
    pub(super) name: Option<String>,
}

impl EnsembleFlags {
    /// How it is found.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { flags: &self.zookeeper, name: self.name.as_deref() }
    }
}

/// A name for objects and files.
fn ensemble_name(text: &str) -> Result<String, String> {
    const NAME_MAX: usize = 50;
    let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_edge = |c: Option<char>| c.is_some_and(|c| c != '-');
    let is_name = text.len() <= NAME_MAX && text.chars().all(is_legal);
    if !is_name || !is_edge(text.chars().next()) || !is_edge(text.chars().next_back()) {
        return Err(format!(
            "a name has lower-case letters, digits and `-` between them, {NAME_MAX} characters at most"
        ));
    }
    Ok(text.to_owned())
}

/// Most voters of an ensemble.
const VOTERS_MAX: usize = 15;

/// A number of voters: odd, and not too large.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number: &usize| !number.is_multiple_of(2) && *number <= VOTERS_MAX);
    number.ok_or_else(|| {
        format!("an odd number from 1 to {VOTERS_MAX} is expected: an even one survives no more failures")
    })
}

/// Rest between two changes: flags of the verbs that change an ensemble.
#[derive(Debug, Clone, Args)]
pub(super) struct RestArgs {
    /// How long the ensemble rests between two changes, 1s at least
    #[arg(long, env = "TOOLBOX_ENSEMBLE_REST", value_name = "DURATION", default_value = "30s", value_parser = rest)]
    pub(super) rest: Duration,
}

fn rest(text: &str) -> Result<Duration, String> {
    let rest = duration(text)?;
    if rest < Duration::from_secs(1) { Err("it must be 1s at least".to_owned()) } else { Ok(rest) }
}

/// Folders of servers that can be seen from here: flags of the verbs that look at an ensemble.
#[derive(Debug, Clone, Args)]
pub(super) struct FolderArgs {
    /// The folder of a server's zoo.cfg, where it can be seen from here; may be repeated. While a member's folder does not have the
    /// live configuration, or can't be read, no further change is made (E_CONFIG_NOT_PERSISTED)
    ///
    /// ZooKeeper answers a change as made though a member can't write its folder, and that is seen on the disk alone. In Kubernetes
    /// `probe zookeeper ready --conf-dir` in the server's pod stands for it: changes are refused while a member's pod is not ready.
    #[arg(long, env = "TOOLBOX_ENSEMBLE_CONF_DIR", value_name = "ID=FOLDER", value_delimiter = ',', value_parser = conf_dir,
          help_heading = "ZooKeeper")]
    conf_dir: Vec<ConfDir>,
}

/// The folder of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ConfDir {
    id: ServerId,
    folder: PathBuf,
}

fn conf_dir(text: &str) -> Result<ConfDir, String> {
    let (id, folder) = text.split_once('=').filter(|(_, folder)| !folder.is_empty()).ok_or("ID=FOLDER is expected")?;
    Ok(ConfDir { id: id.parse()?, folder: folder.into() })
}

impl FolderArgs {
    /// The folder of each server.
    pub(super) fn folders(&self) -> Result<Folders, Stop> {
        let mut folders = Folders::new();
        for ConfDir { id, folder } in &self.conf_dir {
            if folders.insert(*id, folder.clone()).is_some() {
                return Err(Stop::usage(format!(
                    "--conf-dir names server {id} twice: give one folder for each server"
                )));
            }
        }
        if folders.len() > SERVERS_MAX {
            return Err(Stop::usage(format!(
                "--conf-dir names {} servers, at most {SERVERS_MAX} are asked",
                folders.len()
            )));
        }
        Ok(folders)
    }

    /// Refuses folders where a quorum of controllers is asked: those keep the voters in their log.
    pub(super) fn check_none(&self) -> Result<(), Stop> {
        if self.conf_dir.is_empty() {
            return Ok(());
        }
        Err(Stop::usage("--conf-dir names folders of ZooKeeper servers: leave it out for controllers"))
    }
}

/// Which ensemble or quorum.
#[derive(Debug, Clone, Args)]
pub(super) struct WhichArgs {
    #[command(flatten)]
    pub(super) ensemble: EnsembleFlags,

    /// Controllers of a KRaft quorum, `HOST:PORT,HOST:PORT,…`, on their own listener [default: asks the brokers of
    /// --bootstrap-server]
    #[arg(long, env = "TOOLBOX_BOOTSTRAP_CONTROLLER", value_name = "CONTROLLERS")]
    bootstrap_controller: Option<String>,
}

/// What is asked, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// A ZooKeeper ensemble, by its own flags or toolbox.yaml.
    Ensemble,
    /// Controllers, or brokers, of a KRaft cluster.
    Quorum(Vec<Address>),
}

impl WhichArgs {
    /// The quorum of a KRaft cluster, where the flags do not name a ZooKeeper ensemble: its controllers, or those that its
    /// brokers name.
    pub(super) fn quorum(&self, context: &Context) -> Result<Option<ControllerArgs>, Stop> {
        let bootstrap_controller = self.bootstrap_controller.clone();
        match self.which(context) {
            Ok(Which::Ensemble) => Ok(None),
            Ok(Which::Quorum(_)) => Ok(Some(ControllerArgs { bootstrap_controller })),
            // Without an address the client properties may have one.
            Err(_) if context.flags.command_config.is_some() && bootstrap_controller.is_none() => {
                Ok(Some(ControllerArgs::default()))
            }
            Err(stop) => Err(stop),
        }
    }

    /// What the flags name.
    pub(super) fn which(&self, context: &Context) -> Result<Which, Stop> {
        let flags = &self.ensemble.zookeeper;
        let brokers = context.flags.bootstrap_server.as_deref();
        match (context.names_zookeeper(flags), &self.bootstrap_controller, brokers) {
            (_, Some(_), _) if flags.zookeeper.is_some() => Err(Stop::usage(
                "--zookeeper names an ensemble, --bootstrap-controller a KRaft quorum: give one of them",
            )),
            (_, Some(list), _) => servers("--bootstrap-controller", list).map(Which::Quorum),
            (true, ..) => Ok(Which::Ensemble),
            (.., Some(list)) => servers("--bootstrap-server", list).map(Which::Quorum),
            (false, None, None) => Err(Stop::usage(
                "which ensemble? give --zookeeper HOST:PORT, or for KRaft --bootstrap-controller or --bootstrap-server",
            )),
        }
    }
}

/// The servers of a list; `flag` names it in what is refused.
pub(super) fn servers(flag: &str, list: &str) -> Result<Vec<Address>, Stop> {
    let wrong = |server: &str| format!("{flag}: `{server}` is not HOST:PORT, as zk-0.zk:2181 or [::1]:2181");
    let read = |server: &str| Address::parse(server).ok_or_else(|| Stop::usage(wrong(server)));
    let servers = list.split(',').map(|server| read(server.trim())).collect::<Result<Vec<_>, _>>()?;
    if servers.len() > SERVERS_MAX {
        return Err(Stop::usage(format!("{flag} names {} servers, at most {SERVERS_MAX} are asked", servers.len())));
    }
    Ok(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_voters_is_odd_and_fifteen_at_most() {
        for number in [1, 3, 5, 7, 9, 11, 13, 15] {
            assert_eq!(size(&number.to_string()), Ok(number));
        }
        for wrong in ["0", "2", "4", "16", "17", "-1", "x", "", "4294967295", "99999999999999999999999"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_is_of_one_server_and_each_server_has_one() {
        let folders =
            |all: &[&str]| FolderArgs { conf_dir: all.iter().map(|it| conf_dir(it).unwrap()).collect() }.folders();
        let expected: Folders = [(ServerId(1), "/a".into()), (ServerId(2), "/b=c".into())].into();
        assert_eq!(folders(&["1=/a", "2=/b=c"]).unwrap(), expected);
        assert!(folders(&["1=/a", "1=/b"]).unwrap_err().message.contains("names server 1 twice"));
        for wrong in ["", "1", "1=", "x=/a", "=/a"] {
            assert!(conf_dir(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_of_servers_is_read_and_what_is_wrong_is_named() {
        let read = |text: &str| servers("--zookeeper", text);
        assert_eq!(read("a:2181, [::1]:2182").unwrap(), [Address::new("a", 2181), Address::new("::1", 2182)]);
        for wrong in ["", "a", "a:0", "a:b", "a:1,,b:1", "[a]:1", "a b:1", "a:70000"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read(&vec!["a:1"; SERVERS_MAX + 1].join(",")).is_err());
    }
}
