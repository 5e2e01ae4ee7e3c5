//! One connection to one broker: opened, negotiated, authenticated; it speaks in requests and answers.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::messages::SaslAuthenticateRequest;
use kafka_protocol::messages::SaslHandshakeRequest;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::HeaderVersion;
use kafka_protocol::protocol::Message;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::admission::Admission;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::keys;
use crate::clients::kafka::live::schemas::NamedApiVersionsRequest;
use crate::clients::kafka::live::shape::check_header;
use crate::clients::kafka::live::shapes::shape_of;
use crate::clients::kafka::live::versions::NAMES_SINCE;
use crate::clients::kafka::live::versions::Versions;
use crate::clients::kafka::live::wire::Broken;
use crate::clients::kafka::live::wire::Wire;
use crate::clients::kafka::live::wire::is_bad_length;
use crate::clients::kafka::live::wire::is_nonsense;
use crate::clients::kafka::sasl;
use crate::clients::kafka::sasl::SaltedPasswords;
use crate::clients::kafka::sasl::SaslAnswer;
use crate::clients::kafka::sasl::SaslExchange;
use crate::clients::kafka::settings::Settings;
use crate::clients::kafka::tls::Connector;
use crate::cluster::address::Address;

/// The biggest request that is sent: a broker's default `socket.request.max.bytes`.
const REQUEST_BYTES_MAX: usize = 100 << 20;

/// What it takes to open connections, and how many requests went over them.
#[derive(Debug)]
pub(super) struct Dialer {
    /// The settings of the cluster.
    pub(super) settings: Settings,
    /// Opens streams.
    pub(super) connector: Connector,
    /// What SCRAM has worked out once for all connections.
    pub(super) salted: Arc<SaltedPasswords>,
    /// Who logs in first.
    pub(super) admission: Arc<Admission>,
    /// Requests sent so far, over all connections.
    pub(super) requests_sent: AtomicU64,
}

impl Dialer {
    /// One that has opened nothing yet.
    pub(super) fn new(settings: Settings, connector: Connector) -> Self {
        Self {
            settings,
            connector,
            salted: Arc::default(),
            admission: Arc::default(),
            requests_sent: AtomicU64::new(0),
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// The request was not sent.
    NotSent(String),
    /// The request was sent; no answer came.
    Lost(String),
    /// The request was sent; its answer makes no sense.
    Garbled(String),
    /// No retry with this broker mends it.
    Fatal(KafkaError),
}

impl Trouble {
    /// The error of a call that is not made a second time.
    pub(super) fn into_error<C: Call>(self, address: &Address, within: Duration) -> KafkaError {
        match self {
            Self::Fatal(error) => error,
            Self::NotSent(why) => KafkaError::Unreachable { tried: vec![(address.to_string(), why)], within },
            Self::Lost(why) | Self::Garbled(why) => {
                KafkaError::AnswerLost { request: format!("{} to {address}", C::NAME), why }
            }
        }
    }
}

/// A connection that is ready for calls.
#[derive(Debug)]
pub(super) struct Connection {
    address: Address,
    dialer: Arc<Dialer>,
    wire: Wire,
    versions: Versions,
    /// When the broker would want a new authentication (KIP-368); a new connection is made before.
    expires: Option<Instant>,
    /// Whether anything but ApiVersions was answered.
    is_admitted: AtomicBool,
    /// Whether the server has shown that it is of the cluster that we mean.
    is_confirmed: AtomicBool,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    answered: Instant,
    quiet_until: Instant,
}

impl Connection {
    /// Connects, asks what the broker speaks, and proves who we are where the settings say so. `node` is whom we expect at
    /// the address, where the cluster can check that: its cluster's id and its own.
    pub(super) async fn open(
        dialer: &Arc<Dialer>,
        address: &Address,
        node: Option<(StrBytes, i32)>,
        deadline: Instant,
    ) -> Result<Self, KafkaError> {
        let opened = tokio::time::timeout_at(deadline, dialer.connector.connect(&address.host, address.port)).await;
        let stream = match opened {
            Ok(stream) => stream?,
            Err(_) => return Err(unreachable(dialer, address, "does not answer")),
        };
        let now = Instant::now();
        let mut connection = Self {
            address: address.clone(),
            dialer: Arc::clone(dialer),
            wire: Wire::start(stream, dialer.settings.response_bytes_max),
            versions: Versions::default(),
            expires: None,
            is_admitted: AtomicBool::new(false),
            is_confirmed: AtomicBool::new(false),
            pace: Mutex::new(Pace { answered: now, quiet_until: now }),
        };
        connection.negotiate(node, deadline).await?;
        if dialer.settings.security.sasl.is_some() {
            let text = address.to_string();
            let mut exchange = Exchange { connection: &connection, deadline };
            let login = sasl::authenticate(&dialer.settings, &dialer.salted, &mut exchange, &text);
            let lifetime = dialer.admission.log_in(login).await?;
            connection.expires = lifetime.map(|lifetime| Instant::now() + lifetime.mul_f64(0.85));
        }
        Ok(connection)
    }

    /// Whether it may be used for another request.
    pub(super) fn is_usable(&self) -> bool {
        self.wire.ended().is_none() && self.expires.is_none_or(|expires| Instant::now() < expires)
    }

    /// Notes that the server has named the cluster that we mean.
    pub(super) fn confirm(&self) {
        self.is_confirmed.store(true, Ordering::Relaxed);
    }

    /// Whether the server has shown that it is of the cluster that we mean: from ApiVersions 5 on it checks that itself when
    /// the connection is made, older ones name the cluster in their metadata.
    pub(super) fn is_confirmed(&self) -> bool {
        self.is_confirmed.load(Ordering::Relaxed)
    }

    /// Whether the broker answered something on this connection so lately that it is surely alive.
    pub(super) fn has_answered_within(&self, time: Duration) -> bool {
        self.pace().answered.elapsed() <= time
    }

    /// When the last answer came.
    pub(super) fn last_answer(&self) -> Instant {
        self.pace().answered
    }

    /// What the broker speaks.
    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Sends a request and waits for its answer. The request is made for the version that both sides speak.
    pub(super) async fn call<C: Call>(
        &self,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<C::Answer, Trouble> {
        let version = self.versions.pick::<C>(&self.address.to_string()).map_err(Trouble::Fatal)?;
        self.keep_quiet(deadline).await?;
        let answer = match self.exchange(&make(version), version, deadline).await {
            Ok(answer) => answer,
            Err(failure) => return Err(self.trouble(failure).await),
        };
        self.is_admitted.store(true, Ordering::Relaxed);
        let throttle = u64::try_from(C::throttle_time_ms(&answer)).unwrap_or(0);
        if throttle > 0 {
            tracing::debug!(broker = %self.address, request = C::NAME, throttle_ms = throttle, "quota exceeded");
            self.pace().quiet_until = Instant::now() + Duration::from_millis(throttle);
        }
        Ok(answer)
    }

    /// Waits as long as a quota of the broker wants; not at all if that is beyond the deadline.
    pub(super) async fn keep_quiet(&self, deadline: Instant) -> Result<(), Trouble> {
        let quiet_until = self.pace().quiet_until;
        if quiet_until > deadline {
            return Err(Trouble::NotSent(format!("{}: a quota of the broker keeps us waiting", self.address)));
        }
        tokio::time::sleep_until(quiet_until).await;
        Ok(())
    }

    async fn trouble(&self, failure: Failure) -> Trouble {
        match failure {
            Failure::Broken(Broken::NotSent(why)) => Trouble::NotSent(format!("{}: {why}", self.address)),
            Failure::Broken(Broken::Lost(why)) if is_bad_length(&why) => Trouble::Garbled(why.to_string()),
            Failure::Broken(Broken::Lost(why)) => self.lost(&why).await,
            // It was carried out, or not: nobody can read what the broker says about it.
            Failure::Garbled(why) => Trouble::Garbled(why),
            Failure::Unspeakable(error) => Trouble::Fatal(error),
        }
    }

    /// A broker answers ApiVersions to anyone; who is not admitted sees that at the first request behind it.
    async fn lost(&self, why: &io::Error) -> Trouble {
        let may_be_security = !self.is_admitted.load(Ordering::Relaxed) && why.kind() != io::ErrorKind::TimedOut;
        if may_be_security && let error @ KafkaError::Security { .. } = self.why_no_answer(why).await {
            return Trouble::Fatal(error);
        }
        Trouble::Lost(why.to_string())
    }

    async fn why_no_answer(&self, error: &io::Error) -> KafkaError {
        self.dialer.connector.why_no_answer(&self.address.host, self.address.port, error).await
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks what the broker speaks: version 3, which Kafka 2.4 has; an older one answers with an error in version 0. Where
    /// the cluster knows version 5, that: another broker at the address of the one that we mean says so.
    async fn negotiate(&mut self, node: Option<(StrBytes, i32)>, deadline: Instant) -> Result<(), KafkaError> {
        let first = if node.is_some() { NAMES_SINCE } else { 3 };
        let request = NamedApiVersionsRequest::ours(node);
        let mut answer = self.ask_versions((&request, first), deadline).await?;
        let is_named = first >= NAMES_SINCE && answer.error_code != codes::UNSUPPORTED_VERSION;
        for version in [3, 0].into_iter().filter(|version| *version < first) {
            if answer.error_code == codes::UNSUPPORTED_VERSION {
                answer = self.ask_versions((&request, version), deadline).await?;
            }
        }
        if let (codes::REBOOTSTRAP_REQUIRED, Some((cluster, node))) = (answer.error_code, &request.node) {
            let why = format!("is not broker {node} of cluster {cluster} any more");
            return Err(KafkaError::Misrouted { address: self.address.to_string(), why });
        }
        if answer.error_code != 0 {
            return Err(KafkaError::broker(answer.error_code, Some("ApiVersions failed")));
        }
        self.versions = Versions::of(&answer);
        self.is_confirmed.store(is_named, Ordering::Relaxed);
        Ok(())
    }

    async fn ask_versions(
        &self,
        (request, version): (&NamedApiVersionsRequest, i16),
        deadline: Instant,
    ) -> Result<ApiVersionsResponse, KafkaError> {
        match self.exchange(request, version, deadline).await {
            Ok(answer) => Ok(answer),
            Err(Failure::Unspeakable(error)) => Err(error),
            Err(Failure::Garbled(why)) => Err(self.no_kafka(why)),
            Err(Failure::Broken(Broken::NotSent(error) | Broken::Lost(error))) => match error.kind() {
                io::ErrorKind::TimedOut => {
                    Err(unreachable(&self.dialer, &self.address, "connects, but does not answer"))
                }
                // TLS's alert to a plaintext request is no frame of Kafka's.
                _ => match self.why_no_answer(&error).await {
                    KafkaError::Unreachable { .. } if is_nonsense(&error) => Err(self.no_kafka(error.to_string())),
                    error => Err(error),
                },
            },
        }
    }

    async fn exchange<C: Call>(&self, request: &C, version: i16, deadline: Instant) -> Result<C::Answer, Failure> {
        let correlation = self.wire.next_correlation();
        let frame = self
            .encode(request, version, correlation)
            .map_err(|error| Failure::Unspeakable(unspeakable::<C>(version, &error)))?;
        let (started, size) = (Instant::now(), frame.len());
        self.dialer.requests_sent.fetch_add(1, Ordering::Relaxed);
        let mut answer = self.wire.ask(correlation, frame, deadline).await.map_err(Failure::Broken)?;
        let answer_size = answer.len();
        let decoded = decode::<C>(&mut answer, version)
            .map_err(|error| Failure::Garbled(format!("its answer to {} v{version}: {error:#}", C::NAME)))?;
        self.pace().answered = Instant::now();
        tracing::debug!(
            broker = %self.address, request = C::NAME, version, bytes = size, answer_bytes = answer_size,
            milliseconds = started.elapsed().as_secs_f64() * 1000.0, "asked"
        );
        Ok(decoded)
    }

    fn encode<C: Call>(&self, request: &C, version: i16, correlation: i32) -> anyhow::Result<Bytes> {
        let header = RequestHeader::default()
            .with_request_api_key(C::KEY)
            .with_request_api_version(version)
            .with_correlation_id(correlation)
            .with_client_id(Some(StrBytes::from_string(self.dialer.settings.client_id.clone())));
        let header_version = C::header_version(version);
        let length = header.compute_size(header_version)? + request.compute_size(version)?;
        anyhow::ensure!(length <= REQUEST_BYTES_MAX, "{length} bytes are more than a broker takes");
        let mut frame = BytesMut::with_capacity(4 + length);
        frame.extend_from_slice(&i32::try_from(length)?.to_be_bytes());
        header.encode(&mut frame, header_version)?;
        request.encode(&mut frame, version)?;
        Ok(frame.freeze())
    }

    fn no_kafka(&self, message: String) -> KafkaError {
        KafkaError::Protocol { address: self.address.to_string(), message }
    }
}

enum Failure {
    Broken(Broken),
    Garbled(String),
    Unspeakable(KafkaError),
}

fn unspeakable<C: Call>(version: i16, error: &anyhow::Error) -> KafkaError {
    KafkaError::Settings(format!("{} can't be sent in version {version}: {error:#}", C::NAME))
}

fn decode<C: Call>(answer: &mut Bytes, version: i16) -> anyhow::Result<C::Answer> {
    let header = C::Answer::header_version(version);
    check_header(header, answer)?;
    ResponseHeader::decode(answer, header)?;
    // A broker that does not know our ApiVersions version answers in version 0, whatever was asked.
    let refused = C::KEY == keys::ApiVersions && answer.starts_with(&codes::UNSUPPORTED_VERSION.to_be_bytes());
    // The answer of the one version that the codec lacks is that of the one before.
    let version = if refused { 0 } else { version.min(C::Answer::VERSIONS.max) };
    if let Some(shape) = shape_of(C::KEY) {
        shape.check(version, answer)?;
    }
    C::Answer::decode(answer, version)
}

fn unreachable(dialer: &Dialer, address: &Address, why: &str) -> KafkaError {
    KafkaError::Unreachable { tried: vec![(address.to_string(), why.to_owned())], within: dialer.settings.timeout }
}

/// The two requests of SASL over a new connection.
struct Exchange<'a> {
    connection: &'a Connection,
    deadline: Instant,
}

impl Exchange<'_> {
    async fn call<C: Call>(&self, make: &(impl Fn(i16) -> C + Sync)) -> Result<C::Answer, KafkaError> {
        let connection = self.connection;
        connection.call(make, self.deadline).await.map_err(|trouble| match trouble {
            Trouble::Fatal(error) => error,
            Trouble::Garbled(why) => connection.no_kafka(why),
            Trouble::NotSent(why) | Trouble::Lost(why) => unreachable(&connection.dialer, &connection.address, &why),
        })
    }
}

#[async_trait]
impl SaslExchange for Exchange<'_> {
    async fn handshake(&mut self, mechanism: &str) -> Result<Result<(), Vec<String>>, KafkaError> {
        let wanted = StrBytes::from_string(mechanism.to_owned());
        let answer = self.call(&|_| SaslHandshakeRequest::default().with_mechanism(wanted.clone())).await?;
        match answer.error_code {
            0 => Ok(Ok(())),
            codes::UNSUPPORTED_SASL_MECHANISM => Ok(Err(answer.mechanisms.iter().map(ToString::to_string).collect())),
            code => Err(KafkaError::broker(code, Some("SaslHandshake failed"))),
        }
    }

    async fn authenticate(&mut self, bytes: &[u8]) -> Result<SaslAnswer, KafkaError> {
        let bytes = Bytes::copy_from_slice(bytes);
        let answer = self.call(&|_| SaslAuthenticateRequest::default().with_auth_bytes(bytes.clone())).await?;
        Ok(SaslAnswer {
            error_code: answer.error_code,
            error_message: answer.error_message.map(|text| text.to_string()).filter(|text| !text.is_empty()),
            bytes: answer.auth_bytes.to_vec(),
            session_lifetime: u64::try_from(answer.session_lifetime_ms)
                .ok()
                .filter(|lifetime| *lifetime > 0)
                .map(Duration::from_millis),
        })
    }
}
