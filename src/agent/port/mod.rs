//! An agent's HTTP port: health and metrics for everybody, the command's own routes for those who may.
//!
//! - [`server`] accepts within limits: connections, time, bytes.
//! - [`origin`] refuses what a page of another site sends through a person's browser.
//! - [`access`] asks for the token. [`parameters`] reads a query strictly.
//! - [`routes`] puts it together; [`refusal`] is every answer that is a no.

pub mod access;
pub mod origin;
pub mod parameters;
pub mod refusal;
pub mod routes;
pub mod server;
