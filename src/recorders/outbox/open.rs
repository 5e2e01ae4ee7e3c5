//! Intents that outlive their process: a script records one before it acts, and its outcome in another process.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::change::event::{Event, Outcome};
use crate::recorders::folder;
use crate::recorders::journal::{Journal, Line};
use crate::recorders::outbox::Outbox;
use crate::recorders::outbox::rotate::Behind;

/// Longest wait for another process that looks at the same journal.
const HELD_WAIT: Duration = Duration::from_secs(2);
const HELD_POLL: Duration = Duration::from_millis(20);

/// Why an intent can't be ended.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There was never such an intent here, or it is older than the audit log.
    #[error("no intent {0} is open here; --state-folder must be the one that `events send --intent` wrote to")]
    NotFound(Uuid),
    /// It has an outcome.
    #[error("intent {event_id} ended as {outcome} at {time:.0} already; nothing was recorded")]
    Ended {
        /// The intent.
        event_id: Uuid,
        /// How it ended.
        outcome: Outcome,
        /// When.
        time: Timestamp,
    },
    /// The state folder can't be read or written.
    #[error("the state folder can't be used: {0}")]
    Folder(#[from] io::Error),
}

impl Outbox {
    /// Records an intent whose outcome another process will tell. If nobody has by that time, it ends as `unknown`.
    pub async fn leave_open(&mut self, intent: &Event, until: Timestamp) -> Result<(), OpenError> {
        self.start().await;
        let intent = intent.cleaned();
        let open = folder::open(&self.settings.state);
        let journal = Journal::create(&open, &intent.event_id.to_string(), &self.header(Some(until)))?;
        journal.append_durably(&[Line::Event(Box::new(intent.clone()))])?;
        // What fails here is mended when the intent ends.
        self.write_audit(&[intent]).await;
        Ok(())
    }

    /// Records the outcome of such an intent and returns it.
    pub async fn end_open(&mut self, event_id: Uuid, end: impl FnOnce(&Event) -> Event) -> Result<Event, OpenError> {
        self.start().await;
        let path = folder::open(&self.settings.state).join(format!("{event_id}.jsonl"));
        let mut waited = Duration::ZERO;
        let (journal, contents) = loop {
            match Journal::take_over(&path)? {
                Some(taken) => break taken,
                None if path.exists() && waited < HELD_WAIT => tokio::time::sleep(HELD_POLL).await,
                None => return Err(self.why_not_open(event_id)?),
            }
            waited += HELD_POLL;
        };
        let Some(intent) = contents.unmatched().into_iter().find(|event| event.event_id == event_id) else {
            return Err(self.why_not_open(event_id)?);
        };
        let outcome = end(intent);
        // From now on the sinks of this process count.
        let open_until = contents.header.as_ref().and_then(|header| header.open_until);
        journal.append(&[Line::Run(self.header(open_until))])?;
        self.audit_behind = Some(Behind::now());
        self.journal = Some(journal.into());
        self.journals_begun += 1;
        self.write(std::slice::from_ref(&outcome)).await;
        Ok(outcome)
    }

    fn why_not_open(&self, event_id: Uuid) -> io::Result<OpenError> {
        let mut ended = None;
        self.audit.each(|event| {
            if event.event_id == event_id && !event.is_intent() {
                ended = Some((event.outcome, event.time));
            }
        })?;
        Ok(match ended {
            Some((outcome, time)) => OpenError::Ended { event_id, outcome, time },
            None => OpenError::NotFound(event_id),
        })
    }
}
