//! The contract of `clients::kubernetes`, on a real API server and in memory.
