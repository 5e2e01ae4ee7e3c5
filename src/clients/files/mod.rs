//! Files: those that a person names ([`named`]: results, observations, metrics), and those of the state folder
//! ([`state`]: journals, the audit log, locks, documents), each with its own rules. All writes of whole files are
//! atomic: whoever reads finds the old bytes or the new ones.
//!
//! | | a person names it | in the state folder |
//! |---|---|---|
//! | mode | that of the existing file, else what [`Readers`] says | files 0600, folders 0700 |
//! | link | stays, and what it leads to is replaced | refused |
//! | pipe, terminal, device | written as it is; read only where this process was given it open ([`reading`]) | refused, without waiting for another end |
//! | reading | up to a number of bytes | up to a number of bytes |

mod in_time;
mod named;
mod reading;
pub mod state;
#[cfg(test)]
mod tests;

pub use in_time::in_time;
pub use named::{
    Readers, check_length, folder_of, make_folder, may_write_in, read_bounded, read_text, write, write_all,
    write_with_folder,
};
pub use reading::{Reading, open};
