//! Free ports on loopback: reserved across processes by a file lock for as long as the cluster lives.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, bail};

/// Below the range from which the kernel takes ports for outgoing connections.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

const TRIES: usize = 2_000;

/// A port that no other cluster of this machine gets while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    /// The number.
    pub(crate) number: u16,
    _reserved: File,
}

/// Reserves so many ports, different from each other.
pub(crate) fn reserve(count: usize) -> anyhow::Result<Vec<Port>> {
    let folder = std::env::temp_dir().join("kafka-toolbox-ports");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let mut ports = Vec::with_capacity(count);
    for _ in 0..TRIES {
        if ports.len() == count {
            return Ok(ports);
        }
        let number = RANGE.start + u16::try_from(random() % u64::try_from(RANGE.len())?)?;
        let path = folder.join(number.to_string());
        let file = File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
            ports.push(Port { number, _reserved: file });
        }
    }
    bail!("found no {count} free ports between {} and {} in {TRIES} tries", RANGE.start, RANGE.end)
}

/// Random enough for names and ports.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
