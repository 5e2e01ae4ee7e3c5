//! Arguments by name: which of them may be shown in the record of a command line. What stands in no list is hidden.

/// Flags whose values say nothing secret.
const SHOWN: &[&str] = &[
    "--actor",
    "--api-host",
    "--api-listen",
    "--api-token-file",
    "--broker-id-tag",
    "--brokers",
    "--bytes-per-broker",
    "--cap-map",
    "--capacity",
    "--cluster",
    "--cluster-id",
    "--command-config",
    "--configmap",
    "--deadline",
    "--events-flush-timeout",
    "--events-regarding",
    "--events-to",
    "--external-change",
    "--file",
    "--fill",
    "--fill-max",
    "--for",
    "--format",
    "--idle-min",
    "--instance-type-tag",
    "--interval",
    "--keep-free",
    "--kind",
    "--kube-context",
    "--kubeconfig",
    "--latency-max",
    "--load",
    "--lock",
    "--log",
    "--log-format",
    "--max-deletes",
    "--max-duration",
    "--max-moves",
    "--max-risk",
    "--metrics-file",
    "--metrics-window",
    "--min-idle",
    "--min-rate",
    "--namespace",
    "--observed",
    "--older-than",
    "--only-between",
    "--outcome",
    "--outcome-of",
    "--output",
    "--partitions",
    "--partitions-per-broker",
    "--patience",
    "--policy",
    "--prometheus-token-file",
    "--response-bytes-max",
    "--run-deadline",
    "--sample",
    "--save-observed",
    "--schedule",
    "--schedule-jitter",
    "--selector",
    "--severity",
    "--stalled-after",
    "--state",
    "--state-folder",
    "--static-load",
    "--subject",
    "--throttle",
    "--tick",
    "--time-zone",
    "--timeout",
    "--toolbox-file",
    "--topics",
    "--watch",
    "-f",
    "-o",
];

/// Flags without a value: what follows them belongs to the command.
const SWITCHES: &[&str] = &[
    "--all",
    "--allow-plain-http",
    "--beside-others",
    "--dry-run",
    "--include-cancelled",
    "--leader-first",
    "--no-elect",
    "--overrides",
    "--recovery",
    "--replan",
    "--require-events",
    "--reset",
    "--take-over",
    "--unclean",
    "--until-idle",
    "--yes",
    "-y",
];

/// Commands whose own arguments are files and rates.
const PLAIN: &[&str] = &["reassign", "throttle"];

/// Whether the value of a flag may be shown.
pub(super) fn is_shown(flag: &str) -> bool {
    SHOWN.contains(&flag)
}

/// Whether a flag has no value.
pub(super) fn is_switch(flag: &str) -> bool {
    SWITCHES.contains(&flag)
}

/// Whether what belongs to a command itself (`throttle set 50MB/s`) may be shown. What looks like a flag may be anything.
pub(super) fn is_plain(command: &str, argument: &str) -> bool {
    let is_like_a_flag = argument.len() > 1 && argument.starts_with('-');
    command.split(' ').next().is_some_and(|first| PLAIN.contains(&first)) && !is_like_a_flag
}
