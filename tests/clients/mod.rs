//! Contracts that live clients and their memory twins both keep.

mod kafka;
mod kubernetes;
