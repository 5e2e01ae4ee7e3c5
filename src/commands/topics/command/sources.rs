//! Where declared topics come from: the flags of every verb that reads a spec.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::visible;
use crate::commands::topics::spec::{self, Format, Spec};
use crate::context::Context;
use crate::context::sources;
use crate::exit::Stop;
use crate::formats::place::{Fault, Faults};
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

    /// Who declares these topics: what was applied is remembered for this owner, and only its own keys are ever unset. Two
    /// owners can't declare one topic [default: the files, or the ConfigMaps, as they are named here]
    #[arg(long, env = "TOOLBOX_OWNER", value_name = "NAME", help_heading = "Topics", value_parser = owner)]
    pub(super) owner: Option<String>,

    /// The form in which topics are declared
    #[arg(long, env = "TOOLBOX_TOPICS_FORMAT", value_name = "FORMAT", default_value = "auto", help_heading = "Topics")]
    pub(super) format: Format,
}

impl SourceArgs {
    /// Whether any source is named.
    pub(super) fn is_given(&self) -> bool {
        !(self.files.is_empty() && self.configmap.is_empty() && self.selector.is_empty())
    }

    /// Whether live ConfigMaps are read.
    pub(super) fn reads_config_maps(&self) -> bool {
        !(self.configmap.is_empty() && self.selector.is_empty())
    }

    /// Reads what the flags name, and what is wrong with it before any text is read. Naming nothing is wrong usage.
    pub(super) async fn load(&self, context: &Context) -> anyhow::Result<(Vec<Source>, Vec<Fault>)> {
        let Self { files, configmap, selector, owner: _, format: _ } = self;
        if !self.is_given() {
            return Err(Stop::usage(
                "no topics given: name a file or folder with -f (- for standard input), or ConfigMaps with --configmap \
                 or --selector",
            )
            .into());
        }
        let mut sources = sources::load(files)?;
        let (live, faults) = context.config_map_sources(configmap, selector).await?;
        sources.extend(live);
        Ok((sources, faults))
    }

    /// The declared topics, if no source has a fault.
    pub(super) async fn read(&self, context: &Context) -> anyhow::Result<Result<Spec, Faults>> {
        let (sources, faults) = self.load(context).await?;
        Ok(parse_whole(&sources, faults, self.format))
    }

    /// Who declares these topics: `--owner`, else what is named here, as it was written. A path is made absolute and its
    /// links are not resolved: a file of a mounted ConfigMap has another target after each update.
    pub(super) fn owner(&self) -> String {
        if let Some(owner) = &self.owner {
            return owner.clone();
        }
        let file = |path: &PathBuf| match path.to_str() {
            Some("-") => "standard input".to_owned(),
            _ => std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
        };
        let mut parts: Vec<_> = self.files.iter().map(file).collect();
        parts.extend(self.configmap.iter().map(|name| format!("configmap {name}")));
        parts.extend(self.selector.iter().map(|labels| format!("configmaps {labels}")));
        parts.sort();
        parts.join(", ")
    }
}

/// The declared topics, if there is no fault; `given` are those that were found before any text was read.
pub(super) fn parse_whole(sources: &[Source], given: Vec<Fault>, format: Format) -> Result<Spec, Faults> {
    let mut faults = given;
    match spec::parse(sources, format) {
        Ok(spec) => Faults::check(faults).map(|()| spec),
        Err(Faults(found)) => {
            faults.extend(found);
            Err(Faults::check(faults).err().unwrap_or(Faults(Vec::new())))
        }
    }
}

/// Longest name of an owner.
const OWNER_CHARACTERS_MAX: usize = 128;

fn owner(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > OWNER_CHARACTERS_MAX || text.chars().any(visible::is_hidden) {
        return Err(format!("an owner is a name of 1 to {OWNER_CHARACTERS_MAX} characters, as `platform`"));
    }
    Ok(text.to_owned())
}
