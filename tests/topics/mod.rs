//! `toolbox topics`, whole commands.
