//! What people write for a server: lines of zoo.cfg, its own address with placeholders, a controller's properties.

pub mod controller;
pub mod own_line;
pub mod zoo_cfg;
