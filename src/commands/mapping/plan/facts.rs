//! What a person should know of a draft: sizes that are missing, brokers beyond the tolerance, disks above the limit.

use super::Severity;
use super::band;
use super::layout::Layout;
use super::limit;
use super::model;
use super::notes::Notes;
use super::numbers;
use super::window;
use crate::cluster::log_dirs;
use crate::cluster::log_dirs::LogDirs;
use crate::cluster::size::Bytes;
use crate::commands::mapping::observe::Observed;
use crate::commands::mapping::spec::amounts::Percent;
use crate::commands::mapping::spec::goal::Operation;

/// Most brokers that one finding names.
const NAMED_MAX: usize = 3;

/// What `reassign execute` leaves free of each log dir unless it is told otherwise, in percent.
const KEEP_FREE_PERCENT: f64 = 5.0;

/// Notes it.
pub(super) fn note(layout: &Layout<'_, '_>, observed: &Observed, notes: &mut Notes) {
    note_sizes(layout, observed, notes);
    note_brokers(layout, observed, notes);
    note_log_dirs(layout, observed, notes);
    note_keep_free(layout, notes);
    note_limits(layout, observed, notes);
    if matches!(layout.model.goal.operation, Operation::Rebalance | Operation::Scale) {
        note_tolerance(layout, notes);
    }
}

fn note_sizes(layout: &Layout<'_, '_>, observed: &Observed, notes: &mut Notes) {
    let model = layout.model;
    if model.by_count && !model.partitions.is_empty() {
        let text = "no size of the selected partitions is known, so each replica counts the same";
        notes.add(Severity::Advisory, "unknown-size", "cluster".into(), text.into());
        return;
    }
    for (partition, part) in model.partitions.iter().enumerate() {
        let seen = observed.topics.get(part.topic).and_then(|topic| topic.partitions.get(numbers::wide(part.number)));
        if seen.is_some_and(|seen| seen.bytes.is_empty() && !seen.replicas.is_empty()) {
            let text = "its size is not known and counts as nothing: see that its brokers answer, then plan again";
            notes.about(model, partition, (Severity::Advisory, "unknown-size"), text);
        }
    }
}

fn note_brokers(layout: &Layout<'_, '_>, observed: &Observed, notes: &mut Notes) {
    let model = layout.model;
    for (at, node) in model.brokers.iter().enumerate() {
        let subject = || format!("broker:{}", node.id);
        if model.goal.brokers.contains(&node.id) && !node.live {
            let text = "it is one of the brokers of this plan and not live: it gets nothing; start it, leave it out with \
                        --brokers, or see `toolbox mapping replace`";
            notes.add(Severity::Advisory, "broker-gone", subject(), text.into());
        }
        if node.open && model.racks[node.rack].is_none() && model.racks.len() > 1 {
            let text = "it has no rack although others have: all such brokers count as one rack; set broker.rack";
            notes.add(Severity::Advisory, "no-rack", subject(), text.into());
        }
        if model.goal.brokers.contains(&node.id) && node.live && node.cordoned && !node.leaving {
            let text = "each of its log dirs is cordoned: it gets nothing, and partitions with a replica on it stay as they \
                        are; uncordon it (delete `cordoned.log.dirs`), or leave it out with --brokers";
            notes.add(Severity::Advisory, "cordoned", subject(), text.into());
        }
        let dirs = observed.brokers.get(&node.id).map_or(&[][..], |broker| &broker.log_dirs);
        if let Some(offline) = log_dirs::offline(dirs) {
            notes.add(Severity::Advisory, "log-dir-offline", subject(), offline);
        }
        if node.open && node.dirs.is_blocked() {
            let next = node.dirs.choice(1, dirs).unwrap_or_default();
            let text = format!(
                "it gets nothing: {}. The next one would be: {next}. Move replicas from one of its log dirs to another first",
                LogDirs::RULE
            );
            notes.add(Severity::Advisory, "log-dir-full", subject(), text);
        }
        let room = node.dirs.room();
        if node.dirs.is_known() && layout.added[at] > room {
            let text = format!(
                "its disks don't hold the {} that come while what leaves is still there: {} are free below the limit",
                Bytes(layout.added[at]),
                Bytes(room)
            );
            notes.add(Severity::Blocking, "disk-full", subject(), text);
        }
    }
}

/// A limit beyond which `reassign execute` keeps disks free by itself.
fn note_keep_free(layout: &Layout<'_, '_>, notes: &mut Notes) {
    let free = 1.0 - layout.model.goal.disk_limit;
    if free * 100.0 + 1e-9 < KEEP_FREE_PERCENT && layout.added.iter().any(|added| *added > 0) {
        let percent = (free * 100.0 + 1e-9).max(0.0).floor();
        let text = format!(
            "the disk limit leaves less free than `toolbox reassign execute` does: carry the plan out with --keep-free \
             {percent:.0}, or some of it may be refused"
        );
        notes.add(Severity::Advisory, "keep-free", "cluster".into(), text);
    }
}

/// Which log dirs Kafka will choose, where it has a choice: the planner can't.
fn note_log_dirs(layout: &Layout<'_, '_>, observed: &Observed, notes: &mut Notes) {
    let choice = |(at, node): (usize, &model::Node)| {
        let dirs = observed.brokers.get(&node.id).map_or(&[][..], |broker| &broker.log_dirs);
        Some(format!("broker {}: {}", node.id, node.dirs.choice(layout.came(at), dirs)?))
    };
    let mut chosen: Vec<_> = layout.model.brokers.iter().enumerate().filter_map(choice).collect();
    if chosen.is_empty() {
        return;
    }
    let more = chosen.len().saturating_sub(NAMED_MAX);
    chosen.truncate(NAMED_MAX);
    let more = if more > 0 { format!("; and {more} more brokers") } else { String::new() };
    let text = format!("{}. {}{more}", LogDirs::RULE, chosen.join("; "));
    notes.add(Severity::Advisory, "log-dir-choice", "cluster".into(), text);
}

/// Brokers that end above their disk limit, although capacity comes first.
fn note_limits(layout: &Layout<'_, '_>, observed: &Observed, notes: &mut Notes) {
    let model = layout.model;
    let limit = Percent(model.goal.disk_limit);
    for excess in limit::excesses(layout).into_iter().filter(|excess| excess.left() > 0) {
        let id = model.node(excess.broker).id;
        let dirs = observed.brokers.get(&id).map(|broker| broker.log_dirs.as_slice()).unwrap_or_default();
        let dir = excess.dir.and_then(|dir| dirs.get(*model::in_order(dirs).get(dir)?));
        let dir = dir.map(|dir| format!(" in {}", dir.path)).unwrap_or_default();
        let is_bounded = model.goal.budget_bytes.is_some() || model.goal.moves_max.is_some();
        let why = match &model.goal.operation {
            _ if !excess.holds_any() => {
                "none of the selected topics has data there that could move: other topics or other files fill it; select \
                 more topics, or free it by hand"
            }
            Operation::Rebalance if is_bounded => {
                "no other broker has room, or --budget-bytes and --max-moves allow no more; allow more, add brokers or \
                 disks, or shorten retention"
            }
            Operation::Rebalance => {
                "no other broker of a suitable rack has that much room below its own limit; add brokers or disks, shorten \
                 retention, or raise --disk-limit"
            }
            _ => "this plan gives it no relief; see `toolbox mapping rebalance`, add disks, or shorten retention",
        };
        let text = format!("it ends with {}{dir} above the disk limit of {limit}: {why}", Bytes(excess.left()));
        notes.add(Severity::Advisory, "above-disk-limit", format!("broker:{id}"), text);
    }
}

/// Where racks hold different amounts, no window can hold them all: each broker is in that of its rack then.
fn note_range(layout: &Layout<'_, '_>, notes: &mut Notes) {
    let model = layout.model;
    let band::Width::Range(asked) = band::Width::of(model) else { return };
    let range = window::range(layout);
    if model.goal.operation == Operation::Rebalance && range > asked {
        let text = format!(
            "the fullest broker ends with {} more than the emptiest, where {} were asked for: racks keep what they hold, \
             so that only brokers of one rack can be made even, and no legal move within a rack helps more; give the fuller \
             racks more brokers, or ask for a wider range",
            Bytes(range),
            Bytes(asked)
        );
        notes.add(Severity::Advisory, "range-not-reached", "cluster".into(), text);
    }
}

fn note_tolerance(layout: &Layout<'_, '_>, notes: &mut Notes) {
    let model = layout.model;
    let is_bounded = model.goal.budget_bytes.is_some() || model.goal.moves_max.is_some();
    let why = if is_bounded {
        "no legal move of a replica within its rack that --budget-bytes and --max-moves still allow helps; allow more"
    } else {
        "no legal move of a replica within its rack helps; widen what is asked for, or split large partitions"
    };
    note_range(layout, notes);
    let Some(bands) = band::bands(layout, band::Width::of(model)).into_iter().next() else { return };
    for (at, node) in model.brokers.iter().enumerate().filter(|(_, node)| node.open) {
        let (load, band) = (layout.load[at], bands[at]);
        let is_new = model.held[at] == 0;
        // Whoever is above its disk limit is named for that.
        let is_over = load > model.most(numbers::narrow(at));
        let counts = (model.goal.operation == Operation::Rebalance || is_new) && !is_over;
        if counts && !(band.low..=band.high).contains(&load) {
            let shown = |amount: u64| match (model.by_count, amount) {
                (true, 1) => "1 replica".to_owned(),
                (true, _) => format!("{amount} replicas"),
                (false, _) => Bytes(amount).to_string(),
            };
            // The difference is said, or rounding would make it nothing.
            let (by, side) = if load > band.high { (load - band.high, "more") } else { (band.low - load, "less") };
            let text = format!(
                "it ends with {}, {} {side} than the {} to {} asked for: {why}",
                shown(load),
                shown(by),
                shown(band.low),
                shown(band.high)
            );
            notes.add(Severity::Advisory, "tolerance-not-reached", format!("broker:{}", node.id), text);
        }
    }
}
