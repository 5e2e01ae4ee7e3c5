//! What stands between each broker and ZooKeeper, and can cut one broker off: it then keeps serving clients while the
//! controller believes it to be dead.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::ports::{Port, reserve};

/// One port a broker, each leading to ZooKeeper. Clones are the same relay.
#[derive(Debug, Clone)]
pub(crate) struct Relay(Arc<State>);

#[derive(Debug)]
struct State {
    ports: BTreeMap<i32, Port>,
    links: Mutex<Links>,
}

#[derive(Debug, Default)]
struct Links {
    /// ZooKeeper's port, once it is known.
    target: Option<u16>,
    /// Connections by broker.
    open: BTreeMap<i32, Vec<TcpStream>>,
    cut: Vec<i32>,
}

impl Relay {
    /// Listens for these brokers.
    pub(crate) fn start(ids: &[i32]) -> anyhow::Result<Self> {
        let ports = ids.iter().copied().zip(reserve(ids.len())?).collect();
        let relay = Self(Arc::new(State { ports, links: Mutex::default() }));
        for (id, port) in &relay.0.ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number)).context("failed to listen")?;
            let (id, relay) = (*id, relay.clone());
            thread::spawn(move || listener.incoming().flatten().for_each(|client| drop(relay.link(id, &client))));
        }
        Ok(relay)
    }

    /// Where one broker finds ZooKeeper.
    pub(super) fn port(&self, id: i32) -> Option<u16> {
        self.0.ports.get(&id).map(|port| port.number)
    }

    /// Says where ZooKeeper listens.
    pub(super) fn lead_to(&self, port: u16) {
        self.links().target = Some(port);
    }

    /// Cuts one broker off for good.
    pub(crate) fn cut(&self, id: i32) {
        let mut links = self.links();
        links.cut.push(id);
        for stream in links.open.remove(&id).unwrap_or_default() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.0.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, id: i32, client: &TcpStream) -> io::Result<()> {
        let mut links = self.links();
        let Some(target) = links.target.filter(|_| !links.cut.contains(&id)) else {
            return client.shutdown(Shutdown::Both);
        };
        let server = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, target).into(), Duration::from_secs(5))?;
        links.open.entry(id).or_default().extend([client.try_clone()?, server.try_clone()?]);
        for (from, to) in [(client, &server), (&server, client)] {
            let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        Ok(())
    }
}
