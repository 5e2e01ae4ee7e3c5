//! A proxy between us and one broker: it counts requests by their key, and can cut the connection when the answer to one
//! of a kind comes, so that the request is carried out and its answer is lost. It can also keep all requests of a kind to
//! itself, as a broker does that is cut off from its controller.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What a proxy has seen and is to do.
#[derive(Debug, Default)]
pub(crate) struct Proxy {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: BTreeMap<i16, usize>,
    cut: Option<i16>,
    swallowed: Option<i16>,
}

impl Proxy {
    /// Listens on one port and passes on to another; lives as long as the runtime.
    pub(crate) async fn start(self: &Arc<Self>, from: u16, to: u16) {
        let listener = TcpListener::bind(("127.0.0.1", from)).await.unwrap();
        let proxy = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(broker) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                tokio::spawn(Arc::clone(&proxy).pass_on(client, broker));
            }
        });
    }

    /// The next answer to a request with this key is lost, and its connection with it.
    pub(crate) fn cut_answer_to(&self, key: i16) {
        self.state.lock().unwrap().cut = Some(key);
    }

    /// Requests with this key get no answer from now on, and what comes after them on their connection is answered.
    pub(crate) fn swallow(&self, key: i16) {
        self.state.lock().unwrap().swallowed = Some(key);
    }

    /// How many requests with this key came by.
    pub(crate) fn seen(&self, key: i16) -> usize {
        self.state.lock().unwrap().seen.get(&key).copied().unwrap_or(0)
    }

    async fn pass_on(self: Arc<Self>, client: TcpStream, broker: TcpStream) {
        let (from_client, to_client) = client.into_split();
        let (from_broker, to_broker) = broker.into_split();
        // Keys of requests whose answers are due, in order.
        let due = Mutex::default();
        tokio::select! {
            _ = self.requests(from_client, to_broker, &due) => {}
            _ = self.answers(from_broker, to_client, &due) => {}
        }
    }

    async fn requests(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        due: &Mutex<Vec<i16>>,
    ) -> std::io::Result<()> {
        loop {
            let frame = read(&mut from).await?;
            let key = i16::from_be_bytes([frame[4], frame[5]]);
            {
                let mut state = self.state.lock().unwrap();
                *state.seen.entry(key).or_default() += 1;
                if state.swallowed == Some(key) {
                    continue;
                }
            }
            due.lock().unwrap().push(key);
            to.write_all(&frame).await?;
        }
    }

    async fn answers(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        due: &Mutex<Vec<i16>>,
    ) -> std::io::Result<()> {
        loop {
            let frame = read(&mut from).await?;
            let key = due.lock().unwrap().remove(0);
            let cut = self.state.lock().unwrap().cut.take_if(|cut| *cut == key);
            if cut.is_some() {
                return Ok(());
            }
            to.write_all(&frame).await?;
        }
    }
}

/// One frame, its length included.
async fn read(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let length = from.read_i32().await?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.resize(4 + usize::try_from(length).unwrap(), 0);
    from.read_exact(&mut frame[4..]).await?;
    Ok(frame)
}
