//! The state table, every guard and refusal as cases, and histories against a model of ZooKeeper's own rules.

mod cases;
mod declare;
mod histories;
mod model;
mod prestart;
mod refusals;
mod scene;
mod starts;
mod steps;
mod table;
