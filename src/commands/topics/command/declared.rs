//! The declared topics of a run that changes something: all of them, or with `--keep-going` those of sources without faults.

use crate::cluster::topic::TopicName;
use crate::commands::topics::command::sources::SourceArgs;
use crate::commands::topics::command::validate::refusal;
use crate::commands::topics::plan::last::LastApplied;
use crate::commands::topics::spec::{Sound, Spec, parse_sound};
use crate::context::Context;
use crate::exit::Stop;
use crate::formats::place::{Fault, Faults};
use crate::formats::secret;
use crate::output;

/// Reads what is declared.
pub(super) async fn read(context: &Context, args: &SourceArgs, keep_going: bool) -> anyhow::Result<Sound> {
    let sound = if keep_going {
        let (sources, faults) = args.load(context).await?;
        parse_sound(&sources, faults, args.format).map_err(|faults| refusal(&faults))?
    } else {
        let spec = args.read(context).await?.map_err(|faults| refusal(&faults))?;
        Sound { spec, ..Sound::default() }
    };
    if !sound.left_out.is_empty() {
        let units: Vec<_> = sound.left_out.iter().map(String::as_str).collect();
        let faults = Faults(sound.faults.clone());
        output::complain_lines(&format!("left out whole because of faults: {}\n{faults}", units.join(", ")));
    }
    if sound.spec.topics.is_empty() {
        return Err(Stop::refused(
            "no topic is declared by what was given: nothing is done; is the selector, the folder or the file the \
             right one?",
        )
        .into());
    }
    // No topic's config holds a secret; a value under such a name is kept out of every output all the same.
    let config = sound.spec.topics.values().flat_map(|declared| &declared.config);
    for (_, value) in config.filter(|(key, _)| secret::is_secret_key(key)) {
        let _ = secret::remember(value.value.clone());
    }
    Ok(sound)
}

/// Refuses documents that are meant for another cluster than `--cluster`.
pub(super) fn is_of_cluster(context: &Context, spec: &Spec) -> anyhow::Result<()> {
    let Some(cluster) = context.flags.cluster.as_deref() else { return Ok(()) };
    let Some((named, place)) = spec.other_cluster(cluster) else { return Ok(()) };
    Err(Stop::refused(format!(
        "{place}: this topic is meant for cluster `{named}`, and --cluster is `{cluster}`; nothing is done"
    ))
    .into())
}

/// Declared topics that stay as they are because the source that they were last applied from is left out.
pub(super) fn protected(sound: &Sound, last: Option<&LastApplied>) -> Vec<(TopicName, Fault)> {
    let Some(last) = last else { return Vec::new() };
    let fault = |(name, declared)| {
        let applied = last.topics.get(name)?;
        Some((TopicName::clone(name), sound.fault_of(declared, &applied.source)?))
    };
    sound.spec.topics.iter().filter_map(fault).collect()
}

/// The words of the event about what was left out of a run that went on.
pub(super) fn partly(mut faults: Vec<Fault>) -> Stop {
    faults.sort();
    faults.dedup();
    let count = match faults.len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    Stop::usage(format!("the topics have {count}; what has none was applied\n{}", Faults(faults)))
}
