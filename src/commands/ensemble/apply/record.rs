//! The record of an ensemble or a quorum: desired members, last good configuration, the change under way. It is written only over
//! what was read.

use jiff::Timestamp;

use crate::change::carry_out::Ended;
use crate::cluster::ensemble::desired::{DesiredState, MemberState};
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::refuse::next_step;
use crate::context::Context;
use crate::output;
use crate::state::document::{Changed, Document};
use crate::state::identity::Identity;

/// How often a change of the record is made again because somebody else wrote it in between.
const TRIES: usize = 5;

/// The record, as it was read or written last.
#[derive(Debug)]
pub struct Record<D> {
    document: Document,
    /// What it says; none before `adopt`.
    pub desired: Option<D>,
}

impl<D: DesiredState> Record<D> {
    /// Reads the record of an identity.
    pub async fn open(context: &Context, identity: &Identity) -> anyhow::Result<Self> {
        let mut document = context.document(identity).await?;
        let desired = document.load().await?;
        Ok(Self { document, desired })
    }

    /// Reads it again.
    pub async fn reload(&mut self) -> anyhow::Result<()> {
        self.desired = self.document.load().await?;
        Ok(())
    }

    /// Corrects times that lie in the future: a clock was wrong when they were written, and nothing could be changed until they
    /// have come. The rest between two changes then begins now. Where it can't be written, the next pass tries again.
    pub async fn correct_times(&mut self, now: Timestamp) {
        let Some(corrected) = self.desired.as_ref().and_then(|desired| desired.without_future(now)) else { return };
        output::complain(&format!(
            "{} has times that lie in the future: a clock is, or was, wrong. They count as now",
            self.place()
        ));
        if let Err(why) = self.save(&corrected).await {
            tracing::warn!(reason = why.reason, "times of the record can't be corrected");
        }
    }

    /// Where it is kept, for messages.
    pub fn place(&self) -> String {
        self.document.place()
    }

    /// Writes it. Where somebody else wrote it since it was read, nothing is written and the step is refused.
    pub async fn save(&mut self, desired: &D) -> Result<(), Ended> {
        match self.document.save(desired).await {
            Ok(()) => {
                self.desired = Some(desired.clone());
                Ok(())
            }
            Err(error) if error.is::<Changed>() => {
                let why = format!("{} was changed by another run in the meantime", self.document.place());
                Err(conflict(why))
            }
            Err(error) => Err(Ended::failed(format!("{error:#}"))),
        }
    }

    /// Writes what people say over what was read. What a pass noted since of who runs is kept, and is no reason to refuse: nobody
    /// decided by it.
    pub async fn declare(&mut self, before: Option<&D>, after: &D) -> Result<(), Ended> {
        let Err(ended) = self.save(after).await else { return Ok(()) };
        let Some(before) = before else { return Err(ended) };
        self.reload().await.map_err(|error| Ended::failed(format!("{error:#}")))?;
        match &self.desired {
            Some(now) if now.clone().with_sightings(&before.sightings()) == *before => {
                let sightings = now.sightings();
                self.save(&after.clone().with_sightings(&sightings)).await
            }
            _ => Err(ended),
        }
    }

    /// Changes it, on what is there: made again where somebody else was faster. `change` gives nothing where there is nothing
    /// left to do.
    pub async fn update(&mut self, mut change: impl FnMut(&D) -> Option<D>) -> Result<(), Ended> {
        for attempt in 1..=TRIES {
            let Some(next) = self.desired.as_ref().and_then(&mut change) else { return Ok(()) };
            match self.save(&next).await {
                Err(ended) if attempt < TRIES => {
                    tracing::debug!(reason = ended.reason, "the record is read again");
                    self.reload().await.map_err(|error| Ended::failed(format!("{error:#}")))?;
                    if self.desired.is_none() {
                        return Err(Ended::failed(format!("{} is gone", self.place())));
                    }
                }
                saved => return saved,
            }
        }
        Ok(())
    }

    /// What is desired, where a record is needed.
    pub fn known(&self) -> Result<D, Ended> {
        self.desired.clone().ok_or_else(|| Ended::refused("there is no record"))
    }

    /// Writes down what a member has become.
    pub async fn mark(&mut self, id: D::Id, state: MemberState) -> Result<(), Ended> {
        let mut next = self.known()?;
        if let Some(member) = next.state_mut(id) {
            *member = state;
        }
        self.save(&next).await
    }

    /// Writes down the intent to make a change.
    pub async fn intend(&mut self, op: &D::Op) -> Result<(), Ended> {
        let next = self.known()?.with_op(Some(op.clone()));
        self.save(&next).await
    }

    /// Takes the intent out again, unless another change is under way by now.
    pub async fn forget(&mut self, op: &D::Op) -> Result<(), Ended> {
        self.update(|desired| desired.is_open(op).then(|| desired.clone().with_op(None))).await
    }

    /// The same for a change that was not made. Where it fails, the next pass finds that it was not applied.
    pub async fn forget_unmade(&mut self, op: &D::Op) {
        if let Err(why) = self.forget(op).await {
            tracing::warn!(reason = why.reason, "the record still names a change that was not made");
        }
    }
}

/// A step that is refused because somebody else changes the same.
pub fn conflict(why: impl Into<String>) -> Ended {
    refused(&Refusal::new(Code::Conflict, why, next_step(Code::Conflict)))
}

/// A step that is refused by name.
pub fn refused(refusal: &Refusal) -> Ended {
    Ended::refused(refusal.to_string())
}

/// A step whose result is not known.
pub fn unknown(why: &str) -> Ended {
    let next = next_step(Code::UnknownResult);
    Ended::unknown(Refusal::new(Code::UnknownResult, why, next).to_string())
}
