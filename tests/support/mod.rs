//! What several tests need.

pub(crate) mod desk;
pub(crate) mod product_code;
pub(crate) mod skipped;
pub(crate) mod toolbox;
pub(crate) mod unkept;
pub(crate) mod wall_clock;
