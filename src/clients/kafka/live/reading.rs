//! Reads: asked until they are answered or the deadline passes, of another broker where one does not answer.
//!
//! A read that takes long is asked a second time elsewhere while the first one goes on: whoever answers first, counts.
//! So a frozen broker costs a part of the deadline, and a slow one is still waited for.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::MetadataRequest;
use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Errand;
use crate::clients::kafka::live::cluster::Side;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::cluster::brokers_only;
use crate::clients::kafka::live::connection::Connection;
use crate::clients::kafka::live::connection::Trouble;
use crate::clients::kafka::live::quorum::check_described;
use crate::clients::kafka::live::quorum::controllers_only;
use crate::clients::kafka::patience::Patience;
use crate::cluster::address::Address;

/// How long one address may take to connect before the next one is tried beside it.
const CONNECTING: Duration = Duration::from_millis(300);

/// How many attempts of one read run beside each other.
const ATTEMPTS_MAX: usize = 3;

/// How long addresses that fail at once are tried again where no broker has ever answered.
const NEVER_CONNECTED: Duration = Duration::from_secs(2);

impl Cluster {
    /// Asks whom it is for; says who answered.
    pub(super) async fn read<C: Call>(
        &self,
        target: Target,
        make: impl Fn(i16) -> C + Sync,
        deadline: Instant,
    ) -> Result<(C::Answer, Address), KafkaError> {
        let since = Instant::now();
        let broker = if let Target::Broker(broker) = target { Some(broker) } else { None };
        let deadline = match self.losses() {
            Some(losses) => deadline.min(since + losses.left_of(broker, self.timeout())),
            None => deadline,
        };
        let answer = match target {
            Target::Any(preferred) => self.read_any(Errand::Own(preferred), &make, deadline).await,
            Target::Controller if self.passes_on(deadline).await? => {
                self.read_any(Errand::PassedOn, &make, deadline).await
            }
            Target::Controller | Target::Broker(_) => self.read_one(target, &make, deadline).await,
        };
        if let Err(KafkaError::Unreachable { .. } | KafkaError::TimedOut { .. }) = answer
            && let Some(losses) = self.losses()
        {
            losses.count(broker, since);
        }
        answer
    }

    /// Whether any broker passes requests on to the controller, as in KRaft.
    pub(super) async fn passes_on(&self, deadline: Instant) -> Result<bool, KafkaError> {
        if self.is_kraft().is_none() {
            self.refresh(deadline).await?;
        }
        Ok(self.side() == Side::Brokers && self.is_kraft().unwrap_or(false))
    }

    /// After this long a read is asked of a second broker, too.
    pub(super) fn slice(&self) -> Duration {
        (self.timeout() / 5).min(Duration::from_secs(2))
    }

    /// Asks any broker.
    pub(super) async fn read_any<C: Call>(
        &self,
        errand: Errand,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<(C::Answer, Address), KafkaError> {
        self.connect_any(deadline).await?;
        let mut race = Race::default();
        let mut patience = Patience::until(deadline);
        let mut running = FuturesUnordered::new();
        let mut queue = VecDeque::from(self.candidates(errand));
        loop {
            if running.len() < ATTEMPTS_MAX
                && let Some(address) = queue.pop_front()
            {
                race.asked(&address);
                running.push(async move { (self.attempt(&address, make, deadline).await, address) });
            }
            if running.is_empty() {
                if race.certain().is_some() || !patience.pause().await {
                    return Err(race.lost::<C>(errand, self.timeout()));
                }
                queue = self.candidates(errand).into();
                continue;
            }
            tokio::select! {
                Some((result, address)) = running.next() => match result {
                    Ok(answer) => {
                        if errand == Errand::PassedOn {
                            self.passed_on(&address, true);
                        }
                        return Ok((answer, address));
                    }
                    Err(trouble) => race.failed(&address, trouble)?,
                },
                () = tokio::time::sleep(self.slice()), if !queue.is_empty() && running.len() < ATTEMPTS_MAX => {
                    for address in race.waiting() {
                        self.let_rest(address);
                        if errand == Errand::PassedOn {
                            self.passed_on(address, false);
                        }
                    }
                }
                () = tokio::time::sleep_until(deadline) => return Err(race.lost::<C>(errand, self.timeout())),
            }
        }
    }

    /// Asks the controller of ZooKeeper mode, or one broker; follows it where it moves.
    async fn read_one<C: Call>(
        &self,
        target: Target,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<(C::Answer, Address), KafkaError> {
        let mut race = Race::default();
        let mut patience = Patience::until(deadline);
        let mut running = FuturesUnordered::new();
        let mut found = self.find(target, deadline).await?;
        loop {
            if let Some(address) = found.take()
                && !race.waiting().any(|waiting| *waiting == address)
            {
                race.asked(&address);
                running.push(async move { (self.attempt(&address, make, deadline).await, address) });
            }
            tokio::select! {
                Some((result, address)) = running.next() => match result {
                    Ok(answer) => return Ok((answer, address)),
                    Err(Trouble::Garbled(why)) => return Err(nonsense(&address, why)),
                    Err(trouble) => {
                        race.failed(&address, trouble)?;
                        if !patience.pause().await {
                            return Err(race.timed_out::<C>(target, self.timeout()));
                        }
                    }
                },
                () = tokio::time::sleep(self.slice()) => race.waiting().for_each(|address| self.let_rest(address)),
                () = tokio::time::sleep_until(deadline) => return Err(race.timed_out::<C>(target, self.timeout())),
            }
            self.refresh(deadline).await?;
            found = self.find(target, deadline).await?;
        }
    }

    /// Where a target is now. No address means that the cluster has no controller at this moment.
    async fn find(&self, target: Target, deadline: Instant) -> Result<Option<Address>, KafkaError> {
        let mut brokers = self.know_brokers(deadline).await?;
        let broker = match target {
            Target::Broker(broker) => broker,
            Target::Controller | Target::Any(_) => match self.controller() {
                Some(controller) => controller,
                None => return Ok(None),
            },
        };
        if !brokers.contains(&broker) {
            self.refresh(deadline).await?;
            brokers = self.brokers();
        }
        match self.address_of(broker) {
            Some(address) => Ok(Some(address)),
            None if target == Target::Controller => Ok(None),
            None => {
                let live: Vec<_> = brokers.iter().map(ToString::to_string).collect();
                let message = format!("broker {broker} is not among the live brokers {}", live.join(", "));
                Err(KafkaError::broker(codes::BROKER_NOT_AVAILABLE, Some(&message)))
            }
        }
    }

    /// Makes sure that one connection is open: tries all addresses, one shortly after the other, until one answers.
    async fn connect_any(&self, deadline: Instant) -> Result<(), KafkaError> {
        let has_open = |address: &Address| self.open_connection(address).is_some();
        if self.candidates(Errand::Own(None)).iter().any(has_open) {
            return Ok(());
        }
        let started = Instant::now();
        let give_up = if self.is_kraft().is_none() { deadline.min(started + NEVER_CONNECTED) } else { deadline };
        let mut patience = Patience::until(give_up);
        let mut race = Race::default();
        loop {
            match self.connect_round(&mut race, deadline).await {
                Ok(true) => return Ok(()),
                Ok(false) if patience.pause().await => {}
                Ok(false) => return Err(race.unreachable(started.elapsed())),
                Err(error) => return Err(error),
            }
        }
    }

    async fn connect_round(&self, race: &mut Race, deadline: Instant) -> Result<bool, KafkaError> {
        let mut queue = VecDeque::from(self.candidates(Errand::Own(None)));
        let mut running = FuturesUnordered::new();
        loop {
            if let Some(address) = queue.pop_front() {
                race.asked(&address);
                running.push(async move { (self.connection(&address, deadline).await, address) });
            }
            tokio::select! {
                next = running.next() => match next {
                    Some((Ok(_), _)) => return Ok(true),
                    Some((Err(KafkaError::Unreachable { tried, .. }), address)) => {
                        let reasons: Vec<_> = tried.into_iter().map(|(_, why)| why).collect();
                        race.failed(&address, Trouble::NotSent(reasons.join("; ")))?;
                    }
                    Some((Err(error), address)) => race.failed(&address, Trouble::Fatal(error))?,
                    None => return race.certain().map_or(Ok(false), Err),
                },
                () = tokio::time::sleep(CONNECTING), if !queue.is_empty() => {}
                () = tokio::time::sleep_until(deadline) => return race.certain().map_or(Ok(false), Err),
            }
        }
    }

    /// Asks a target, or any address, who is there, and remembers what it says. Says who answered.
    async fn ping(&self, target: Target, any: bool, deadline: Instant) -> Result<Address, KafkaError> {
        match self.side() {
            Side::Brokers => {
                let ping: fn(i16) -> MetadataRequest = brokers_only;
                let (answer, address) = self.ask_one_or_any(target, any, &ping, deadline).await?;
                self.learn(&answer, &address)?;
                Ok(address)
            }
            Side::Controllers => {
                let ping: fn(i16) -> DescribeClusterRequest = controllers_only;
                let (answer, address) = self.ask_one_or_any(target, any, &ping, deadline).await?;
                check_described(&answer, &address)?;
                self.learn_controllers(&answer, &address)?;
                Ok(address)
            }
        }
    }

    async fn ask_one_or_any<C: Call>(
        &self,
        target: Target,
        any: bool,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<(C::Answer, Address), KafkaError> {
        if any {
            self.read_any(Errand::Alive, make, deadline).await
        } else {
            self.read_one(target, make, deadline).await
        }
    }

    /// Makes sure that a target is alive, and says where it is: it answered within the last second, or is asked now.
    pub(super) async fn find_alive(&self, target: Target, deadline: Instant) -> Result<Address, KafkaError> {
        let any = match target {
            Target::Any(_) => true,
            Target::Controller => self.passes_on(deadline).await?,
            Target::Broker(_) => false,
        };
        // A broker that is gone has hung up: let the connections notice it before one is chosen.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let found =
            if any { self.candidates(Errand::Alive).into_iter().next() } else { self.find(target, deadline).await? };
        if let Some(address) = found {
            let open = self.open_connection(&address);
            let is_alive = |one: &Connection| one.is_confirmed() && one.has_answered_within(Duration::from_secs(1));
            if open.is_some_and(|connection| is_alive(&connection)) {
                return Ok(address);
            }
        }
        let address = self.ping(target, any, deadline).await?;
        if target == Target::Controller
            && !any
            && self.controller().and_then(|one| self.address_of(one)) != Some(address.clone())
        {
            // It has just moved: what it said about the new controller is fresh.
            return self.find(target, deadline).await?.ok_or_else(|| self.silent(&address));
        }
        Ok(address)
    }
}

fn nonsense(address: &Address, message: String) -> KafkaError {
    KafkaError::Protocol { address: address.to_string(), message }
}

/// Who was asked, and with which result.
#[derive(Debug, Default)]
struct Race {
    asked: BTreeMap<Address, Option<String>>,
    security: Option<KafkaError>,
}

impl Race {
    fn asked(&mut self, address: &Address) {
        self.asked.insert(address.clone(), None);
    }

    /// Addresses that have not answered yet.
    fn waiting(&self) -> impl Iterator<Item = &Address> {
        self.asked.iter().filter(|(_, why)| why.is_none()).map(|(address, _)| address)
    }

    /// Notes a failure. What no other broker would do better is an error at once.
    fn failed(&mut self, address: &Address, trouble: Trouble) -> Result<(), KafkaError> {
        let why = match trouble {
            Trouble::NotSent(why) | Trouble::Lost(why) => why,
            // Another broker may make sense; this one does not the next time, either.
            Trouble::Garbled(why) => {
                self.security.get_or_insert(nonsense(address, why.clone()));
                why
            }
            // One broker with a wrong certificate is no reason to give up; one that refuses our login is.
            Trouble::Fatal(error @ (KafkaError::Security { is_login: false, .. } | KafkaError::Protocol { .. })) => {
                let why = error.to_string();
                self.security.get_or_insert(error);
                why
            }
            Trouble::Fatal(error) => return Err(error),
        };
        self.asked.insert(address.clone(), Some(why));
        Ok(())
    }

    /// An error that no waiting mends.
    fn certain(&self) -> Option<KafkaError> {
        self.security.clone()
    }

    /// Why there is no answer. A broker that was asked to pass a request on may answer all else.
    fn lost<C: Call>(self, errand: Errand, within: Duration) -> KafkaError {
        match self.certain() {
            Some(error) => error,
            None if errand == Errand::PassedOn => self.timed_out::<C>(Target::Controller, within),
            None => self.unreachable(within),
        }
    }

    fn unreachable(&self, within: Duration) -> KafkaError {
        let silent = "does not answer".to_owned();
        let tried =
            self.asked.iter().map(|(address, why)| (address.to_string(), why.clone().unwrap_or(silent.clone())));
        let within = Duration::from_millis(u64::try_from(within.as_millis()).unwrap_or(u64::MAX).div_ceil(100) * 100);
        KafkaError::Unreachable { tried: tried.collect(), within }
    }

    fn timed_out<C: Call>(self, target: Target, after: Duration) -> KafkaError {
        if let Some(error) = self.certain() {
            return error;
        }
        let whom = match target {
            Target::Broker(broker) => format!("broker {broker}"),
            Target::Controller | Target::Any(_) => "the controller".to_owned(),
        };
        let tried: Vec<_> = self
            .asked
            .into_iter()
            .map(|(address, why)| format!("{address}: {}", why.as_deref().unwrap_or("does not answer")))
            .collect();
        let tried = if tried.is_empty() { "there is none now".to_owned() } else { tried.join("; ") };
        KafkaError::TimedOut { what: format!("{} to {whom} ({tried})", C::NAME), after }
    }
}
