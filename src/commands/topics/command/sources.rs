//! Where declared topics come from: the flags of every verb that reads a spec.

use std::path::PathBuf;

use clap::Args;

use crate::commands::topics::spec::Format;
use crate::context::Context;
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

    /// A live ConfigMap, each key one document: `NAMESPACE/NAME`, or `NAME`; repeatable
    #[arg(
        long,
        env = "TOOLBOX_TOPICS_CONFIGMAP",
        value_name = "NAMESPACE/NAME",
        value_delimiter = ',',
        help_heading = "Topics"
    )]
    pub(super) configmap: Vec<String>,

    /// All live ConfigMaps of the namespace with these labels, as `app=orders,tier!=test`; repeatable
    #[arg(long, env = "TOOLBOX_TOPICS_SELECTOR", value_name = "LABELS", help_heading = "Topics")]
    pub(super) selector: Vec<String>,

    /// The form in which topics are declared
    #[arg(long, env = "TOOLBOX_TOPICS_FORMAT", value_name = "FORMAT", default_value = "auto", help_heading = "Topics")]
    pub(super) format: Format,
}

impl SourceArgs {
    /// Whether any source is named.
    pub(super) fn is_given(&self) -> bool {
        !(self.files.is_empty() && self.configmap.is_empty() && self.selector.is_empty())
    }

    /// Reads what the flags name. Naming nothing is wrong usage.
    pub(super) async fn load(&self, context: &Context) -> anyhow::Result<Vec<Source>> {
        let Self { files, configmap, selector, format: _ } = self;
        if !self.is_given() {
            return Err(Stop::usage(
                "no topics given: name a file or folder with -f (- for standard input), or ConfigMaps with --configmap \
                 or --selector",
            )
            .into());
        }
        let mut sources = sources::load(files)?;
        sources.extend(context.config_map_sources(configmap, selector).await?);
        Ok(sources)
    }

    /// What this spec is called where a run looks for what was last applied of it: the same for every run of one job.
    pub(super) fn name(&self) -> String {
        let file = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone()).display().to_string();
        let mut parts: Vec<_> = self.files.iter().map(file).collect();
        parts.extend(self.configmap.iter().map(|name| format!("configmap {name}")));
        parts.extend(self.selector.iter().map(|labels| format!("configmaps {labels}")));
        parts.sort();
        parts.join(", ")
    }
}
