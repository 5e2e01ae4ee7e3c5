//! `toolbox events`, the outbox, Datadog.
