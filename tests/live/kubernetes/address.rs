//! A network of loopback addresses for one cluster, so that several clusters, also of other test runs, live side
//! by side on the same ports.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;

/// Networks that are tried: 127.100 to 127.250.
const NETWORKS: std::ops::RangeInclusive<u32> = 100..=250;

/// A network that is ours until this value is dropped.
#[derive(Debug)]
pub(crate) struct Network {
    prefix: String,
    _lock: File,
}

impl Network {
    /// A network that no other test run holds and where no server listens.
    pub(crate) fn free() -> Self {
        let folder = std::env::temp_dir().join("kafka-toolbox-networks");
        fs::create_dir_all(&folder).unwrap();
        let first = std::process::id() % 151;
        NETWORKS
            .map(|network| NETWORKS.start() + (network + first) % 151)
            .find_map(|network| take(&folder, &format!("127.{network}")))
            .unwrap_or_else(|| panic!("none of the loopback networks 127.100 to 127.250 is free"))
    }

    /// Where the API server, and all that runs beside it, listens. It is also the first address of the services.
    pub(crate) fn control_plane(&self) -> String {
        format!("{}.0.1", self.prefix)
    }

    /// The addresses of services.
    pub(crate) fn services(&self) -> String {
        format!("{}.0.0/24", self.prefix)
    }

    /// The address of a node, which is its name as well.
    pub(crate) fn node(&self, number: u8) -> String {
        format!("{}.1.{number}", self.prefix)
    }
}

fn take(folder: &Path, prefix: &str) -> Option<Network> {
    let lock = File::create(folder.join(prefix)).ok()?;
    lock.try_lock().ok()?;
    let is_free = |port: u16| TcpListener::bind((format!("{prefix}.0.1"), port)).is_ok();
    let free = [API_PORT_OF_ROOT, API_PORT_OF_USERS, ETCD_PORT]
        .into_iter()
        .all(|port| port == 443 && !is_root() || is_free(port));
    free.then(|| Network { prefix: prefix.to_owned(), _lock: lock })
}

const API_PORT_OF_ROOT: u16 = 443;
const API_PORT_OF_USERS: u16 = 6443;
const ETCD_PORT: u16 = 2379;

/// Pods look for the API server on port 443, which only root can open; without root there are no pods.
pub(crate) fn api_port() -> u16 {
    if is_root() { API_PORT_OF_ROOT } else { API_PORT_OF_USERS }
}

/// Whether this process may do what a node needs.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
