//! `toolbox topics` on real brokers, whole processes.

mod killed;
mod story;
mod trouble;
