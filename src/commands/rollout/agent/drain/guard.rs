//! What the drain guard decides and holds: an eviction is allowed if its server may stop now, by two looks that agree; from
//! then on the lock of disruptions is held, until the server is back in sync or the limit passes.
//!
//! Everything that can't be read denies. A dry run looks once, and leaves no trace: no lock, no event, no memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout, timeout_at};

use crate::agent::runtime::{Ticked, Why};
use crate::change::event::Outcome;
use crate::change::plan::Refusal;
use crate::clients::kubernetes::{Facts, Kubernetes, ObjectName, Resource};
use crate::cluster::metadata::TopicSelection;
use crate::commands::rollout::agent::drain::board::Board;
use crate::commands::rollout::agent::drain::certificate::Certificate;
use crate::commands::rollout::agent::drain::http::Question;
use crate::commands::rollout::observe::back::is_back;
use crate::commands::rollout::observe::pod::Kinds;
use crate::commands::rollout::observe::{Subject, look};
use crate::commands::rollout::spec::review::{Answer, Eviction};
use crate::commands::rollout::verdict::disruption::{Disruption, End, PodNow, Standing, standing};
use crate::commands::rollout::verdict::steady::Steady;
use crate::commands::rollout::verdict::{Answer as May, Terms, Verdict};
use crate::context::{Context, ControllerArgs};
use crate::output;
use crate::state::identity::{Identity, Purpose};

/// Longest wait for the lock of disruptions while an eviction waits for its answer.
const LOCK_MAX: Duration = Duration::from_secs(3);

/// Longest look at a server that is to come back: questions wait meanwhile.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Longest wait for the lock of a holder that died: a Lease runs out after 30 s.
const DEAD_LOCK_MAX: Duration = Duration::from_secs(45);

/// A look that allowed a stop counts for a second one for so long.
const LOOK_COUNTS_FOR: SignedDuration = SignedDuration::from_secs(60);

/// A denial that still holds is recorded again after this time.
const RECORDED_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// Most pods whose last look, or last denial, is remembered.
const PODS_MAX: usize = 500;

/// What does not change while the guard runs.
#[derive(Debug)]
pub struct Settings {
    /// The namespace of the pods.
    pub namespace: String,
    /// How the kinds of pods are distinguished.
    pub kinds: Kinds,
    /// What verdicts take for granted.
    pub terms: Terms,
    /// The time between two looks that must agree.
    pub apart: Duration,
    /// The longest time for which an eviction keeps others waiting.
    pub limit: Duration,
    /// How controllers are reached.
    pub controllers: ControllerArgs,
}

/// The guard of one term.
pub struct Guard {
    settings: Arc<Settings>,
    kubernetes: Arc<dyn Kubernetes>,
    certificate: Certificate,
    board: Arc<Board>,
    /// The eviction that is under way.
    open: Option<Open>,
    /// The looks that allowed a stop, by pod, with the time of the last one.
    looks: BTreeMap<String, (Steady, Timestamp)>,
    /// What was recorded of denials, by pod: the kind, and when.
    recorded: BTreeMap<String, (String, Timestamp)>,
    /// With which other broker the next look begins.
    turn: usize,
    /// Whether the lock may be that of a holder that died.
    is_lock_stuck: bool,
}

/// An eviction that is under way.
struct Open {
    disruption: Disruption,
    subject: Subject,
    /// Since when its server was seen in sync again.
    back_since: Option<Timestamp>,
}

impl Guard {
    /// A guard that has allowed nothing yet.
    pub fn new(
        settings: Arc<Settings>,
        kubernetes: Arc<dyn Kubernetes>,
        certificate: Certificate,
        board: Arc<Board>,
    ) -> Self {
        Self {
            settings,
            kubernetes,
            certificate,
            board,
            open: None,
            looks: BTreeMap::new(),
            recorded: BTreeMap::new(),
            turn: 0,
            is_lock_stuck: false,
        }
    }

    /// Whether an eviction is under way.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Answers what is asked, or looks after what is under way.
    pub async fn tick(&mut self, context: &mut Context, why: Why<Question, Answer>) -> anyhow::Result<Ticked> {
        let Why::Asked(all) = why else {
            self.settle(context).await;
            let (kubernetes, now) = (Arc::clone(&self.kubernetes), context.now());
            self.certificate.look_after(kubernetes.as_ref(), now, &self.board).await?;
            return Ok(Ticked::Done);
        };
        for asked in all {
            let Question { eviction, until } = asked.question;
            let answer = self.answer(context, &eviction, until).await;
            asked.answer.send(answer);
        }
        Ok(Ticked::Done)
    }

    /// The answer to one question, by the deadline.
    pub async fn answer(&mut self, context: &mut Context, eviction: &Eviction, until: Instant) -> Answer {
        let answer = match timeout_at(until, self.decide(context, eviction)).await {
            Ok(answer) => answer,
            Err(_) => not_now("E_NO_ANSWER", "the cluster, or the API server, did not answer in time"),
        };
        if self.open.is_none() {
            // Whatever was begun for an answer that is now a no.
            context.leave().await;
        }
        if !eviction.is_dry_run {
            self.record(context, eviction, &answer).await;
        }
        answer
    }

    async fn decide(&mut self, context: &mut Context, eviction: &Eviction) -> Answer {
        let pod = &eviction.pod;
        if pod.namespace != self.settings.namespace {
            let own = &self.settings.namespace;
            return forbidden(
                "E_NOT_GUARDED",
                &format!(
                    "this guard judges pods of namespace {own} alone: limit the namespaceSelector of its \
                     ValidatingWebhookConfiguration to it"
                ),
            );
        }
        let name = ObjectName::new(pod.namespace.clone(), pod.name.clone());
        let facts = match self.kubernetes.facts(Resource::Pods, &name).await {
            Ok(Some(facts)) => facts,
            Ok(None) => return Answer::allowed(),
            Err(error) => return not_now("E_UNREADABLE", &format!("pod {pod} can't be read: {error}")),
        };
        if facts.has_ended || facts.is_being_deleted || facts.is_pending {
            // Nothing runs there that its eviction would stop.
            return Answer::allowed();
        }
        let subject = match self.settings.kinds.subject(context, &pod.name).await {
            Ok(Some(subject)) => subject,
            Ok(None) => {
                let maps = self.settings.kinds.maps.join(", ");
                return forbidden(
                    "E_UNKNOWN_POD",
                    &format!(
                        "nothing says which server runs in pod {pod}: no registry of broker ids has it (maps: {maps}), \
                         and neither --controller-pods nor --zookeeper-pods fits its name. If it is no server of this \
                         cluster, leave it out of matchConditions"
                    ),
                );
            }
            Err(error) => {
                return not_now("E_UNREADABLE", &format!("which server runs in pod {pod} can't be read: {error:#}"));
            }
        };
        if let Some(answer) = self.is_taken(context, &facts).await {
            return answer;
        }
        self.judge(context, eviction, facts.uid, &subject).await
    }

    /// The answer where another eviction is under way here.
    async fn is_taken(&mut self, context: &Context, facts: &Facts) -> Option<Answer> {
        let open = self.open.as_ref()?;
        if open.disruption.uid == facts.uid {
            return None;
        }
        let (pod, since) = (open.disruption.pod.clone(), open.disruption.since);
        let passed = context.steady().now().duration_since(since).as_secs();
        let words = self.standing(context).await.words();
        Some(not_now(
            "E_DISRUPTION",
            &format!(
                "pod {pod} ({}) is out: {words}, {passed} s after it was allowed; one server of a cluster at a time",
                self.open.as_ref()?.subject
            ),
        ))
    }

    /// Whether the server may stop; then takes the lock, unless nothing is to happen.
    async fn judge(&mut self, context: &mut Context, eviction: &Eviction, uid: String, subject: &Subject) -> Answer {
        let name = &eviction.pod.name;
        let (verdict, cluster_id) = match self.look(context, subject).await {
            Ok(seen) => seen,
            Err(error) => return not_now("E_UNREADABLE", &format!("{subject} can't be judged: {error:#}")),
        };
        let identity = context.identity(Purpose::Disruption, &cluster_id);
        let holds = self.open.is_some();
        if !holds && let Some(answer) = is_locked(context, &identity).await {
            return answer;
        }
        if eviction.is_dry_run {
            return answer_of(subject, &verdict);
        }
        let now = context.steady().now();
        let apart = if holds { Duration::ZERO } else { self.settings.apart };
        let (mut steady, last) = self.looks.remove(name).unwrap_or_default();
        if now.duration_since(last) > LOOK_COUNTS_FOR {
            steady = Steady::default();
        }
        let verdict = steady.look(verdict, now, apart);
        self.looks.insert(name.clone(), (steady, now));
        bound(&mut self.looks, |(_, at)| *at);
        if !verdict.may_stop() {
            return answer_of(subject, &verdict);
        }
        if !holds && let Err(answer) = self.lock(context, &identity).await {
            return answer;
        }
        // Once more, now that nobody else stops or changes anything.
        match self.look(context, subject).await {
            Ok((verdict, _)) if verdict.may_stop() => {
                let disruption = Disruption { pod: name.clone(), uid, since: context.steady().now() };
                self.open = Some(Open { disruption, subject: subject.clone(), back_since: None });
                self.board.set_open(true);
                self.looks.remove(name);
                answer_of(subject, &verdict)
            }
            Ok((verdict, _)) => answer_of(subject, &verdict),
            Err(error) => not_now("E_UNREADABLE", &format!("{subject} can't be judged: {error:#}")),
        }
    }

    /// One look: whether the server may stop by it, and the cluster's id.
    async fn look(&mut self, context: &mut Context, subject: &Subject) -> anyhow::Result<(Verdict, String)> {
        self.turn = self.turn.wrapping_add(1);
        let kafka = context.kafka().await?;
        let cluster_id = kafka.metadata(TopicSelection::None).await?.cluster_id;
        context.is_cluster(&cluster_id)?;
        let observed = look(context, subject, &self.settings.controllers, self.turn).await?;
        Ok((observed.judge(subject, &self.settings.terms), cluster_id))
    }

    async fn lock(&mut self, context: &mut Context, identity: &Identity) -> Result<(), Answer> {
        match timeout(LOCK_MAX, context.lock(identity)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(not_now("E_LOCKED", &format!("the lock of disruptions can't be had: {error:#}"))),
            Err(_) => {
                self.is_lock_stuck = true;
                Err(not_now(
                    "E_LOCKED",
                    "the last holder of the lock of disruptions seems to have died; it is free within a minute",
                ))
            }
        }
    }

    /// Looks after the eviction that is under way, and after a lock whose holder died.
    async fn settle(&mut self, context: &mut Context) {
        if self.open.is_none() {
            if std::mem::take(&mut self.is_lock_stuck)
                && let Ok(cluster_id) = cluster_id(context).await
            {
                let identity = context.identity(Purpose::Disruption, &cluster_id);
                // Whoever holds it and lives refuses it; a dead one is outwaited. Nothing is to be done with it.
                drop(timeout(DEAD_LOCK_MAX, context.lock(&identity)).await);
                context.leave().await;
            }
            return;
        }
        let Standing::Over(end) = self.standing(context).await else {
            self.hold(context).await;
            return;
        };
        let Some(open) = self.open.take() else { return };
        self.board.set_open(false);
        context.leave().await;
        let (outcome, words) = match end {
            End::Back => (Outcome::Done, format!("{} is back in sync", open.subject)),
            End::NotEvicted => {
                (Outcome::Failed, "the pod was not evicted: a PodDisruptionBudget may keep it".to_owned())
            }
            End::TimedOut => {
                let minutes = self.settings.limit.as_secs() / 60;
                (
                    Outcome::Failed,
                    format!(
                        "{} is not back in sync after {minutes} min; others do not wait for it any more",
                        open.subject
                    ),
                )
            }
        };
        let title = format!("eviction of pod {}: {words}", open.disruption.pod);
        output::say(&title);
        let subject = format!("pod:{}/{}", self.settings.namespace, open.disruption.pod);
        let event = context.run().event("rollout.eviction_ended", &subject, outcome, &title);
        context.recorder().record(&[event]).await;
    }

    /// Takes the lock again where it was lost: others are refused here in any case.
    async fn hold(&mut self, context: &mut Context) {
        let Err(why) = context.check_locks() else { return };
        output::complain(&format!("the lock of disruptions is not held for certain while a server is out: {why}"));
        context.leave().await;
        if let Ok(cluster_id) = cluster_id(context).await {
            let identity = context.identity(Purpose::Disruption, &cluster_id);
            drop(timeout(LOCK_MAX, context.lock(&identity)).await);
        }
    }

    /// How it stands with the eviction that is under way.
    async fn standing(&mut self, context: &Context) -> Standing {
        let Some(open) = &self.open else { return Standing::Over(End::Back) };
        let name = ObjectName::new(self.settings.namespace.clone(), open.disruption.pod.clone());
        let facts = self.kubernetes.facts(Resource::Pods, &name).await;
        let (pod, is_started) = match facts {
            Ok(Some(facts)) => {
                let is_started = !facts.is_pending && !facts.has_ended;
                (PodNow::There { uid: facts.uid, is_being_deleted: facts.is_being_deleted }, is_started)
            }
            Ok(None) => (PodNow::Gone, false),
            Err(_) => (PodNow::Unknown, false),
        };
        let may_be_back = is_started && matches!(&pod, PodNow::There { uid, .. } if *uid != open.disruption.uid);
        let is_seen_back = may_be_back && {
            self.turn = self.turn.wrapping_add(1);
            let is_back = is_back(context, &open.subject, &self.settings.controllers, self.turn);
            matches!(timeout(LOOK_MAX, is_back).await, Ok(Ok(true)))
        };
        let now = context.steady().now();
        let apart = SignedDuration::try_from(self.settings.apart).unwrap_or(SignedDuration::MAX);
        let Some(open) = &mut self.open else { return Standing::Over(End::Back) };
        open.back_since = if is_seen_back { open.back_since.or(Some(now)) } else { None };
        let is_back = open.back_since.is_some_and(|since| now.duration_since(since) >= apart);
        standing(&open.disruption, &pod, is_back, now, self.settings.limit)
    }

    /// Records an allowance, and a denial that is new.
    async fn record(&mut self, context: &mut Context, eviction: &Eviction, answer: &Answer) {
        let Eviction { pod, user, .. } = eviction;
        let (subject, now) = (format!("pod:{pod}"), context.steady().now());
        let change = format!("eviction of pod {pod}, asked for by {user}");
        let event = match answer {
            Answer::Allowed { .. } => {
                self.recorded.remove(&pod.name);
                output::say(&format!("allowed: {change}"));
                context.run().event("rollout.eviction_allowed", &subject, Outcome::Done, &format!("allowed: {change}"))
            }
            Answer::NotNow(why) | Answer::Forbidden(why) | Answer::Wrong(why) => {
                let kind = why.split(':').next().unwrap_or_default().to_owned();
                let is_known =
                    |(known, at): &(String, Timestamp)| *known == kind && now.duration_since(*at) < RECORDED_AGAIN;
                if self.recorded.get(&pod.name).is_some_and(is_known) {
                    return;
                }
                self.recorded.insert(pod.name.clone(), (kind, now));
                bound(&mut self.recorded, |(_, at)| *at);
                output::say(&format!("denied: {change}: {why}"));
                context.run().refusal(&Refusal { subject, change, reason: why.clone() })
            }
        };
        context.recorder().record(&[event]).await;
    }
}

/// The answer where another run holds the lock.
async fn is_locked(context: &Context, identity: &Identity) -> Option<Answer> {
    match context.lock_holder(identity).await {
        Ok(None) => None,
        Ok(Some(holder)) => Some(not_now(
            "E_LOCKED",
            &format!("another run stops servers of this cluster or changes who votes: {}", holder.words),
        )),
        Err(error) => {
            Some(not_now("E_UNREADABLE", &format!("whether another run stops servers can't be read: {error:#}")))
        }
    }
}

/// The cluster's id, as its brokers show it.
async fn cluster_id(context: &Context) -> anyhow::Result<String> {
    let kafka = context.kafka().await?;
    Ok(timeout(LOOK_MAX, kafka.metadata(TopicSelection::None)).await??.cluster_id)
}

/// Forgets the oldest where there are too many.
fn bound<V>(all: &mut BTreeMap<String, V>, at: impl Fn(&V) -> Timestamp) {
    while all.len() > PODS_MAX {
        let oldest = all.iter().min_by_key(|(_, value)| at(value)).map(|(name, _)| name.clone());
        let Some(oldest) = oldest else { return };
        all.remove(&oldest);
    }
}

/// What a verdict means for an eviction.
fn answer_of(subject: &Subject, verdict: &Verdict) -> Answer {
    match verdict.answer {
        May::MayStop => {
            let suffer = verdict.unavoidable_count;
            let suffering =
                (suffer > 0).then(|| format!("{suffer} partitions of {subject} suffer: they have no spare replica"));
            Answer::Allowed { warnings: suffering.into_iter().chain(verdict.notes.iter().cloned()).collect() }
        }
        May::Wait => not_now("E_MAY_NOT_STOP", &format!("{subject} may not stop now: {}", verdict.words())),
        May::Refused => forbidden("E_REFUSED", &format!("{subject} may not stop: {}", verdict.words())),
    }
}

fn not_now(code: &str, why: &str) -> Answer {
    Answer::NotNow(format!("{code}: {why}. Try again in 10 s"))
}

fn forbidden(code: &str, why: &str) -> Answer {
    Answer::Forbidden(format!("{code}: {why}"))
}
