//! The state table, every guard and refusal as cases, and histories against a model of ZooKeeper's own rules.

mod cases;
mod clocks;
mod closed;
mod declare;
mod histories;
mod model;
mod pods;
mod prestart;
mod refusals;
mod scene;
mod starts;
mod steps;
mod table;
mod whose;
