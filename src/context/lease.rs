//! A Lease that one run holds: taken, renewed in the background, released.
//!
//! Others' clocks are not trusted. A Lease that somebody holds is taken over only after it was seen unchanged for its
//! whole duration, by our own monotonic clock; if it changes meanwhile, its holder lives, and we are refused. When the
//! API server stops answering, nobody can take a Lease, so the run goes on; when somebody else holds it, the run is
//! braked.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::change::brake::Brake;
use crate::clients::kubernetes::Kubernetes;
use crate::clients::kubernetes::KubernetesError;
use crate::clients::kubernetes::Lease;
use crate::clients::kubernetes::ObjectName;
use crate::context::home::COMPONENT;
use crate::context::home::MANAGED_BY;
use crate::context::home::SCOPE;
use crate::context::home::Scope;
use crate::exit::Stop;
use crate::output;

/// How long others leave a Lease alone after its last renewal.
const DURATION: Duration = Duration::from_secs(30);

/// How often it is renewed: four renewals may fail.
const RENEWED_EVERY: Duration = Duration::from_secs(5);

/// How often a Lease that somebody holds is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for a Lease, whatever duration its holder wrote into it.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// Longest time that a run which is done gives to the release.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// What to take, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) name: ObjectName,
    pub(super) scope: Scope,
    /// Pod and run.
    pub(super) holder: String,
    pub(super) clock: fn() -> Timestamp,
}

/// A Lease that is ours until it is released.
#[derive(Debug)]
pub(super) struct Held {
    release: oneshot::Sender<()>,
    renewer: JoinHandle<()>,
}

impl Held {
    /// Gives the Lease back, so that the next run does not wait. If that fails, it runs out by itself.
    pub(super) async fn release(self) {
        let Self { release, renewer } = self;
        // A renewer that is gone lost the Lease, and there is nothing to release.
        let _ = release.send(());
        let _ = renewer.await;
    }
}

/// Takes the Lease, or is refused because somebody holds it. Loses it by pulling the brake.
pub(super) async fn take(kubernetes: Arc<dyn Kubernetes>, claim: Claim, brake: Brake) -> anyhow::Result<Held> {
    let lease = acquire(&*kubernetes, &claim).await?;
    let (release, released) = oneshot::channel();
    let renewer = Renewer { kubernetes, claim, brake, lease, last_answer: Instant::now(), is_silent: false };
    Ok(Held { release, renewer: tokio::spawn(renewer.run(released)) })
}

async fn acquire(kubernetes: &dyn Kubernetes, claim: &Claim) -> anyhow::Result<Lease> {
    let started = Instant::now();
    let mut seen: Option<(Lease, Instant)> = None;
    while started.elapsed() < WAIT_MAX {
        let Some(found) = kubernetes.lease(&claim.name).await? else {
            match kubernetes.create_lease(&claim.taken(&Lease::new(claim.name.clone()))).await {
                Err(error) if is_settled_by_reading(&error) => continue,
                result => return Ok(result?),
            }
        };
        match (&found.holder, &seen) {
            // An answer of ours was lost, but not the write.
            (Some(holder), _) if *holder == claim.holder => return Ok(found),
            (None, _) => {}
            (Some(_), Some((before, since))) if before.resource_version == found.resource_version => {
                if since.elapsed() < duration_of(&found) {
                    sleep(LOOKED_AT_EVERY).await;
                    continue;
                }
                output::say(&format!(
                    "{} was not renewed for {} s: taken over",
                    words(&found),
                    since.elapsed().as_secs()
                ));
            }
            (Some(_), Some(_)) => return Err(refusal(claim, &found).into()),
            (Some(_), None) => {
                output::say(&format!("{}; looking whether it is still renewed", words(&found)));
                seen = Some((found, Instant::now()));
                sleep(LOOKED_AT_EVERY).await;
                continue;
            }
        }
        match kubernetes.replace_lease(&claim.taken(&found)).await {
            Err(error) if is_settled_by_reading(&error) => {}
            result => return Ok(result?),
        }
    }
    match seen {
        Some((found, _)) => Err(refusal(claim, &found).into()),
        None => Err(anyhow::anyhow!("failed to take the Lease {} within {} s", claim.name, WAIT_MAX.as_secs())),
    }
}

/// Somebody was faster, or the answer was lost: the next read shows which.
fn is_settled_by_reading(error: &KubernetesError) -> bool {
    use KubernetesError::{AlreadyExists, Conflict, Unreachable};
    matches!(error, AlreadyExists { .. } | Conflict { .. } | Unreachable { .. })
        || matches!(error, KubernetesError::NotFound { what } if what.starts_with("Lease"))
}

fn duration_of(lease: &Lease) -> Duration {
    Duration::from_secs(u64::try_from(lease.duration_seconds).unwrap_or_default()).max(LOOKED_AT_EVERY)
}

/// Whether its holder renewed it lately, if both clocks are right.
pub(super) fn is_renewed(lease: &Lease, now: Timestamp) -> bool {
    let is_young = |renewed: Timestamp| now.duration_since(renewed).unsigned_abs() < duration_of(lease);
    lease.holder.is_some() && lease.renewed.is_some_and(is_young)
}

fn words(lease: &Lease) -> String {
    let since = lease.acquired.map(|time| format!(" since {}", time.round(jiff::Unit::Second).unwrap_or(time)));
    let holder = lease.holder.as_deref().unwrap_or("nobody");
    format!("the Lease {} is held by {holder}{}", lease.name, since.unwrap_or_default())
}

fn refusal(claim: &Claim, found: &Lease) -> Stop {
    let ObjectName { namespace, name } = &found.name;
    Stop::refused(format!(
        "another run works on the {}: {}. Nothing was changed. Wait until it ends; if it is certain that it is dead, \
         `kubectl --namespace {namespace} delete lease {name}`",
        claim.scope,
        words(found),
    ))
}

impl Claim {
    /// The Lease as ours from now on.
    fn taken(&self, lease: &Lease) -> Lease {
        let now = (self.clock)();
        let is_new = lease.resource_version.is_empty();
        let mut taken = self.renewed(lease);
        taken.labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
        taken.labels.insert(COMPONENT.into(), "run-lock".into());
        taken.annotations.insert(SCOPE.into(), self.scope.to_string());
        taken.holder = Some(self.holder.clone());
        taken.acquired = Some(now);
        taken.transitions = if is_new { 0 } else { lease.transitions.saturating_add(1) };
        taken
    }

    fn renewed(&self, lease: &Lease) -> Lease {
        let duration_seconds = i32::try_from(DURATION.as_secs()).unwrap_or(i32::MAX);
        Lease { renewed: Some((self.clock)()), duration_seconds, ..lease.clone() }
    }
}

/// Renews a Lease until it is released or lost.
struct Renewer {
    kubernetes: Arc<dyn Kubernetes>,
    claim: Claim,
    brake: Brake,
    /// As it was last read or written.
    lease: Lease,
    last_answer: Instant,
    /// Whether it was said that the API server is silent.
    is_silent: bool,
}

impl Renewer {
    async fn run(mut self, mut released: oneshot::Receiver<()>) {
        loop {
            let renewed = async {
                sleep(RENEWED_EVERY).await;
                self.renew().await
            };
            let renewed = tokio::select! {
                biased;
                _ = &mut released => return self.release().await,
                renewed = renewed => renewed,
            };
            if let Err(error) = renewed {
                self.is_refused(&error);
            }
            if self.lease.holder.as_deref() != Some(&self.claim.holder) {
                self.brake.pull(format!("another run took over: {}", words(&self.lease)));
                return;
            }
        }
    }

    /// Writes the Lease anew; where it was changed since, or an answer was lost, reads first.
    async fn renew(&mut self) -> Result<(), KubernetesError> {
        let renewed = self.claim.renewed(&self.lease);
        let written = match self.kubernetes.replace_lease(&renewed).await {
            Err(error) if is_settled_by_reading(&error) => match self.kubernetes.lease(&self.claim.name).await? {
                Some(found) if found.holder.as_deref() == Some(&self.claim.holder) => {
                    self.kubernetes.replace_lease(&self.claim.renewed(&found)).await?
                }
                // Held by another, or by nobody: either way, not ours.
                Some(found) => found,
                // Somebody deleted it, and nobody took it: it is ours still.
                None => self.kubernetes.create_lease(&self.lease).await?,
            },
            result => result?,
        };
        self.lease = written;
        self.last_answer = Instant::now();
        if std::mem::take(&mut self.is_silent) {
            output::say(&format!("the Lease {} is renewed again", self.claim.name));
        }
        Ok(())
    }

    /// Says once that the Lease can't be renewed.
    fn is_refused(&mut self, error: &KubernetesError) {
        tracing::info!(%error, "the Lease {} was not renewed", self.claim.name);
        if !self.is_silent && self.last_answer.elapsed() >= DURATION {
            self.is_silent = true;
            output::complain(&format!(
                "the Lease {} could not be renewed for {} s ({error}). This run goes on: where the Kubernetes API does \
                 not answer, no other run can start either",
                self.claim.name,
                self.last_answer.elapsed().as_secs()
            ));
        }
    }

    async fn release(self) {
        let why = match timeout(RELEASE_MAX, self.write_free()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", RELEASE_MAX.as_secs()),
        };
        output::complain(&format!(
            "the Lease {} could not be released ({why}); the next run waits up to {} s for it",
            self.claim.name,
            DURATION.as_secs()
        ));
    }

    async fn write_free(&self) -> Result<(), KubernetesError> {
        let free = |lease: &Lease| Lease { holder: None, duration_seconds: 1, ..lease.clone() };
        match self.kubernetes.replace_lease(&free(&self.lease)).await {
            Err(error) if is_settled_by_reading(&error) => {}
            result => return result.map(|_| ()),
        }
        match self.kubernetes.lease(&self.claim.name).await? {
            Some(found) if found.holder.as_deref() == Some(&self.claim.holder) => {
                self.kubernetes.replace_lease(&free(&found)).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::kubernetes::Identity;
    use crate::clients::kubernetes::Memory;

    fn server() -> Arc<Memory> {
        let words = String::from;
        let (namespace, server, source) = (words("kafka"), words("memory"), words("memory"));
        Arc::new(Memory::new(Identity { namespace, pod: None, service_account: None, source, server }))
    }

    fn claim(holder: &str) -> Claim {
        Claim {
            name: ObjectName::new("kafka", "lock"),
            scope: Scope { room: "topics", cluster: "orders".into(), spec: "a".into() },
            holder: holder.into(),
            clock: || "2026-11-22T08:00:00Z".parse().unwrap(),
        }
    }

    async fn take_as(server: &Arc<Memory>, holder: &str) -> anyhow::Result<(Held, Brake)> {
        let brake = Brake::default();
        Ok((take(Arc::clone(server) as Arc<dyn Kubernetes>, claim(holder), brake.clone()).await?, brake))
    }

    async fn there(server: &Memory) -> Lease {
        server.lease(&claim("").name).await.unwrap().unwrap()
    }

    /// A Lease of a run that is dead, or that renews with a clock of its own.
    async fn left_behind(server: &Memory, renewed: &str) -> Lease {
        let renewed = Some(renewed.parse().unwrap());
        let lease = Lease { renewed, ..claim("dead").taken(&Lease::new(claim("").name)) };
        server.create_lease(&lease).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_renewed_while_it_is_held_and_free_afterwards() {
        let server = server();
        let (held, brake) = take_as(&server, "one").await.unwrap();
        let before = there(&server).await;
        assert_eq!((before.holder.as_deref(), before.duration_seconds), (Some("one"), 30));
        sleep(Duration::from_mins(5)).await;
        assert_ne!(there(&server).await.resource_version, before.resource_version);
        assert_eq!(brake.pulled(), None);
        held.release().await;
        assert_eq!(there(&server).await.holder, None);
        let started = Instant::now();
        let (held, _) = take_as(&server, "two").await.unwrap();
        assert_eq!((started.elapsed(), there(&server).await.transitions), (Duration::ZERO, 1));
        held.release().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_run_is_refused_with_who_holds_it_since_when_and_what_to_do() {
        let server = server();
        let (held, _) = take_as(&server, "topics-1_run").await.unwrap();
        let started = Instant::now();
        let words = take_as(&server, "two").await.unwrap_err().to_string();
        assert!(started.elapsed() <= RENEWED_EVERY + LOOKED_AT_EVERY, "{:?}", started.elapsed());
        assert_eq!(
            words,
            "another run works on the topics of cluster orders by a: the Lease kafka/lock is held by topics-1_run since \
             2026-11-22T08:00:00Z. Nothing was changed. Wait until it ends; if it is certain that it is dead, `kubectl \
             --namespace kafka delete lease lock`"
        );
        held.release().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_runs_lease_is_taken_over_after_its_duration_whatever_its_clock_said() {
        for renewed in ["1990-01-01T00:00:00Z", "2026-11-22T08:00:00Z", "2099-01-01T00:00:00Z"] {
            let server = server();
            left_behind(&server, renewed).await;
            let started = Instant::now();
            let (held, _) = take_as(&server, "two").await.unwrap();
            assert!((DURATION..DURATION * 2).contains(&started.elapsed()), "{renewed}: {:?}", started.elapsed());
            assert_eq!(there(&server).await.holder.as_deref(), Some("two"));
            held.release().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_whose_clock_is_decades_slow_is_not_robbed() {
        let server = server();
        let lease = left_behind(&server, "1990-01-01T00:00:00Z").await;
        let (renewed, refused) = tokio::join!(
            async {
                sleep(Duration::from_secs(20)).await;
                let renewed = Some("1990-01-01T00:00:20Z".parse().unwrap());
                server.replace_lease(&Lease { renewed, ..lease }).await
            },
            take_as(&server, "two"),
        );
        assert!(renewed.is_ok());
        assert!(refused.unwrap_err().to_string().contains("held by dead"));
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_runs_that_start_together_one_works() {
        let server = server();
        let names = ["a", "b", "c", "d", "e"];
        let mut runs = tokio::task::JoinSet::new();
        for name in names {
            let server = Arc::clone(&server);
            runs.spawn(async move { take_as(&server, name).await });
        }
        let ended = runs.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 4));
        assert!(lost.iter().all(|lost| lost.as_ref().unwrap_err().downcast_ref::<Stop>().is_some()));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_server_goes_away_the_run_goes_on_and_renews_when_it_is_back() {
        let server = server();
        let (held, brake) = take_as(&server, "one").await.unwrap();
        server.set_down(true);
        sleep(Duration::from_mins(10)).await;
        assert_eq!(brake.pulled(), None);
        server.set_down(false);
        let before = there(&server).await;
        sleep(RENEWED_EVERY * 2).await;
        assert_ne!(there(&server).await.resource_version, before.resource_version);
        server.set_down(true);
        let started = Instant::now();
        held.release().await;
        assert!(started.elapsed() <= RELEASE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_lost_its_lease_is_braked_and_leaves_it_to_the_other() {
        let server = server();
        let (held, brake) = take_as(&server, "one").await.unwrap();
        let taken = Lease { holder: Some("two".into()), ..there(&server).await };
        server.replace_lease(&taken).await.unwrap();
        sleep(RENEWED_EVERY * 2).await;
        let why = brake.pulled().unwrap();
        assert!(why.starts_with("another run took over: the Lease kafka/lock is held by two"), "{why}");
        held.release().await;
        assert_eq!(there(&server).await.holder.as_deref(), Some("two"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_dropped_gives_its_lease_back() {
        let server = server();
        drop(take_as(&server, "one").await.unwrap());
        sleep(LOOKED_AT_EVERY).await;
        assert_eq!(there(&server).await.holder, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_or_a_missing_role_stops_the_run_before_it_starts() {
        use crate::clients::kubernetes::{Resource, Verb};
        let server = server();
        server.set_down(true);
        let words = take_as(&server, "one").await.unwrap_err().to_string();
        assert!(words.contains("could not be reached"), "{words}");
        server.set_down(false);
        server.forbid(Verb::Create, Resource::Leases);
        let words = take_as(&server, "one").await.unwrap_err().to_string();
        assert!(words.contains("may not create leases in namespace kafka"), "{words}");
    }
}
