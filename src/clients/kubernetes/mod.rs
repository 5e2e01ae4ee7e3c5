//! The door to Kubernetes: ConfigMaps, Leases and Events.
