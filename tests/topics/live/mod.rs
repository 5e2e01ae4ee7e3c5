//! `toolbox topics` on real brokers, whole processes.

mod behind;
mod killed;
mod owners;
mod story;
mod trouble;
