//! Verdicts and their laws, from plain data.

mod alive;
mod controller;
mod kafka;
mod zookeeper;
