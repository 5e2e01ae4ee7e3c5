//! Where events go: a durable outbox, and from there the audit log, Datadog and Kubernetes.
