//! The declared topics of a run that changes something: all of them, or with `--keep-going` those of sources without faults.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinHandle;

use crate::clients::kafka::{Kafka, KafkaError};
use crate::cluster::metadata::{Metadata, TopicSelection};
use crate::cluster::topic::TopicName;
use crate::commands::topics::command::sources::{SourceArgs, parse_whole};
use crate::commands::topics::command::validate::refusal;
use crate::commands::topics::plan::last::LastApplied;
use crate::commands::topics::spec::{Sound, Spec, parse_sound};
use crate::context::Context;
use crate::exit::Stop;
use crate::formats::place::{Fault, Faults};
use crate::formats::secret;
use crate::output;

/// Sources of so many bytes are parsed beside connecting and the first look at the cluster: that takes about as long as a
/// handshake with TLS and SASL.
const BYTES_WORTH_CONNECTING: usize = 64 * 1024;

/// What the text of a topic has at most, for a guess how many are declared.
const BYTES_OF_TOPIC: usize = 512;

/// The cluster's metadata, read beside parsing where that takes long.
#[derive(Debug, Default)]
pub(super) struct FirstLook(Option<JoinHandle<Result<Metadata, KafkaError>>>);

impl FirstLook {
    fn begin(kafka: Arc<dyn Kafka>) -> Self {
        Self(Some(tokio::spawn(async move { kafka.metadata(TopicSelection::All).await })))
    }

    /// The metadata; read now where that has not begun.
    pub(super) async fn metadata(self, kafka: &dyn Kafka) -> anyhow::Result<Metadata> {
        let metadata = match self.0 {
            Some(looking) => looking.await?,
            None => kafka.metadata(TopicSelection::All).await,
        };
        metadata.context("failed to read the cluster's metadata")
    }
}

/// Reads what is declared, and begins to look at the cluster where that takes long.
pub(super) async fn read(context: &Context, args: &SourceArgs, keep_going: bool) -> anyhow::Result<(Sound, FirstLook)> {
    let (sources, faults) = args.load(context).await?;
    let (bytes, format) = (sources.iter().map(|source| source.bytes.len()).sum::<usize>(), args.format);
    let parse = move || {
        if keep_going {
            parse_sound(&sources, faults, format)
        } else {
            parse_whole(&sources, faults, format).map(|spec| Sound { spec, ..Sound::default() })
        }
    };
    let mut first_look = FirstLook::default();
    let parsed = if bytes < BYTES_WORTH_CONNECTING {
        parse()
    } else {
        // Where it fails, it fails in the same way once it is needed; faults of the sources are said before that.
        if context.flags.observed.is_none()
            && let Ok(kafka) = context.kafka_expecting_configs(bytes / BYTES_OF_TOPIC).await
        {
            first_look = FirstLook::begin(kafka);
        }
        tokio::task::spawn_blocking(parse).await?
    };
    let sound = parsed.map_err(|faults| refusal(&faults))?;
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
    Ok((sound, first_look))
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
