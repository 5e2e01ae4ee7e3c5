//! `toolbox topics`, whole commands.

mod applying;
mod cases;
mod field;
mod in_kubernetes;
mod listing;
mod live;
mod risk;
