//! `toolbox identity show`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::clients::files;
use crate::commands::identity::command::flags::cluster;
use crate::commands::identity::plan::Registry;
use crate::commands::identity::report::{Evidence, Page, Table, tables};
use crate::context::Context;
use crate::exit::{Exit, Stop};
use crate::output;
use crate::state::identity::Identity;

/// Longest evidence.
const BYTES_MAX: u64 = 1 << 20;

/// Arguments of `toolbox identity show`.
#[derive(Debug, Clone, Args)]
pub(super) struct ShowArgs {
    /// Folder of the output files: the evidence is in its identity.json
    #[arg(long, env = "TOOLBOX_IDENTITY_OUT", value_name = "FOLDER", default_value = "/var/run/kafka-identity")]
    out: PathBuf,

    /// Show the registry of this map as well: who has which id
    #[arg(long, value_name = "NAME")]
    map: Option<String>,
}

/// Shows the evidence, and the registry of a map.
pub(super) async fn run(context: &mut Context, args: &ShowArgs) -> anyhow::Result<Exit> {
    let evidence = evidence(args)?;
    let registry = match &args.map {
        None => None,
        Some(map) => {
            context.read_toolbox_file()?;
            let identity = Identity::of_brokers(&cluster(context)?, map);
            let mut document = context.document(&identity).await?;
            let found = document.load::<Registry>().await?;
            Some(found.ok_or_else(|| {
                Stop::usage(format!("{} is not there: no id of map {map} was given out", document.place()))
            })?)
        }
    };
    if evidence.is_none() && registry.is_none() {
        let path = args.out.join("identity.json");
        let message = format!(
            "{} is not there: no id was given out here; --out names another folder, --map shows the registry",
            path.display()
        );
        return Err(Stop::usage(message).into());
    }
    let page = Page { evidence, registry };
    context.output().result(&page, |is_wide| {
        let shown: Vec<_> =
            tables(&page, is_wide).iter().map(|Table { head, rows }| output::table(head, rows)).collect();
        shown.join("\n")
    })?;
    Ok(Exit::Done)
}

fn evidence(args: &ShowArgs) -> anyhow::Result<Option<Evidence>> {
    let path = args.out.join("identity.json");
    let text = match files::read_text(&path, BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    let read = serde_json::from_str(&text);
    let wrong = |error| Stop::usage(format!("{} is no evidence of `identity assign`: {error}", path.display()));
    Ok(Some(read.map_err(wrong)?))
}
