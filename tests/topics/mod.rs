//! `toolbox topics`, whole commands.

mod applying;
mod behind;
mod cases;
mod created_again;
mod deleting;
mod field;
mod in_kubernetes;
mod listing;
mod live;
mod risk;
