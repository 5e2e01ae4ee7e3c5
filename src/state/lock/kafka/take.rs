//! Taking the lock: who holds it is asked first, then the group is joined; who is its leader holds it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::clients::kafka::Kafka;
use crate::clients::kafka::KafkaError;
use crate::clients::kafka::codes;
use crate::clients::kafka::lock_group::Join;
use crate::clients::kafka::lock_group::Joined;
use crate::clients::kafka::lock_group::Joining;
use crate::clients::kafka::lock_group::LOCK_PROTOCOL_TYPE;
use crate::clients::kafka::lock_group::LockGroup;
use crate::clients::kafka::lock_group::LockGroupState;
use crate::clients::kafka::lock_group::LockGroups;
use crate::clients::kafka::lock_group::LockMember;
use crate::clients::kafka::lock_group::Membership;
use crate::cluster::broker::BrokerId;
use crate::cluster::metadata::TopicSelection;
use crate::cluster::topic::TopicName;
use crate::state::clock::BootClock;
use crate::state::lock::kafka::Held;
use crate::state::lock::kafka::Holder;
use crate::state::lock::kafka::LockError;
use crate::state::lock::kafka::Member;
use crate::state::lock::kafka::held::Shared;
use crate::state::lock::kafka::member::plain;
use crate::state::lock::kafka::renew;
use crate::state::lock::kafka::renew::Renewer;

/// The internal topic in which Kafka keeps groups.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The coordinator removes a member that it has not heard for so long, unless the brokers' limits want another time.
const SESSION: Duration = Duration::from_secs(15);

/// The margin is this part of the session: 5 s of 15 s. It covers a write on its way to the broker, clocks that run at
/// different speeds, and the time in which a broker may still name the former coordinator.
const MARGIN_SHARE: u32 = 3;

/// A predecessor that was just killed vanishes when its session ends, and its coordinator looks at its timers.
const PREDECESSOR_EXTRA: Duration = Duration::from_secs(3);

/// How often a group is looked at again.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(250);

/// How long members may join and leave before we give up: a session and a rebalance that begins right at its end.
const SETTLED_WITHIN: Duration = Duration::from_secs(35);

/// How long a coordinator may be missing: elections, and the creation of the offsets topic, take some seconds.
const COORDINATOR_WITHIN: Duration = Duration::from_secs(20);

/// Longest single question.
const CALL_MAX: Duration = Duration::from_secs(5);

/// Most requests to join in one attempt: the first one gets an id, others follow a rebalance or a coordinator that moves.
const JOINS_MAX: usize = 8;

/// What the leader assigns to itself, so that others can tell it from members that are about to leave.
const HOLDER_MARK: &[u8] = b"holder";

/// What to take, and for whom.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The group: `toolbox-lock-moves`, `toolbox-lock-throttle`.
    pub group: String,
    /// Who takes it.
    pub member: Member,
    /// The id of a member that is known to be dead, as a file that its process had locked shows. Where it is still in the
    /// group, it is removed from it.
    pub known_dead: Option<String>,
    /// Time, sleep included: [`boot_clock`](crate::state::clock::boot_clock).
    pub clock: BootClock,
}

/// Takes the lock, or says why not; nothing was changed then. What a person should know meanwhile goes to `say`: that the
/// offsets topic was created, that a predecessor is waited for.
///
/// A live holder elsewhere is a refusal at once. One whose record is in the same place may have been killed a moment ago:
/// it is waited for until its session has certainly ended. Into an empty group a join takes
/// `group.initial.rebalance.delay.ms` (3 s by default): a run that finds nothing to do should take no lock.
pub async fn take(kafka: &Arc<dyn Kafka>, claim: Claim, say: &(dyn Fn(&str) + Sync)) -> Result<Held, LockError> {
    // Where the thread can't be started, which a machine without memory may do, the session ends by itself.
    let failed = |error| LockError::of(&claim.group, settings(&format!("the renewals could not be started: {error}")));
    renew::spawn(Box::pin(acquire(kafka, &claim, say)).await?).map_err(failed)
}

/// Takes the lock, and gives what is to renew it from now on.
pub(super) async fn acquire(
    kafka: &Arc<dyn Kafka>,
    claim: &Claim,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Renewer, LockError> {
    let metadata = claim.member.encode().map_err(|error| LockError::of(&claim.group, settings(&error.to_string())))?;
    let had_topic = has_offsets_topic(&**kafka).await;
    let groups = kafka.lock_groups();
    let mut taking = Taking { groups: &*groups, claim, metadata, at: BrokerId(-1), session: SESSION, say };
    taking.find_coordinator().await?;
    if !had_topic {
        say(&format!("the lock needs the internal topic `{OFFSETS_TOPIC}`, which the cluster has just created"));
    }
    let (joined, synced) = taking.win().await?;
    let membership = joined.membership;
    let trusted_for = trusted_for(taking.session);
    let shared = Arc::new(Shared::new(&membership, claim.clock, trusted_for, synced));
    let join = taking.join(Some(membership.member_id.clone()));
    let (at, clock) = (Some(taking.at), claim.clock);
    Ok(Renewer { groups: kafka.lock_groups(), shared, clock, at, join, membership, must_rejoin: false })
}

/// Who holds the lock now, without taking it or creating anything. Where the coordinator can't be asked within a short
/// time, that is an error: somebody may hold it.
pub async fn holder(kafka: &Arc<dyn Kafka>, group: &str) -> Result<Option<Holder>, LockError> {
    if !has_offsets_topic(&**kafka).await {
        return Ok(None);
    }
    let groups = kafka.lock_groups();
    let failed = |error| LockError::of(group, error);
    let deadline = Instant::now() + CALL_MAX;
    let (mut seen, mut failure) = (None, None);
    while Instant::now() < deadline {
        let described = async {
            let at = groups.coordinator(group, CALL_MAX).await?;
            groups.describe_lock(at, group, CALL_MAX).await
        };
        match described.await {
            Ok(found) if found.state == LockGroupState::Free || found.protocol_type != LOCK_PROTOCOL_TYPE => {
                return Ok(None);
            }
            Ok(found) => {
                (seen, failure) = (holder_of(&found).map(Holder::of), None);
                if found.state == LockGroupState::Stable {
                    break;
                }
            }
            Err(error) if may_be_elsewhere(&error) => failure = Some(error),
            Err(error) => return Err(failed(error)),
        }
        sleep(LOOKED_AT_EVERY).await;
    }
    match (seen, failure) {
        (None, Some(error)) => Err(failed(error)),
        (seen, _) => Ok(seen),
    }
}

/// How long a renewal counts, from its sending.
fn trusted_for(session: Duration) -> Duration {
    session.saturating_sub(session / MARGIN_SHARE)
}

fn settings(why: &str) -> KafkaError {
    KafkaError::Settings(why.to_owned())
}

/// Whether the topic of groups is there. Where that can't be seen, nothing is said about it. Kafka 2.4 creates it when it
/// is asked for by name; then it is there.
async fn has_offsets_topic(kafka: &dyn Kafka) -> bool {
    let Ok(name) = TopicName::new(OFFSETS_TOPIC) else { return true };
    match kafka.metadata(TopicSelection::Named(std::slice::from_ref(&name))).await {
        Ok(metadata) => metadata.topics.get(&name).is_some_and(|topic| !topic.partitions.is_empty()),
        Err(_) => true,
    }
}

/// What the leader assigns: the mark to itself, nothing to others.
pub(super) fn assignments(joined: &Joined) -> BTreeMap<String, Bytes> {
    let mark = |member: &String| if *member == joined.leader { Bytes::from_static(HOLDER_MARK) } else { Bytes::new() };
    joined.members.iter().map(|member| (member.clone(), mark(member))).collect()
}

/// The member that holds the lock: the one with the leader's mark. Where none has it, any member counts as the holder.
fn holder_of(group: &LockGroup) -> Option<&LockMember> {
    let marked = group.members.iter().find(|member| member.assignment == HOLDER_MARK);
    marked.or_else(|| group.members.first())
}

/// Whether a call should be made again after the coordinator was looked for.
pub(super) fn is_elsewhere(error: &KafkaError) -> bool {
    let codes = [codes::COORDINATOR_LOAD_IN_PROGRESS, codes::COORDINATOR_NOT_AVAILABLE, codes::NOT_COORDINATOR];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// One that is about to take a lock.
struct Taking<'a> {
    groups: &'a dyn LockGroups,
    claim: &'a Claim,
    metadata: Bytes,
    at: BrokerId,
    session: Duration,
    say: &'a (dyn Fn(&str) + Sync),
}

/// The result of one attempt to join.
enum Attempt {
    /// This member is the leader; the last request was sent at this time.
    Won(Joined, Duration),
    /// Another one is.
    Beaten,
}

/// Until when to wait for what, from the first time that it was seen.
#[derive(Debug, Default)]
struct Limits {
    settled: Option<Instant>,
    predecessor: Option<Instant>,
}

impl Taking<'_> {
    /// Looks and joins until this member is the leader, or somebody else is.
    async fn win(&mut self) -> Result<(Joined, Duration), LockError> {
        let mut limits = Limits::default();
        loop {
            if !self.is_free(&mut limits).await? {
                sleep(LOOKED_AT_EVERY).await;
                continue;
            }
            if let Attempt::Won(joined, sent) = self.attempt().await? {
                self.confirm(&joined.membership, sent).await?;
                return Ok((joined, sent));
            }
            // The next look shows who was faster. It ends by itself: each wait in it has a limit.
            if Instant::now() >= *limits.settled.get_or_insert_with(|| Instant::now() + SETTLED_WITHIN) {
                return Err(self.unsettled());
            }
        }
    }

    /// Whether the group may be joined now; an error if another one holds the lock.
    async fn is_free(&mut self, limits: &mut Limits) -> Result<bool, LockError> {
        let found = self.described().await?;
        if !found.members.is_empty() && !["", LOCK_PROTOCOL_TYPE].contains(&found.protocol_type.as_str()) {
            let why = format!(
                "a group of this name is used by something else, with protocol type `{}`",
                plain(&found.protocol_type)
            );
            return Err(LockError::Unavailable { group: self.claim.group.clone(), why });
        }
        if let Some(dead) = &self.claim.known_dead
            && found.members.iter().any(|member| member.member_id == *dead)
        {
            tracing::info!(group = self.claim.group, member = dead, "removed a member that is known to be dead");
            self.leave(dead).await;
            let limit = *limits.settled.get_or_insert_with(|| Instant::now() + SETTLED_WITHIN);
            return if Instant::now() < limit { Ok(false) } else { Err(self.unsettled()) };
        }
        let Some(member) = holder_of(&found).filter(|_| found.state != LockGroupState::Free) else { return Ok(true) };
        let holder = Holder::of(member);
        let is_settled = found.state == LockGroupState::Stable;
        let limit = if is_settled {
            let is_here = holder.member.as_ref().is_some_and(|member| member.place == self.claim.member.place);
            is_here.then(|| self.predecessor(&holder, limits))
        } else {
            Some(*limits.settled.get_or_insert_with(|| Instant::now() + SETTLED_WITHIN))
        };
        if limit.is_some_and(|limit| Instant::now() < limit) {
            return Ok(false);
        }
        Err(LockError::Held { group: self.claim.group.clone(), holder: Box::new(holder) })
    }

    /// Until when a holder of the same place is waited for.
    fn predecessor(&self, holder: &Holder, limits: &mut Limits) -> Instant {
        *limits.predecessor.get_or_insert_with(|| {
            let longest = self.session + PREDECESSOR_EXTRA;
            let (group, seconds) = (&self.claim.group, longest.as_secs());
            (self.say)(&format!(
                "the lock `{group}` is held by {holder}; it may have ended just now: waiting {seconds} s at most"
            ));
            Instant::now() + longest
        })
    }

    fn unsettled(&self) -> LockError {
        LockError::Unsettled { group: self.claim.group.clone(), seconds: SETTLED_WITHIN.as_secs() }
    }

    fn failed(&self, error: KafkaError) -> LockError {
        LockError::of(&self.claim.group, error)
    }

    /// Asks who coordinates the group, for as long as an election or the creation of the offsets topic may take. One
    /// broker's word may be old, above all that of a coordinator that is cut off: two have to agree. Where only one
    /// answers, its word is taken; the confirmation after the join has no such mercy.
    async fn find_coordinator(&mut self) -> Result<(), LockError> {
        let deadline = Instant::now() + COORDINATOR_WITHIN;
        let mut named = None;
        loop {
            let at = match named.take() {
                Some(at) => at,
                None => match self.groups.coordinator(&self.claim.group, CALL_MAX).await {
                    Ok(at) => at,
                    Err(error) if is_elsewhere(&error) && Instant::now() < deadline => {
                        sleep(LOOKED_AT_EVERY).await;
                        continue;
                    }
                    Err(error) => return Err(self.failed(error)),
                },
            };
            let confirmed = self.groups.confirmed_coordinator(&self.claim.group, at, CALL_MAX).await;
            named = confirmed.ok().filter(|named| *named != at);
            if named.is_none() || Instant::now() >= deadline {
                self.at = at;
                return Ok(());
            }
            sleep(LOOKED_AT_EVERY).await;
        }
    }

    /// What the group looks like; of another coordinator where it moves.
    async fn described(&mut self) -> Result<LockGroup, LockError> {
        let deadline = Instant::now() + COORDINATOR_WITHIN;
        loop {
            match self.groups.describe_lock(self.at, &self.claim.group, CALL_MAX).await {
                Ok(found) => return Ok(found),
                Err(error) if Instant::now() < deadline && may_be_elsewhere(&error) => {
                    sleep(LOOKED_AT_EVERY).await;
                    self.find_coordinator().await?;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn join(&self, member_id: Option<String>) -> Join {
        Join {
            group: self.claim.group.clone(),
            member_id,
            metadata: self.metadata.clone(),
            session: self.session,
            // Not shorter than the session: else a member that does not hear of a rebalance would be removed while it
            // still trusts its last renewal.
            rebalance: self.session,
        }
    }

    /// Joins the group and leaves it again if somebody else leads it.
    async fn attempt(&mut self) -> Result<Attempt, LockError> {
        let mut member_id = None;
        let mut failure = KafkaError::broker(codes::REBALANCE_IN_PROGRESS, None);
        for _ in 0..JOINS_MAX {
            let join = self.join(member_id.clone());
            let error = match self.groups.join(self.at, &join, self.session + CALL_MAX).await {
                Ok(Joining::Named(id)) => {
                    member_id = Some(id);
                    continue;
                }
                Ok(Joining::Joined(joined)) => {
                    member_id = Some(joined.membership.member_id.clone());
                    if !joined.leads() {
                        self.leave(&joined.membership.member_id).await;
                        return Ok(Attempt::Beaten);
                    }
                    let sent = (self.claim.clock)();
                    match self.groups.sync(self.at, &joined.membership, assignments(&joined), CALL_MAX).await {
                        Ok(()) => return Ok(Attempt::Won(joined, sent)),
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            match error.code() {
                Some(codes::REBALANCE_IN_PROGRESS | codes::ILLEGAL_GENERATION) => {}
                Some(codes::UNKNOWN_MEMBER_ID) => member_id = None,
                Some(codes::INVALID_SESSION_TIMEOUT) => self.fit_session().await?,
                _ if is_elsewhere(&error) => {
                    sleep(LOOKED_AT_EVERY).await;
                    self.find_coordinator().await?;
                }
                _ => {
                    failure = error;
                    break;
                }
            }
            failure = error;
        }
        if let Some(id) = &member_id {
            self.leave(id).await;
        }
        Err(self.failed(failure))
    }

    /// Takes the session that comes nearest to ours within the broker's limits.
    async fn fit_session(&mut self) -> Result<(), LockError> {
        let limits = self.groups.session_limits(self.at, CALL_MAX).await;
        let (least, most) = limits.map_err(|error| self.failed(error))?;
        let fitting = SESSION.max(least).min(most);
        if fitting == self.session {
            let why = format!("the broker takes no session of {} s, which is within its limits", fitting.as_secs_f64());
            return Err(LockError::Unavailable { group: self.claim.group.clone(), why });
        }
        self.session = fitting;
        Ok(())
    }

    /// The lock counts as taken once another broker names the same coordinator, as each renewal does.
    async fn confirm(&self, membership: &Membership, sent: Duration) -> Result<(), LockError> {
        let trusted_for = trusted_for(self.session);
        let mut why = "did not answer".to_owned();
        while (self.claim.clock)().saturating_sub(sent) < trusted_for {
            match self.groups.confirmed_coordinator(&membership.group, self.at, CALL_MAX).await {
                Ok(named) if named == self.at => return Ok(()),
                Ok(named) => why = format!("name broker {named}"),
                Err(error) => why = error.to_string(),
            }
            sleep(LOOKED_AT_EVERY).await;
        }
        self.leave(&membership.member_id).await;
        let at = self.at;
        let why = format!("broker {at} coordinates the group, but others do not confirm that: {why}");
        Err(LockError::Unavailable { group: membership.group.clone(), why })
    }

    /// Removes a member, if that can be; else its session ends by itself.
    async fn leave(&self, member_id: &str) {
        if let Err(error) = self.groups.leave(self.at, &self.claim.group, member_id, CALL_MAX).await {
            tracing::debug!(group = self.claim.group, member_id, %error, "a member could not be removed");
        }
    }
}

/// Whether a question should be asked again: also a coordinator that is silent may have moved.
fn may_be_elsewhere(error: &KafkaError) -> bool {
    let is_silent =
        matches!(error, KafkaError::AnswerLost { .. } | KafkaError::TimedOut { .. } | KafkaError::Unreachable { .. });
    is_silent || is_elsewhere(error) || error.code() == Some(codes::BROKER_NOT_AVAILABLE)
}
