//! What the API server sends to `rollout drain-guard`, and how that is answered.

pub mod review;
