//! Verbs: how anything at all is changed. Everything here is pure but [`attempts`], [`brake`],
//! [`carry_out`], [`fail_point`] and [`looks`].
//!
//! A command plans ([`plan`]), the plan is shown ([`render`]), its steps are carried out batch by batch
//! ([`carry_out`]), and each leaves an intent before and an outcome after ([`event`]). Whatever throttles replication
//! decides by [`throttle`] what to write: it tells ours from foreign. What a run that died left open is decided by [`settled`].

pub mod attempts;
pub mod brake;
pub mod carry_out;
pub mod event;
pub mod fail_point;
pub mod in_order;
pub mod looks;
pub mod plan;
pub mod render;
pub mod settled;
pub mod throttle;
