//! Every security setting against a real broker: what works, and what each failure says.

pub(crate) mod bed;
pub(crate) mod certificates;
mod failures;
mod java;
mod measured;
pub(crate) mod stores;
mod tokens;
mod works;
