//! The record of an ensemble or a quorum: desired members, last good configuration, the change under way. It is written only over
//! what was read.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::change::carry_out::Ended;
use crate::cluster::ensemble::controllers::DesiredQuorum;
use crate::cluster::ensemble::desired::Desired;
use crate::commands::ensemble::plan::code::{Code, Refusal};
use crate::commands::ensemble::plan::refuse::next_step;
use crate::context::Context;
use crate::output;
use crate::state::document::{Changed, Document};
use crate::state::identity::Identity;

/// How often a change of the record is made again because somebody else wrote it in between.
const TRIES: usize = 5;

/// What has times in it that machines with other clocks may have written.
pub trait Times: Sized {
    /// The same with the present time in the place of later ones; nothing where there are none.
    fn without_future(&self, now: Timestamp) -> Option<Self>;
}

impl Times for Desired {
    fn without_future(&self, now: Timestamp) -> Option<Self> {
        self.without_future(now)
    }
}

impl Times for DesiredQuorum {
    fn without_future(&self, now: Timestamp) -> Option<Self> {
        self.without_future(now)
    }
}

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

    /// Corrects times that lie in the future: a clock was wrong when they were written, and nothing could be changed until they
    /// have come. The rest between two changes then begins now. Where it can't be written, the next pass tries again.
    pub async fn correct_times(&mut self, now: Timestamp)
    where
        D: Times,
    {
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
                    if self.desired.is_none() {
                        return Err(Ended::failed(format!("{} is gone", self.place())));
                    }
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
