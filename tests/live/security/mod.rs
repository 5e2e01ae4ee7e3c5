//! Every security setting against a real broker: what works, and what each failure says.

mod bed;
pub(crate) mod certificates;
mod failures;
mod java;
mod measured;
mod stores;
mod tokens;
mod works;
