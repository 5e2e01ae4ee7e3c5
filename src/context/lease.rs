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
