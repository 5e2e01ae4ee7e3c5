//! Shares budgets out among flows: weighted max-min fair.
//!
//! Steps (progressive filling): all flows grow at once, each in proportion to its weight, until one budget is used up or
//! one flow has what it wants; those stand still, the others grow on.

/// One flow from a source to a destination, each an index into the budgets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// The source's budget.
    pub from: usize,
    /// The destination's budget.
    pub to: usize,
    /// How fast it grows next to the others; above 0.
    pub weight: f64,
    /// The most that it wants.
    pub wants: f64,
}

/// Budgets below this are used up: what is left is rounding.
const USED_UP: f64 = 1e-6;

/// The rate of each flow. No budget is exceeded, and no flow could have more without taking from one that has no more.
pub fn share(flows: &[Flow], budgets: &[f64]) -> Vec<f64> {
    let mut left: Vec<f64> = budgets.iter().map(|budget| budget.max(0.0)).collect();
    let mut rates = vec![0.0; flows.len()];
    let mut open: Vec<usize> = (0..flows.len()).collect();
    // Each round closes a budget or a flow.
    for _ in 0..flows.len() + budgets.len() {
        open.retain(|index| {
            let Flow { from, to, wants, .. } = flows[*index];
            let has_room = |end: usize| left[end] > budgets[end].max(1.0) * USED_UP;
            has_room(from) && has_room(to) && rates[*index] < wants
        });
        if open.is_empty() {
            break;
        }
        let mut weights = vec![0.0; budgets.len()];
        for index in &open {
            let Flow { from, to, weight, .. } = flows[*index];
            weights[from] += weight;
            weights[to] += weight;
        }
        let ends = left.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0).map(|(left, weight)| left / weight);
        let wants = open.iter().map(|index| (flows[*index].wants - rates[*index]) / flows[*index].weight);
        let growth = ends.chain(wants).fold(f64::INFINITY, f64::min);
        for index in &open {
            let Flow { from, to, weight, .. } = flows[*index];
            rates[*index] += growth * weight;
            left[from] -= growth * weight;
            left[to] -= growth * weight;
        }
    }
    rates
}
