//! `toolbox topics`, whole commands.

mod applying;
mod listing;
mod live;
