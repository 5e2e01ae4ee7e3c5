//! Where declared topics come from: the flags of every verb that reads a spec.

use std::path::PathBuf;

use clap::Args;

use crate::commands::topics::spec::Format;
use crate::context::sources;
use crate::exit::Stop;
use crate::formats::source::Source;

/// Where declared topics come from.
#[derive(Debug, Clone, Args)]
pub(super) struct SourceArgs {
    /// A file, a folder of .yaml, .yml and .json files, or - for standard input; repeatable. A ConfigMap's manifest is
    /// read as its keys
    #[arg(
        long = "file",
        short = 'f',
        env = "TOOLBOX_TOPICS_FILE",
        value_name = "FILE|FOLDER|-",
        value_delimiter = ',',
        help_heading = "Topics"
    )]
    pub(super) files: Vec<PathBuf>,

    /// The form in which topics are declared
    #[arg(long, env = "TOOLBOX_TOPICS_FORMAT", value_name = "FORMAT", default_value = "auto", help_heading = "Topics")]
    pub(super) format: Format,
}

impl SourceArgs {
    /// Reads what the flags name. Naming nothing is wrong usage.
    pub(super) fn load(&self) -> anyhow::Result<Vec<Source>> {
        if self.files.is_empty() {
            return Err(Stop::usage("no topics given: name a file or folder with -f, or - for standard input").into());
        }
        sources::load(&self.files)
    }
}
