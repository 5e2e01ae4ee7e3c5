//! Which ensemble or quorum: flags that several verbs have.

use clap::Args;

use crate::commands::ensemble::observe::servers::SERVERS_MAX;
use crate::context::Context;
use crate::exit::Stop;

/// Which ensemble or quorum.
#[derive(Debug, Clone, Args)]
pub(super) struct WhichArgs {
    /// Servers of a ZooKeeper ensemble, `HOST:PORT,HOST:PORT,…`: one that answers is enough, it names the others
    ///
    /// A path behind the last one, as Kafka's `zookeeper.connect` has it, is left out.
    #[arg(long, env = "TOOLBOX_ZOOKEEPER", value_name = "SERVERS", conflicts_with = "bootstrap_controller")]
    zookeeper: Option<String>,

    /// Controllers of a KRaft quorum, `HOST:PORT,HOST:PORT,…`, on their own listener [default: asks the brokers of
    /// --bootstrap-server]
    #[arg(long, env = "TOOLBOX_BOOTSTRAP_CONTROLLER", value_name = "CONTROLLERS")]
    bootstrap_controller: Option<String>,
}

/// What is asked, and where: host, without brackets, and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// The servers of a ZooKeeper ensemble.
    Ensemble(Vec<(String, u16)>),
    /// Controllers, or brokers, of a KRaft cluster.
    Quorum(Vec<(String, u16)>),
}

impl WhichArgs {
    /// What the flags name.
    pub(super) fn which(&self, context: &Context) -> Result<Which, Stop> {
        let brokers = context.flags.bootstrap_server.as_deref();
        match (&self.zookeeper, &self.bootstrap_controller, brokers) {
            (Some(list), ..) => servers("--zookeeper", list.split('/').next().unwrap_or_default()).map(Which::Ensemble),
            (_, Some(list), _) => servers("--bootstrap-controller", list).map(Which::Quorum),
            (.., Some(list)) => servers("--bootstrap-server", list).map(Which::Quorum),
            (None, None, None) => Err(Stop::usage(
                "which ensemble? give --zookeeper HOST:PORT, or for KRaft --bootstrap-controller or --bootstrap-server",
            )),
        }
    }
}

fn servers(flag: &str, list: &str) -> Result<Vec<(String, u16)>, Stop> {
    let servers = list.split(',').map(|server| host_and_port(flag, server.trim())).collect::<Result<Vec<_>, _>>()?;
    if servers.len() > SERVERS_MAX {
        return Err(Stop::usage(format!("{flag} names {} servers, at most {SERVERS_MAX} are asked", servers.len())));
    }
    Ok(servers)
}

fn host_and_port(flag: &str, server: &str) -> Result<(String, u16), Stop> {
    let wrong = || Stop::usage(format!("{flag}: `{server}` is not HOST:PORT, as zk-0.zk:2181 or [::1]:2181"));
    let (host, port) = server.rsplit_once(':').ok_or_else(wrong)?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    let host = match inner {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
        None if is_name(host) => host,
        _ => return Err(wrong()),
    };
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_servers_is_read_and_what_is_wrong_is_named() {
        let read = |text: &str| servers("--zookeeper", text);
        assert_eq!(read("a:2181, [::1]:2182").unwrap(), [("a".to_owned(), 2181), ("::1".to_owned(), 2182)]);
        for wrong in ["", "a", "a:0", "a:b", "a:1,,b:1", "[a]:1", "a b:1", "a:70000"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read(&vec!["a:1"; SERVERS_MAX + 1].join(",")).is_err());
    }
}
