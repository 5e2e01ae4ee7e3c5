//! The HTTP form: looks at a server again and again ([`looks`]), keeps what it saw ([`board`]), answers from memory
//! ([`http`]).

pub mod board;
pub mod http;
pub mod looks;
