//! `toolbox topics` on real brokers, whole processes.

mod killed;
mod owners;
mod story;
mod trouble;
