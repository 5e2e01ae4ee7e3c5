//! The library behind the one binary, `toolbox`. Start reading in [`cli`], then in one folder of [`commands`]:
//! every command has the same few files. The map of the house is ARCHITECTURE.md.

pub mod agent;
pub mod change;
pub mod cli;
pub mod clients;
pub mod cluster;
pub mod commands;
pub mod context;
pub mod exit;
pub mod formats;
pub mod manual;
pub mod output;
pub mod recorders;
pub mod state;
pub mod telemetry;
