//! Stands between clients and brokers and counts the requests that pass, by their name.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use kafka_protocol::messages::ApiKey;

use crate::kafka::Cluster;

/// Requests by name, and how many there were of each.
pub(crate) type Requests = BTreeMap<String, u32>;

/// Counts whatever goes through one listener of a cluster.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<Mutex<Requests>>);

impl Counter {
    /// Listens where the cluster's proxied listener says it does, and passes everything on to where it really is.
    pub(crate) fn between(cluster: &Cluster, listener: &str) -> anyhow::Result<Self> {
        let counter = Self::default();
        for ports in cluster.ports_of(listener) {
            let door = TcpListener::bind(("127.0.0.1", ports.advertised)).context("failed to stand between")?;
            let counter = counter.clone();
            // Ends with the process, as its callers do.
            std::thread::spawn(move || {
                door.incoming().flatten().for_each(|client| counter.pass(client, ports.real));
            });
        }
        Ok(counter)
    }

    /// What was counted since the last call.
    pub(crate) fn take(&self) -> Requests {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn pass(&self, client: TcpStream, port: u16) {
        // A broker that is gone looks gone to the client, too.
        let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let (Ok(mut from_broker), Ok(mut to_client)) = (broker.try_clone(), client.try_clone()) else { return };
        std::thread::spawn(move || {
            // Either side may hang up at any time; the other then learns it by the shutdown.
            let _ = std::io::copy(&mut from_broker, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let counter = self.clone();
        std::thread::spawn(move || {
            let _ = counter.requests(&client, &broker);
            let _ = broker.shutdown(Shutdown::Both);
        });
    }

    fn requests(&self, mut client: &TcpStream, mut broker: &TcpStream) -> anyhow::Result<()> {
        loop {
            let mut length = [0; 4];
            client.read_exact(&mut length)?;
            let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length))?];
            client.read_exact(&mut frame)?;
            if let [high, low, ..] = frame[..] {
                let key = i16::from_be_bytes([high, low]);
                let name = ApiKey::try_from(key).map_or_else(|()| key.to_string(), |key| format!("{key:?}"));
                *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
            }
            broker.write_all(&[&length[..], &frame].concat())?;
        }
    }
}
