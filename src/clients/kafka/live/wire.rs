//! One connection as a pipe of frames: requests go out one after another, answers come back in the same order.
//!
//! Several requests may be under way; their number is bounded. Two tasks do the work, one writes and one reads, so
//! that a caller who gives up never leaves half a frame behind. A pipe that failed once is never used again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::timeout_at;

/// Requests under way on one connection. Brokers serve a connection in order, so more gain nothing.
const IN_FLIGHT_MAX: usize = 8;

/// The first four bytes of what begins like another protocol (`HTTP`, a TLS alert) are a greater length.
const LENGTH_MAX: usize = 1 << 28;

/// How much room is made at once for an answer that has not come yet: its length is only what the broker says.
const ROOM_BYTES: usize = 64 << 10;

/// Why a request has no answer.
#[derive(Debug, Clone)]
pub(super) enum Broken {
    /// Nothing of it was sent.
    NotSent(Arc<io::Error>),
    /// It was sent, at least in part; no answer came.
    Lost(Arc<io::Error>),
}

/// A connection that carries frames.
#[derive(Debug)]
pub(super) struct Wire {
    outgoing: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
    correlation: AtomicI32,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    in_flight: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    ended: Option<Arc<io::Error>>,
}

#[derive(Debug)]
struct Outgoing {
    frame: Bytes,
    waiting: Waiting,
    started: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Waiting {
    correlation: i32,
    reply: oneshot::Sender<Result<Bytes, Broken>>,
    _permit: OwnedSemaphorePermit,
}

impl Wire {
    /// Takes an open stream. An answer of more bytes than the limit ends the connection.
    pub(super) fn start<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S, answer_bytes_max: usize) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let (outgoing, incoming) = mpsc::channel(IN_FLIGHT_MAX);
        let shared = Arc::new(Shared { in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)), state: Mutex::default() });
        let tasks = [
            tokio::spawn(write_frames(writer, incoming, Arc::clone(&shared))),
            tokio::spawn(read_frames(reader, Arc::clone(&shared), answer_bytes_max)),
        ];
        Self { outgoing, shared, correlation: AtomicI32::new(1), tasks }
    }

    /// A number that no other request of this connection has.
    pub(super) fn next_correlation(&self) -> i32 {
        self.correlation.fetch_add(1, Ordering::Relaxed)
    }

    /// Why this connection can't be used any more.
    pub(super) fn ended(&self) -> Option<Arc<io::Error>> {
        // Where the tasks are gone with their runtime, nobody has said that it ended.
        self.shared.state().ended.clone().or_else(|| self.outgoing.is_closed().then(|| Arc::new(hung_up())))
    }

    /// Sends a frame (its length in front) and waits for the answer (its length taken off).
    pub(super) async fn ask(&self, correlation: i32, frame: Bytes, deadline: Instant) -> Result<Bytes, Broken> {
        let in_flight = Arc::clone(&self.shared.in_flight);
        let Ok(Ok(permit)) = timeout_at(deadline, in_flight.acquire_owned()).await else {
            return Err(Broken::NotSent(Arc::new(silence())));
        };
        let (reply, mut answer) = oneshot::channel();
        let started = Arc::new(AtomicBool::new(false));
        let waiting = Waiting { correlation, reply, _permit: permit };
        if self.outgoing.send(Outgoing { frame, waiting, started: Arc::clone(&started) }).await.is_err() {
            return Err(Broken::NotSent(self.ended().unwrap_or_else(|| Arc::new(hung_up()))));
        }
        match timeout_at(deadline, &mut answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Broken::Lost(self.ended().unwrap_or_else(|| Arc::new(hung_up())))),
            Err(_) => {
                // The writer looks whether anyone waits only after it has said that it starts: one of us sees the other.
                answer.close();
                if !started.load(Ordering::SeqCst) {
                    return Err(Broken::NotSent(Arc::new(silence())));
                }
                // Answers come in order, so everything behind this one waits, too.
                self.shared.end(silence());
                Err(Broken::Lost(Arc::new(silence())))
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the connection as useless and tells all who wait.
    fn end(&self, error: io::Error) {
        let mut state = self.state();
        let error = Arc::clone(state.ended.get_or_insert_with(|| Arc::new(error)));
        for waiting in state.waiting.drain(..) {
            // Who no longer waits needs no answer.
            let _ = waiting.reply.send(Err(Broken::Lost(Arc::clone(&error))));
        }
    }

    /// Puts a request among those that wait; gives it back if the connection has ended.
    fn expect(&self, waiting: Waiting) -> Result<(), (Waiting, Arc<io::Error>)> {
        let mut state = self.state();
        if let Some(error) = &state.ended {
            return Err((waiting, Arc::clone(error)));
        }
        state.waiting.push_back(waiting);
        Ok(())
    }

    /// Hands an answer to the request that waits longest, which must be its own.
    fn deliver(&self, answer: Bytes) -> io::Result<()> {
        let Some(first) = answer.first_chunk::<4>() else { return Err(nonsense("an answer without a number")) };
        let correlation = i32::from_be_bytes(*first);
        let Some(waiting) = self.state().waiting.pop_front() else {
            return Err(nonsense("an answer that nobody asked for"));
        };
        if waiting.correlation != correlation {
            let error = nonsense(&format!("answer {correlation} where {} was due", waiting.correlation));
            let _ = waiting.reply.send(Err(Broken::Lost(Arc::new(nonsense("answers out of order")))));
            return Err(error);
        }
        let _ = waiting.reply.send(Ok(answer));
        Ok(())
    }
}

async fn write_frames<W: AsyncWrite + Unpin>(
    mut writer: W,
    mut incoming: mpsc::Receiver<Outgoing>,
    shared: Arc<Shared>,
) {
    while let Some(Outgoing { frame, waiting, started }) = incoming.recv().await {
        started.store(true, Ordering::SeqCst);
        if waiting.reply.is_closed() {
            continue;
        }
        if let Err((waiting, error)) = shared.expect(waiting) {
            let _ = waiting.reply.send(Err(Broken::NotSent(error)));
            continue;
        }
        let written = async {
            writer.write_all(&frame).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            shared.end(error);
        }
    }
}

async fn read_frames<R: AsyncRead + Unpin>(mut reader: R, shared: Arc<Shared>, bytes_max: usize) {
    let mut buffer = BytesMut::with_capacity(16 << 10);
    loop {
        let outcome = read_frame(&mut reader, &mut buffer, bytes_max).await.and_then(|answer| shared.deliver(answer));
        if let Err(error) = outcome {
            shared.end(error);
            return;
        }
    }
}

async fn read_frame<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut BytesMut,
    bytes_max: usize,
) -> io::Result<Bytes> {
    fill(reader, buffer, 4).await?;
    let length = buffer.get_i32();
    match usize::try_from(length) {
        Ok(length) if (4..=bytes_max).contains(&length) => {
            fill(reader, buffer, length).await?;
            Ok(buffer.split_to(length).freeze())
        }
        Ok(length) if (4..=LENGTH_MAX).contains(&length) => {
            Err(nonsense(&format!("a frame of {length} bytes, at most {bytes_max} are read (--response-bytes-max)")))
        }
        _ => Err(nonsense(&format!("a frame of {length} bytes"))),
    }
}

async fn fill<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut BytesMut, length: usize) -> io::Result<()> {
    while buffer.len() < length {
        // It grows with what has come.
        buffer.reserve((length - buffer.len()).min(buffer.len().max(ROOM_BYTES)));
        if reader.read_buf(buffer).await? == 0 {
            return Err(hung_up());
        }
    }
    Ok(())
}

fn hung_up() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection")
}

fn silence() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Nonsense(what.to_owned()))
}

/// Marks an error as "this is not Kafka's protocol", apart from errors of TLS that have the same kind.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Nonsense(String);

/// Whether a frame has a length that is not read: the next one will not be shorter. Answers out of order end with their
/// connection.
pub(super) fn is_bad_length(error: &io::Error) -> bool {
    let nonsense = error.get_ref().and_then(|inner| inner.downcast_ref::<Nonsense>());
    nonsense.is_some_and(|nonsense| nonsense.0.starts_with("a frame of "))
}

/// Whether the bytes that came are not Kafka's protocol.
pub(super) fn is_nonsense(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Nonsense>)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::DuplexStream;
    use tokio::io::duplex;

    use super::*;

    fn frame(correlation: i32, text: &str) -> Bytes {
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&i32::try_from(4 + text.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&correlation.to_be_bytes());
        frame.extend_from_slice(text.as_bytes());
        frame.freeze()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(100)
    }

    async fn next_request(broker: &mut DuplexStream) -> Bytes {
        read_frame(broker, &mut BytesMut::new(), 1 << 20).await.unwrap()
    }

    #[tokio::test]
    async fn several_requests_are_under_way_and_each_gets_its_answer() {
        let (near, mut far) = duplex(1 << 16);
        let wire = Wire::start(near, 1 << 20);
        let server = async {
            let mut buffer = BytesMut::new();
            for _ in 0..2 {
                read_frame(&mut far, &mut buffer, 1 << 20).await.unwrap();
            }
            far.write_all(&frame(1, "one")).await.unwrap();
            far.write_all(&frame(2, "two")).await.unwrap();
        };
        let (one, two, ()) =
            tokio::join!(wire.ask(1, frame(1, "?"), soon()), wire.ask(2, frame(2, "?"), soon()), server);
        assert_eq!((&one.unwrap()[4..], &two.unwrap()[4..]), (&b"one"[..], &b"two"[..]));
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_in_time_is_lost_and_ends_the_connection() {
        let (near, _far) = duplex(1 << 16);
        let wire = Wire::start(near, 1 << 20);
        assert!(matches!(wire.ask(1, frame(1, "?"), soon()).await, Err(Broken::Lost(_))));
        assert!(wire.ended().is_some());
        assert!(matches!(wire.ask(2, frame(2, "?"), soon()).await, Err(Broken::NotSent(_))));
    }

    #[tokio::test]
    async fn a_broker_that_hangs_up_loses_the_answer() {
        let (near, mut far) = duplex(1 << 16);
        let wire = Wire::start(near, 1 << 20);
        let (answer, ()) = tokio::join!(wire.ask(1, frame(1, "?"), soon()), async {
            next_request(&mut far).await;
            drop(far);
        });
        let Err(Broken::Lost(error)) = answer else { panic!("{answer:?}") };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_is_not_kafkas_protocol_is_refused() {
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], &frame(7, "wrong number"), &[0, 0, 0, 0], &[255; 8]] {
            let (near, mut far) = duplex(1 << 16);
            let wire = Wire::start(near, 1 << 20);
            let (answer, ()) = tokio::join!(wire.ask(1, frame(1, "?"), soon()), async {
                next_request(&mut far).await;
                far.write_all(bytes).await.unwrap();
            });
            let Err(Broken::Lost(error)) = answer else { panic!("{answer:?}") };
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_longer_than_allowed_is_refused_and_no_room_is_made_for_it() {
        for length in [(1_i32 << 20) + 1, 200 << 20] {
            let (near, mut far) = duplex(1 << 16);
            let wire = Wire::start(near, 1 << 20);
            let (answer, ()) = tokio::join!(wire.ask(1, frame(1, "?"), soon()), async {
                next_request(&mut far).await;
                far.write_all(&length.to_be_bytes()).await.unwrap();
            });
            let Err(Broken::Lost(error)) = answer else { panic!("{answer:?}") };
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains("at most 1048576 are read (--response-bytes-max)"), "{error}");
        }
        let mut buffer = BytesMut::new();
        let mut little: &[u8] = &[&(1_i32 << 20).to_be_bytes()[..], b"and then nothing"].concat();
        assert!(read_frame(&mut little, &mut buffer, 1 << 20).await.is_err());
        assert!(buffer.capacity() < 4 * ROOM_BYTES, "{}", buffer.capacity());
    }

    #[tokio::test]
    async fn more_requests_than_the_limit_wait_their_turn_and_are_not_sent() {
        let (near, _far) = duplex(1 << 16);
        let wire = Arc::new(Wire::start(near, 1 << 20));
        let late = Instant::now() + Duration::from_secs(5);
        let mut first = Vec::new();
        for number in 1..=i32::try_from(IN_FLIGHT_MAX).unwrap() {
            let wire = Arc::clone(&wire);
            first.push(tokio::spawn(async move { wire.ask(number, frame(number, "?"), late).await }));
        }
        tokio::task::yield_now().await;
        assert!(matches!(wire.ask(99, frame(99, "?"), soon()).await, Err(Broken::NotSent(_))));
        assert!(wire.ended().is_none());
        first.iter().for_each(JoinHandle::abort);
    }
}
