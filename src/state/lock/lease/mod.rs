//! A Lease that one run holds: taken, renewed in the background, released.
//!
//! Others' clocks are not trusted. A Lease that somebody holds is taken over only after it was seen unchanged for its
//! whole duration, by our own monotonic clock; if it changes meanwhile, its holder lives, and we are refused.
//!
//! A run takes the Lease that its name for the cluster leads to, and then looks for Leases of the same cluster under other
//! names, by label: of two runs that began at once under two names, each sees the other's. One whose holder is dead is taken
//! over and given back, so that its holder can't renew it any more.
//!
//! A holder that could not renew its Lease in time stops: another run that still reaches the API server may hold it by
//! then. Renewals have a thread of their own, so that planning cannot delay them, and a limit of their own.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::clients::kubernetes::Kubernetes;
use crate::clients::kubernetes::KubernetesError;
use crate::clients::kubernetes::Lease;
use crate::clients::kubernetes::ObjectName;
use crate::exit::Stop;
use crate::state::clock::BootClock;
use crate::state::identity::Identity;
use crate::state::lock::renewal::Renewal;
use crate::state::place::{CLUSTER_ID, COMPONENT, IDENTITY, MANAGED_BY};

/// How long others leave a Lease alone after its last renewal.
const DURATION: Duration = Duration::from_secs(30);

/// How often it is renewed: three renewals may fail.
const RENEWED_EVERY: Duration = Duration::from_secs(5);

/// Longest time for one renewal.
const RENEWAL_MAX: Duration = Duration::from_secs(5);

/// Nothing is written after so long without a renewal: the rest of the duration is for a write that is under way, and for
/// clocks that do not run equally fast.
const SAFE: Duration = Duration::from_secs(20);

/// How often a Lease that somebody holds is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for a Lease, whatever duration its holder wrote into it.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// Longest time that a run which is done gives to the release.
const RELEASE_MAX: Duration = Duration::from_secs(5);

/// What the label of components says of a Lease of ours.
const RUN_LOCK: &str = "run-lock";

/// The annotation for what one holder leaves for the next one.
const NOTE: &str = "kafka-toolbox/refused";

/// What to take, and for whom.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The object.
    pub name: ObjectName,
    /// What the lock is for.
    pub identity: Identity,
    /// Pod and run.
    pub holder: String,
    /// The time, for people who read the Lease.
    pub clock: fn() -> Timestamp,
    /// By which the age of a renewal is counted.
    pub age: BootClock,
    /// Where a person is told what happens.
    pub say: fn(&str),
}

/// A connection that is opened on the thread that renews.
pub type Connect = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<Arc<dyn Kubernetes>, String>>>> + Send>;

/// Where renewals are made.
pub enum Renewals {
    /// On a thread of their own, with a connection of their own.
    Thread(Connect),
    /// On the runtime of the caller, over its connection: for in-memory servers.
    Task,
}

/// A Lease that is ours until it is released.
#[derive(Debug)]
pub struct Held {
    /// Ends the renewals, with the note to leave.
    release: oneshot::Sender<Option<String>>,
    ended: oneshot::Receiver<()>,
    renewal: Arc<Renewal>,
    /// What the former holder left.
    found: Option<String>,
    /// What is left for the next holder.
    note: Option<String>,
}

impl Held {
    /// The note that a former holder left for the next one.
    pub fn found_note(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// Leaves another note at the release; an empty one removes it.
    pub fn leave_note(&mut self, note: String) {
        self.note = Some(note);
    }

    /// When it was last renewed.
    pub fn renewal(&self) -> &Arc<Renewal> {
        &self.renewal
    }

    /// Gives the Lease back, so that the next run does not wait. If that fails, it runs out by itself.
    pub async fn release(self) {
        let Self { release, ended, note, .. } = self;
        // A renewer that is gone lost the Lease, and there is nothing to release.
        let _ = release.send(note);
        let _ = timeout(RELEASE_MAX + RENEWAL_MAX, ended).await;
    }
}

/// Takes the Lease, or is refused because somebody holds it.
pub async fn take(kubernetes: Arc<dyn Kubernetes>, claim: Claim, renewals: Renewals) -> anyhow::Result<Held> {
    let (lease, sent) = acquire(&*kubernetes, &claim).await?;
    let found = lease.annotations.get(NOTE).cloned();
    let renewal = Arc::new(Renewal::new(claim.age, SAFE, sent, format!("the Lease {}", claim.name)));
    let (release, released) = oneshot::channel();
    let (ends, ended) = oneshot::channel();
    let renewer = Renewer {
        kubernetes: Arc::clone(&kubernetes),
        claim: claim.clone(),
        renewal: Arc::clone(&renewal),
        lease,
        is_silent: false,
    };
    match renewals {
        Renewals::Task => {
            tokio::spawn(async move {
                renewer.run(released).await;
                let _ = ends.send(());
            });
        }
        Renewals::Thread(connect) => {
            let thread = std::thread::Builder::new().name("lease".to_owned());
            thread.spawn(move || on_its_own_thread(renewer, connect, (released, ends)))?;
        }
    }
    let held = Held { release, ended, renewal, found, note: None };
    match exclude_other_names(&*kubernetes, &claim).await {
        Ok(()) => Ok(held),
        Err(error) => {
            held.release().await;
            Err(error)
        }
    }
}

/// Makes sure that nobody holds the same lock under another name of the cluster. Called with the own Lease taken.
async fn exclude_other_names(kubernetes: &dyn Kubernetes, claim: &Claim) -> anyhow::Result<()> {
    for found in other_names(kubernetes, &claim.identity, &claim.name).await? {
        if found.holder.as_deref() == Some(&claim.holder) {
            continue;
        }
        let other = Claim { name: found.name.clone(), ..claim.clone() };
        let acquired = acquire(kubernetes, &other).await;
        let (dead, _) = acquired.map_err(|error| not_in_the_role(claim, &found, error))?;
        // Where this fails, somebody else took it, who then looks for ours.
        if let Err(error) = kubernetes.replace_lease(&freed(&dead)).await {
            tracing::debug!(%error, "the Lease {} of a dead run could not be given back", other.name);
        }
    }
    Ok(())
}

/// A Lease under another name can be taken over only by whose Role names it: else a person must say that its holder is dead.
fn not_in_the_role(claim: &Claim, found: &Lease, error: anyhow::Error) -> anyhow::Error {
    let Some(KubernetesError::Forbidden { who, .. }) = error.downcast_ref() else { return error };
    let ObjectName { namespace, name } = &found.name;
    let renewed = found.renewed.map(|time| time.round(jiff::Unit::Second).unwrap_or(time).to_string());
    Stop::refused(format!(
        "another run works, or has died, on the {}: {}, was last renewed at {}, and can't be taken over because the Role of {who} \
         does not name it. Nothing was changed. Wait until that run ends; if it is certain that it is dead, `kubectl \
         --namespace {namespace} delete lease {name}`",
        claim.identity,
        words(found),
        renewed.as_deref().unwrap_or("an unknown time"),
    ))
    .held_by(found.holder.as_deref().unwrap_or("nobody"))
    .into()
}

/// Leases of the same lock that somebody holds, under other names. An identity with an owner has one name, however the cluster
/// is addressed.
pub async fn other_names(
    kubernetes: &dyn Kubernetes,
    identity: &Identity,
    own: &ObjectName,
) -> Result<Vec<Lease>, KubernetesError> {
    if identity.owner.is_some() {
        return Ok(Vec::new());
    }
    let selector = format!("{COMPONENT}={RUN_LOCK},{CLUSTER_ID}={}", identity.cluster_label());
    let mut found = kubernetes.leases(&own.namespace, &selector).await?;
    let begins = identity.object_name_of("");
    found.retain(|lease| lease.name != *own && lease.holder.is_some() && lease.name.name.starts_with(&begins));
    Ok(found)
}

/// The Lease as nobody's.
fn freed(lease: &Lease) -> Lease {
    Lease { holder: None, duration_seconds: 1, ..lease.clone() }
}

/// Renews on this thread, until the Lease is released or lost.
fn on_its_own_thread(
    mut renewer: Renewer,
    connect: Connect,
    (released, ends): (oneshot::Receiver<Option<String>>, oneshot::Sender<()>),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let why = format!("the lock is lost: its renewals could not be started ({error})");
            return renewer.renewal.lose(why);
        }
    };
    runtime.block_on(async {
        match connect().await {
            Ok(kubernetes) => {
                renewer.kubernetes = kubernetes;
                renewer.run(released).await;
            }
            Err(why) => renewer.renewal.lose(format!("the lock is lost: its renewals could not be started ({why})")),
        }
    });
    let _ = ends.send(());
}

async fn acquire(kubernetes: &dyn Kubernetes, claim: &Claim) -> anyhow::Result<(Lease, Duration)> {
    let started = Instant::now();
    let mut seen: Option<(Lease, Instant)> = None;
    while started.elapsed() < WAIT_MAX {
        let sent = (claim.age)();
        let Some(found) = kubernetes.lease(&claim.name).await? else {
            match kubernetes.create_lease(&claim.taken(&Lease::new(claim.name.clone()))).await {
                Err(error) if is_settled_by_reading(&error) => continue,
                result => return Ok((result?, sent)),
            }
        };
        claim.check_cluster(&found)?;
        match (&found.holder, &seen) {
            // An answer of ours was lost, but not the write.
            (Some(holder), _) if *holder == claim.holder => return Ok((found, sent)),
            (None, _) => {}
            (Some(_), Some((before, since))) if before.resource_version == found.resource_version => {
                if since.elapsed() < duration_of(&found) {
                    sleep(LOOKED_AT_EVERY).await;
                    continue;
                }
                (claim.say)(&format!(
                    "{} was not renewed for {} s: taken over",
                    words(&found),
                    since.elapsed().as_secs()
                ));
            }
            (Some(_), Some(_)) => return Err(refusal(claim, &found).into()),
            (Some(_), None) => {
                (claim.say)(&format!("{}; looking whether it is still renewed", words(&found)));
                seen = Some((found, Instant::now()));
                sleep(LOOKED_AT_EVERY).await;
                continue;
            }
        }
        match kubernetes.replace_lease(&claim.taken(&found)).await {
            Err(error) if is_settled_by_reading(&error) => {}
            result => return Ok((result?, sent)),
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
pub fn is_renewed(lease: &Lease, now: Timestamp) -> bool {
    let is_young = |renewed: Timestamp| now.duration_since(renewed).unsigned_abs() < duration_of(lease);
    lease.holder.is_some() && lease.renewed.is_some_and(is_young)
}

/// Who holds it and since when, in words.
pub fn words(lease: &Lease) -> String {
    let since = lease.acquired.map(|time| format!(" since {}", time.round(jiff::Unit::Second).unwrap_or(time)));
    let holder = lease.holder.as_deref().unwrap_or("nobody");
    format!("the Lease {} is held by {holder}{}", lease.name, since.unwrap_or_default())
}

fn refusal(claim: &Claim, found: &Lease) -> Stop {
    let ObjectName { namespace, name } = &found.name;
    Stop::refused(format!(
        "another run works on the {}: {}. Nothing was changed. Wait until it ends; if it is certain that it is dead, \
         `kubectl --namespace {namespace} delete lease {name}`",
        claim.identity,
        words(found),
    ))
    .held_by(found.holder.as_deref().unwrap_or("nobody"))
}

impl Claim {
    /// Refuses a Lease of another cluster: two clusters with one name, or two specs with one owner.
    fn check_cluster(&self, found: &Lease) -> Result<(), Stop> {
        let ours = self.identity.cluster_label();
        match found.labels.get(CLUSTER_ID) {
            Some(theirs) if *theirs != ours => Err(Stop::refused(format!(
                "the Lease {} belongs to another cluster ({}), and this is {}. Nothing was changed. Give each cluster its own \
                 name in toolbox.yaml, and each spec its own --owner",
                self.name,
                found.annotations.get(IDENTITY).map_or("unknown", String::as_str),
                self.identity.cluster
            ))),
            _ => Ok(()),
        }
    }

    /// The Lease as ours from now on.
    fn taken(&self, lease: &Lease) -> Lease {
        let now = (self.clock)();
        let is_new = lease.resource_version.is_empty();
        let mut taken = self.renewed(lease);
        taken.labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
        taken.labels.insert(COMPONENT.into(), RUN_LOCK.into());
        taken.labels.insert(CLUSTER_ID.into(), self.identity.cluster_label());
        taken.annotations.insert(IDENTITY.into(), self.identity.to_string());
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
    renewal: Arc<Renewal>,
    /// As it was last read or written.
    lease: Lease,
    /// Whether it was said that the API server does not answer.
    is_silent: bool,
}

impl Renewer {
    async fn run(mut self, mut released: oneshot::Receiver<Option<String>>) {
        loop {
            tokio::select! {
                biased;
                note = &mut released => return self.release(note.ok().flatten()).await,
                () = sleep(RENEWED_EVERY) => {}
            }
            let renewed = timeout(RENEWAL_MAX, self.renew()).await;
            match renewed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.failed(&error),
                Err(_) => self.not_renewed(&format!("no answer within {} s", RENEWAL_MAX.as_secs())),
            }
            if self.lease.holder.as_deref() != Some(&self.claim.holder) {
                self.renewal.lose(format!("the lock is lost: another run took over, {}", words(&self.lease)));
            }
            if self.renewal.is_stale() {
                self.renewal.lose(format!(
                    "the lock is lost: the Lease {} could not be renewed for {} s, and another run may hold it soon",
                    self.claim.name,
                    self.renewal.age().as_secs()
                ));
            }
            if self.renewal.lost().is_some() {
                return;
            }
        }
    }

    /// Writes the Lease anew; where it was changed since, or an answer was lost, reads first.
    async fn renew(&mut self) -> Result<(), KubernetesError> {
        let mut sent = (self.claim.age)();
        let renewed = self.claim.renewed(&self.lease);
        let written = match self.kubernetes.replace_lease(&renewed).await {
            Err(error) if is_settled_by_reading(&error) => {
                let found = self.kubernetes.lease(&self.claim.name).await?;
                sent = (self.claim.age)();
                match found {
                    Some(found) if found.holder.as_deref() == Some(&self.claim.holder) => {
                        self.kubernetes.replace_lease(&self.claim.renewed(&found)).await?
                    }
                    // Held by another, or by nobody: either way, not ours.
                    Some(found) => found,
                    // Somebody deleted it, and nobody took it: it is ours still.
                    None => self.kubernetes.create_lease(&self.lease).await?,
                }
            }
            result => result?,
        };
        self.lease = written;
        if self.lease.holder.as_deref() == Some(&self.claim.holder) {
            self.renewal.renewed(sent);
            if std::mem::take(&mut self.is_silent) {
                (self.claim.say)(&format!("the Lease {} is renewed again", self.claim.name));
            }
        }
        Ok(())
    }

    /// What can't be mended by waiting loses the Lease at once: the right to it was taken away.
    fn failed(&mut self, error: &KubernetesError) {
        use KubernetesError::{Forbidden, Unauthorized};
        if matches!(error, Forbidden { .. } | Unauthorized { .. }) {
            let name = &self.claim.name;
            self.renewal.lose(format!("the lock is lost: the Lease {name} may not be renewed any more ({error})"));
        } else {
            self.not_renewed(&error.to_string());
        }
    }

    /// Says once that the Lease can't be renewed.
    fn not_renewed(&mut self, why: &str) {
        tracing::info!(why, "the Lease {} was not renewed", self.claim.name);
        if !std::mem::replace(&mut self.is_silent, true) {
            (self.claim.say)(&format!(
                "the Lease {} could not be renewed ({why}). It is tried again; this run stops if that fails for {} s",
                self.claim.name,
                SAFE.as_secs()
            ));
        }
    }

    async fn release(self, note: Option<String>) {
        let why = match timeout(RELEASE_MAX, self.write_free(note.as_deref())).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", RELEASE_MAX.as_secs()),
        };
        (self.claim.say)(&format!(
            "the Lease {} could not be released ({why}); the next run waits up to {} s for it",
            self.claim.name,
            DURATION.as_secs()
        ));
    }

    async fn write_free(&self, note: Option<&str>) -> Result<(), KubernetesError> {
        let free = |lease: &Lease| {
            let mut free = freed(lease);
            match note {
                Some("") => drop(free.annotations.remove(NOTE)),
                Some(note) => drop(free.annotations.insert(NOTE.to_owned(), note.to_owned())),
                None => {}
            }
            free
        };
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
mod tests;
