//! `toolbox topics` on real brokers, whole processes.

mod behind;
mod killed;
mod owners;
mod settled;
mod story;
mod trouble;
