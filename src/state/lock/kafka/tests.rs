//! Tests of the lock on a cluster in memory.
