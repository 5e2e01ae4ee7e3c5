//! The twin in memory: an intake that keeps Datadog's limits, and can be told to be in trouble.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::clients::datadog::{
    AGE_SECONDS_MAX, AGGREGATION_KEY_CHARS_MAX, Datadog, DatadogError, DatadogEvent, TAG_CHARS_MAX, TEXT_CHARS_MAX,
    TITLE_CHARS_MAX,
};

/// An intake in memory.
#[derive(Debug)]
pub struct Memory {
    /// What time it is, in seconds since 1970.
    now: fn() -> i64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: Vec<DatadogEvent>,
    trouble: Option<DatadogError>,
}

impl Memory {
    /// An intake with a clock.
    pub fn new(now: fn() -> i64) -> Self {
        Self { now, state: Mutex::default() }
    }

    /// From now on every event is answered with this, or taken again.
    pub fn set_trouble(&self, trouble: Option<DatadogError>) {
        self.state().trouble = trouble;
    }

    /// What was taken.
    pub fn taken(&self) -> Vec<DatadogEvent> {
        self.state().taken.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Datadog for Memory {
    async fn post(&self, event: &DatadogEvent) -> Result<(), DatadogError> {
        let mut state = self.state();
        if let Some(trouble) = &state.trouble {
            return Err(trouble.clone());
        }
        check(event, (self.now)())?;
        state.taken.push(event.clone());
        Ok(())
    }
}

/// Datadog's limits.
fn check(event: &DatadogEvent, now: i64) -> Result<(), DatadogError> {
    let DatadogEvent { title, text, tags, alert_type: _, priority: _, aggregation_key, date_happened } = event;
    let longest_tag = tags.iter().map(|tag| tag.chars().count()).max().unwrap_or(0);
    let lengths = [
        ("title", title.chars().count(), TITLE_CHARS_MAX),
        ("text", text.chars().count(), TEXT_CHARS_MAX),
        ("aggregation_key", aggregation_key.chars().count(), AGGREGATION_KEY_CHARS_MAX),
        ("tags", longest_tag, TAG_CHARS_MAX),
    ];
    for (name, length, limit) in lengths {
        if length > limit {
            return Err(DatadogError::TooLarge(format!("{name} has {length} characters, the limit is {limit}")));
        }
    }
    if title.is_empty() {
        return Err(DatadogError::Malformed("title is empty".into()));
    }
    if now - date_happened > AGE_SECONDS_MAX {
        return Err(DatadogError::Malformed("date_happened is more than 18 hours ago".into()));
    }
    Ok(())
}
