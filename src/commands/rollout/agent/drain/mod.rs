//! `rollout drain-guard`: the webhook's port ([`http`]), what it decides and holds ([`guard`]), and what it shows ([`board`]).

pub mod board;
pub mod certificate;
pub mod guard;
pub mod http;
