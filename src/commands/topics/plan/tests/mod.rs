//! What the planner decides, case by case; and the laws that hold for every plan.

mod cluster;
mod costs;
mod decisions;
mod laws;
mod placements;
