//! Who a member of a lock group is: told by itself when it joins, read by those that find the lock held.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::clients::kafka::lock_group::LockMember;
use crate::cluster::visible;

/// The most bytes of metadata: one page, far below what Kafka takes.
const METADATA_BYTES_MAX: usize = 4_096;

/// The most characters of one text that another process sent.
const SHOWN_MAX: usize = 200;

/// Who works, and where the record of the work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The name of the machine.
    pub host: String,
    /// Namespace and name of the pod, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The process on that machine.
    pub pid: u32,
    /// `/proc/sys/kernel/random/boot_id`: with host and pid, which process this was.
    pub boot_id: String,
    /// The run, as in its events.
    pub run_id: Uuid,
    /// The command without its arguments: `reassign execute`.
    pub command: String,
    /// When the run began.
    pub since: Timestamp,
    /// Where the record of the run is kept, in words: `folder /var/lib/toolbox on host-1`.
    pub place: String,
}

impl Member {
    /// The metadata to join with. Texts are cut where the whole would be larger than 4 KiB.
    pub(super) fn encode(&self) -> Result<Bytes, serde_json::Error> {
        let encoded = serde_json::to_vec(self)?;
        if encoded.len() <= METADATA_BYTES_MAX {
            return Ok(encoded.into());
        }
        let short = |text: &str| text.chars().take(SHOWN_MAX / 2).collect::<String>();
        let cut = Self {
            host: short(&self.host),
            pod: self.pod.as_deref().map(short),
            boot_id: short(&self.boot_id),
            command: short(&self.command),
            place: short(&self.place),
            ..self.clone()
        };
        serde_json::to_vec(&cut).map(Bytes::from)
    }

    /// What a member says of itself; none for what no member of this toolbox says.
    fn decode(metadata: &[u8]) -> Option<Self> {
        (metadata.len() <= METADATA_BYTES_MAX).then(|| serde_json::from_slice(metadata).ok()).flatten()
    }
}

/// The member that holds a lock, as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// The address from which the coordinator hears it.
    pub client_host: String,
    /// What it says of itself. None while the group rebalances, and where it can't be read: it holds the lock all the
    /// same.
    pub member: Option<Member>,
}

impl Holder {
    /// From what the coordinator describes.
    pub(super) fn of(found: &LockMember) -> Self {
        Self {
            member_id: found.member_id.clone(),
            client_host: found.client_host.clone(),
            member: Member::decode(&found.metadata),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(member) = &self.member else {
            return write!(
                f,
                "member {} at {}, which does not say who it is",
                plain(&self.member_id),
                plain(&self.client_host)
            );
        };
        let Member { host, pod, pid, boot_id: _, run_id, command, since, place } = member;
        match pod {
            Some(pod) => write!(f, "pod {}", plain(pod))?,
            None => write!(f, "process {pid} on {}", plain(host))?,
        }
        let since = since.round(jiff::Unit::Second).unwrap_or(*since);
        write!(f, " (`toolbox {}`, run {run_id}) since {since}; its record is in {}", plain(command), plain(place))
    }
}

/// A text of another process, fit to be shown: no control characters, no end without a limit.
pub(super) fn plain(text: &str) -> String {
    visible::bounded(text, SHOWN_MAX).into_owned()
}
