//! `toolbox reassign`: on a cluster in memory, and on real ones.

mod bench;
mod cancelling;
mod executing;
mod live;
