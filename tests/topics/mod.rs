//! `toolbox topics`, whole commands.

mod applying;
mod behind;
mod cases;
mod field;
mod in_kubernetes;
mod listing;
mod live;
mod risk;
