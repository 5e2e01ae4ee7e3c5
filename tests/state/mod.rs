//! What is kept between runs and what keeps runs apart, on real clusters.

mod exclusion;
mod kafka_lock;
mod kafka_lock_faults;
mod kafka_lock_frozen;
