//! Laws and decisions.
