//! What a person is shown of a cluster and of a plan: rows, sums, charts, a page. Pure.
//!
//! - [`answer`]: a plan with its effect, as data; [`text`] shows it in a terminal, [`page`] as one HTML file.
//! - [`choices`]: what several tolerances cost and bring, side by side.
//! - [`holdings`]: who holds what now, and what would fail if a broker or rack were lost.

pub mod answer;
mod chart;
pub mod choices;
pub mod flow;
pub mod holdings;
pub mod least;
pub mod load;
pub mod page;
pub mod text;

#[cfg(test)]
mod tests;
