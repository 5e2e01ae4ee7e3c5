//! The config keys of topics as Kafka 4.3 has them: defaults, and which values a broker refuses, with its words.

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// Its value where nothing else says otherwise.
    pub(super) default: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A 32-bit number with its least and greatest value.
    Int(i32, i32),
    /// A 64-bit number with its least value.
    Long(i64),
    /// A number from 0 to 1.
    Share,
    /// `true` or `false`.
    Boolean,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Several of these.
    ListOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    Throttled,
}

const COMPRESSIONS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

macro_rules! keys {
    ($($name:literal = $default:literal, $kind:expr;)*) => {
        /// All keys, by name.
        pub(super) const KEYS: &[Key] = &[$(Key { name: $name, default: $default, kind: $kind }),*];
    };
}

keys! {
    "cleanup.policy" = "delete", Kind::ListOf(&["compact", "delete"]);
    "compression.gzip.level" = "-1", Kind::Int(-1, 9);
    "compression.lz4.level" = "9", Kind::Int(1, 17);
    "compression.type" = "producer", Kind::OneOf(COMPRESSIONS);
    "compression.zstd.level" = "3", Kind::Int(-131_072, 22);
    "delete.retention.ms" = "86400000", Kind::Long(0);
    "file.delete.delay.ms" = "60000", Kind::Long(0);
    "flush.messages" = "9223372036854775807", Kind::Long(1);
    "flush.ms" = "9223372036854775807", Kind::Long(0);
    "follower.replication.throttled.replicas" = "", Kind::Throttled;
    "index.interval.bytes" = "4096", Kind::Int(0, i32::MAX);
    "leader.replication.throttled.replicas" = "", Kind::Throttled;
    "local.retention.bytes" = "-2", Kind::Long(-2);
    "local.retention.ms" = "-2", Kind::Long(-2);
    "max.compaction.lag.ms" = "9223372036854775807", Kind::Long(1);
    "max.message.bytes" = "1048588", Kind::Int(0, i32::MAX);
    "message.timestamp.after.max.ms" = "3600000", Kind::Long(0);
    "message.timestamp.before.max.ms" = "9223372036854775807", Kind::Long(0);
    "message.timestamp.type" = "CreateTime", Kind::OneOf(&["CreateTime", "LogAppendTime"]);
    "min.cleanable.dirty.ratio" = "0.5", Kind::Share;
    "min.compaction.lag.ms" = "0", Kind::Long(0);
    "min.insync.replicas" = "1", Kind::Int(1, i32::MAX);
    "preallocate" = "false", Kind::Boolean;
    "remote.log.copy.disable" = "false", Kind::Boolean;
    "remote.log.delete.on.disable" = "false", Kind::Boolean;
    "remote.storage.enable" = "false", Kind::Boolean;
    "retention.bytes" = "-1", Kind::Long(i64::MIN);
    "retention.ms" = "604800000", Kind::Long(-1);
    "segment.bytes" = "1073741824", Kind::Int(1_048_576, i32::MAX);
    "segment.index.bytes" = "10485760", Kind::Int(4, i32::MAX);
    "segment.jitter.ms" = "0", Kind::Long(0);
    "segment.ms" = "604800000", Kind::Long(1);
    "unclean.leader.election.enable" = "false", Kind::Boolean;
}

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

impl Key {
    /// Whether values can be appended and subtracted.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.kind, Kind::ListOf(_) | Kind::Throttled)
    }

    /// The type as a broker calls it.
    pub(super) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Int(..) => "INT",
            Kind::Long(_) => "LONG",
            Kind::Share => "DOUBLE",
            Kind::Boolean => "BOOLEAN",
            Kind::OneOf(_) => "STRING",
            Kind::ListOf(_) | Kind::Throttled => "LIST",
        }
    }

    /// Refuses what a broker refuses, with its words.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let why = match self.kind {
            Kind::Int(least, most) => match value.trim().parse::<i32>() {
                Err(_) => Some("Not a number of type INT".to_owned()),
                Ok(number) if number < least => Some(format!("Value must be at least {least}")),
                Ok(number) if number > most => Some(format!("Value must be no more than {most}")),
                Ok(_) => None,
            },
            Kind::Long(least) => match value.trim().parse::<i64>() {
                Err(_) => Some("Not a number of type LONG".to_owned()),
                Ok(number) if number < least => Some(format!("Value must be at least {least}")),
                Ok(_) => None,
            },
            Kind::Share => match value.trim().parse::<f64>() {
                Err(_) => Some("Not a number of type DOUBLE".to_owned()),
                Ok(number) if number < 0.0 => Some("Value must be at least 0".to_owned()),
                Ok(number) if number > 1.0 => Some("Value must be no more than 1".to_owned()),
                Ok(_) => None,
            },
            Kind::Boolean => (!["true", "false"].contains(&value.trim().to_ascii_lowercase().as_str()))
                .then(|| "Expected value to be either true or false".to_owned()),
            Kind::OneOf(names) => {
                (!names.contains(&value.trim())).then(|| format!("String must be one of: {}", names.join(", ")))
            }
            Kind::ListOf(names) => elements(value)
                .any(|element| !names.contains(&element))
                .then(|| format!("String must be one of: {}", names.join(", "))),
            Kind::Throttled => {
                (value.trim() != "*" && elements(value).any(|element| !is_replica(element))).then(|| {
                    "must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                        .to_owned()
                })
            }
        };
        why.map_or(Ok(()), |why| Err(format!("Invalid value {value} for configuration {}: {why}", self.name)))
    }
}

/// The elements of a list.
pub(super) fn elements(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|element| !element.is_empty())
}

fn is_replica(element: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    element.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}
