//! The door to Datadog: events over HTTP and DogStatsD.
