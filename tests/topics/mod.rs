//! `toolbox topics`, whole commands.

mod applying;
mod in_kubernetes;
mod listing;
mod live;
