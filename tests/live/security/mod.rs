//! Every security setting against a real broker.
