//! The record of an ensemble or a quorum: desired members, last good configuration, the change under way. It is written only over
//! what was read.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::change::carry_out::Ended;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::refuse::next_step;
use crate::context::Context;
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

impl<D: Serialize + DeserializeOwned + Clone> Record<D> {
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
                Err(refused(&Refusal::new(Code::Conflict, why, next_step(Code::Conflict))))
            }
            Err(error) => Err(Ended::failed(format!("{error:#}"))),
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
                }
                saved => return saved,
            }
        }
        Ok(())
    }
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
