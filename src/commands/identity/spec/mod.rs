//! Texts of `identity` as checked values: names of pods, ids and ranges, `meta.properties`, listeners. Pure.

pub mod disk;
pub mod ids;
pub mod listeners;
pub mod name;
