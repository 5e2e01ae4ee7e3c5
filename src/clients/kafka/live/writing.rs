//! Writes: cut into requests that the brokers take, sent to a broker that is alive, never sent twice.
//!
//! What certainly did nothing is sent again: a connection that failed before the request was sent, NOT_CONTROLLER, a
//! mutation quota. Everything else that has no clear answer ends in [`KafkaError::AnswerLost`]. Right before each attempt
//! the client's [`WriteGate`] is asked; where it is closed, nothing is sent.
//!
//! [`WriteGate`]: crate::clients::kafka::gate::WriteGate

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::clients::kafka::KafkaError;
use crate::clients::kafka::Mode;
use crate::clients::kafka::codes;
use crate::clients::kafka::live::calls::Call;
use crate::clients::kafka::live::cluster::Cluster;
use crate::clients::kafka::live::cluster::Target;
use crate::clients::kafka::live::connection::Trouble;
use crate::clients::kafka::patience::Patience;
use crate::cluster::records::RECORDS_MAX;

/// The same in ZooKeeper mode: each partition takes the controller some 11 ms, and its answer has a deadline.
const ZOOKEEPER_RECORDS_MAX: usize = 200;

/// How often a mutation quota may send everything back before we give up.
const STALLS_MAX: usize = 20;

/// The longest that a throttle time is believed.
const THROTTLE_MAX: Duration = Duration::from_mins(1);

/// Items of one kind, to be written.
pub(super) trait Batch: Sync {
    /// The request that carries them.
    type Request: Call;

    /// How many there are.
    fn len(&self) -> usize;

    /// What the answer calls an item.
    fn key(&self, item: usize) -> String;

    /// How many records an item becomes in the controller's log.
    fn records(&self, item: usize) -> usize;

    /// Whom to ask.
    fn target(&self) -> Target {
        Target::Controller
    }

    /// Whether it is carried out.
    fn mode(&self) -> Mode;

    /// The request for some of the items.
    fn request(&self, items: &[usize], version: i16, timeout_ms: i32) -> Self::Request;

    /// The broker's code and words for each item, by key.
    fn outcomes(&self, answer: <Self::Request as Call>::Answer) -> BTreeMap<String, (i16, Option<String>)>;
}

/// One result an item, in the order of the items.
pub(super) type Results = Vec<Result<(), KafkaError>>;

impl Cluster {
    /// Writes all items.
    pub(super) async fn write_all<B: Batch>(&self, batch: &B) -> Results {
        let count = batch.len();
        if count == 0 {
            return Vec::new();
        }
        // What is read after this is another look at the cluster.
        if let Some(losses) = self.losses() {
            losses.forget();
        }
        let kraft = match self.passes_on(self.deadline()).await {
            Ok(kraft) => kraft,
            Err(error) => return vec![Err(error); count],
        };
        let records_max = if kraft { RECORDS_MAX } else { ZOOKEEPER_RECORDS_MAX };
        let mut results: Vec<Option<Result<(), KafkaError>>> = vec![None; count];
        for items in cut(batch, records_max) {
            if let Some(error) = self.write_some(batch, items, &mut results).await {
                // No broker can be asked any more: what was not sent yet shares the reason.
                return results.into_iter().map(|result| result.unwrap_or(Err(error.clone()))).collect();
            }
        }
        let unanswered = KafkaError::Settings(format!("{}: an item was left out", B::Request::NAME));
        results.into_iter().map(|result| result.unwrap_or(Err(unanswered.clone()))).collect()
    }

    /// Writes some items with one request, and again those that did nothing. Says why no further request makes sense.
    async fn write_some<B: Batch>(
        &self,
        batch: &B,
        mut items: Vec<usize>,
        results: &mut [Option<Result<(), KafkaError>>],
    ) -> Option<KafkaError> {
        let mut patience = Patience::until(self.deadline());
        let mut stalls = 0;
        while !items.is_empty() {
            let answer = match self.write_once(batch, &items).await {
                Ok(answer) => answer,
                Err(error) => {
                    for item in &items {
                        results[*item] = Some(Err(error.clone()));
                    }
                    return (!matches!(error, KafkaError::AnswerLost { .. } | KafkaError::Broker { .. }))
                        .then_some(error);
                }
            };
            let throttle_ms = B::Request::throttle_time_ms(&answer);
            let mut outcomes = batch.outcomes(answer);
            let mut again = Vec::new();
            let mut throttled = false;
            for item in &items {
                let next = judge::<B>(batch, outcomes.remove(&batch.key(*item)));
                throttled |= matches!(next, Next::Throttled(_));
                results[*item] = Some(match next {
                    Next::Done(result) => result,
                    Next::Moved(error) | Next::Throttled(error) => {
                        again.push(*item);
                        Err(error)
                    }
                });
            }
            if again.len() < items.len() {
                (stalls, patience) = (0, Patience::until(self.deadline()));
            }
            items = again;
            if items.is_empty() {
                break;
            }
            if throttled && stalls < STALLS_MAX {
                stalls += 1;
                let throttle = Duration::from_millis(u64::try_from(throttle_ms).unwrap_or(0).max(100));
                tracing::info!(left = items.len(), ?throttle, "a quota of the cluster slows {} down", B::Request::NAME);
                tokio::time::sleep(throttle.min(THROTTLE_MAX)).await;
            } else if throttled || !patience.pause().await || self.refresh(self.deadline()).await.is_err() {
                break;
            }
        }
        None
    }

    async fn write_once<B: Batch>(
        &self,
        batch: &B,
        items: &[usize],
    ) -> Result<<B::Request as Call>::Answer, KafkaError> {
        // The broker gives up a little before we do, so that its last word still reaches us.
        let timeout_ms = i32::try_from(self.timeout().mul_f64(0.9).as_millis()).unwrap_or(i32::MAX);
        let make = |version| batch.request(items, version, timeout_ms);
        let deadline = self.deadline();
        match batch.mode() {
            Mode::Apply => self.write(batch.target(), &make, deadline).await,
            Mode::Validate => self.read(batch.target(), make, deadline).await.map(|(answer, _)| answer),
        }
    }

    /// Sends a write once, to a broker that is alive. Goes on looking for one until the deadline.
    async fn write<C: Call>(
        &self,
        target: Target,
        make: &(impl Fn(i16) -> C + Sync),
        deadline: Instant,
    ) -> Result<C::Answer, KafkaError> {
        let mut patience = Patience::until(deadline);
        loop {
            let address = self.find_alive(target, deadline).await?;
            let why = match self.attempt_write(&address, make, deadline).await {
                Ok(answer) => {
                    self.passed_on(&address, true);
                    return Ok(answer);
                }
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::NotSent(why)) => why,
                Err(Trouble::Lost(why) | Trouble::Garbled(why)) => {
                    self.let_rest(&address);
                    self.passed_on(&address, false);
                    return Err(KafkaError::AnswerLost { request: format!("{} to {address}", C::NAME), why });
                }
            };
            if !patience.pause().await {
                return Err(KafkaError::TimedOut { what: format!("{} ({why})", C::NAME), after: self.timeout() });
            }
        }
    }
}

enum Next {
    /// It is done, or can't be.
    Done(Result<(), KafkaError>),
    /// It did nothing: the controller is elsewhere.
    Moved(KafkaError),
    /// It did nothing: a quota.
    Throttled(KafkaError),
}

fn judge<B: Batch>(batch: &B, outcome: Option<(i16, Option<String>)>) -> Next {
    let Some((code, message)) = outcome else {
        return Next::Done(Err(KafkaError::AnswerLost {
            request: B::Request::NAME.to_owned(),
            why: "the broker's answer does not name it".to_owned(),
        }));
    };
    let error = KafkaError::broker(code, message.as_deref());
    match code {
        0 => Next::Done(Ok(())),
        codes::NOT_CONTROLLER => Next::Moved(error),
        codes::THROTTLING_QUOTA_EXCEEDED => Next::Throttled(error),
        code if codes::leaves_result_unknown(code) && batch.mode() == Mode::Validate => Next::Moved(error),
        // The broker stopped waiting; the controller may still do it.
        code if codes::leaves_result_unknown(code) => {
            Next::Done(Err(KafkaError::AnswerLost { request: B::Request::NAME.to_owned(), why: error.to_string() }))
        }
        _ => Next::Done(Err(error)),
    }
}

/// Cuts items, in their order, into requests of at most so many records. No request names one thing twice.
fn cut<B: Batch>(batch: &B, records_max: usize) -> Vec<Vec<usize>> {
    let mut requests: Vec<Vec<usize>> = Vec::new();
    let mut records = 0;
    let mut keys = BTreeSet::new();
    for item in 0..batch.len() {
        let (key, weight) = (batch.key(item), batch.records(item));
        if records + weight > records_max || keys.contains(&key) || requests.is_empty() {
            requests.push(Vec::new());
            (records, keys) = (0, BTreeSet::new());
        }
        records += weight;
        keys.insert(key);
        if let Some(request) = requests.last_mut() {
            request.push(item);
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::DeleteTopicsRequest;
    use kafka_protocol::messages::DeleteTopicsResponse;

    use super::*;

    struct Weights(Vec<(&'static str, usize)>);

    impl Batch for Weights {
        type Request = DeleteTopicsRequest;

        fn len(&self) -> usize {
            self.0.len()
        }

        fn key(&self, item: usize) -> String {
            self.0[item].0.to_owned()
        }

        fn records(&self, item: usize) -> usize {
            self.0[item].1
        }

        fn mode(&self) -> Mode {
            Mode::Apply
        }

        fn request(&self, _items: &[usize], _version: i16, _timeout_ms: i32) -> DeleteTopicsRequest {
            DeleteTopicsRequest::default()
        }

        fn outcomes(&self, _answer: DeleteTopicsResponse) -> BTreeMap<String, (i16, Option<String>)> {
            BTreeMap::new()
        }
    }

    #[test]
    fn requests_are_cut_by_records_and_name_nothing_twice() {
        let cut = |weights: &[(&'static str, usize)]| cut(&Weights(weights.to_vec()), 10);
        assert_eq!(cut(&[]), [[0; 0]; 0]);
        assert_eq!(cut(&[("a", 3), ("b", 3), ("c", 4)]), [vec![0, 1, 2]]);
        assert_eq!(cut(&[("a", 3), ("b", 3), ("c", 5)]), [vec![0, 1], vec![2]]);
        assert_eq!(cut(&[("a", 99), ("b", 1)]), [vec![0], vec![1]]);
        assert_eq!(cut(&[("a", 1), ("a", 1), ("b", 1)]), [vec![0], vec![1, 2]]);
    }

    #[test]
    fn only_what_certainly_did_nothing_is_sent_again() {
        let batch = Weights(vec![("a", 1)]);
        let next = |code| judge(&batch, Some((code, None)));
        assert!(matches!(next(0), Next::Done(Ok(()))));
        assert!(matches!(next(codes::NOT_CONTROLLER), Next::Moved(_)));
        assert!(matches!(next(codes::THROTTLING_QUOTA_EXCEEDED), Next::Throttled(_)));
        assert!(matches!(next(codes::REQUEST_TIMED_OUT), Next::Done(Err(KafkaError::AnswerLost { .. }))));
        assert!(matches!(next(codes::TOPIC_ALREADY_EXISTS), Next::Done(Err(KafkaError::Broker { .. }))));
        assert!(matches!(judge(&batch, None), Next::Done(Err(KafkaError::AnswerLost { .. }))));
    }
}
