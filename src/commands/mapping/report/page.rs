//! An [`Answer`] as one HTML file that needs nothing else: bars as SVG, the same tables, every move.

use std::fmt;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::cluster::size::Bytes;
use crate::commands::mapping::report::answer::{Answer, BrokerRow, MoveRow, Part};
use crate::commands::mapping::report::load::share;
use crate::commands::mapping::report::text::{self, percent};

/// Most moves that the page lists: the files have all.
const MOVES_MAX: usize = 5_000;

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(answer: &Answer) -> String {
    let title = format!("{} on {}", answer.made_by, answer.cluster_id);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "toolbox " (answer.made_by) }
                (origin(answer))
                (tiles(answer))
                (findings(answer))
                h2 { "Storage per broker" }
                (bars(answer))
                h2 { "Brokers, now and afterwards" }
                (brokers(answer))
                @if !answer.flows.is_empty() { h2 { "Who gives to whom" } (flows(answer)) }
                @if !answer.explanations.is_empty() { h2 { "Why" } (explanations(answer)) }
                @if !answer.moves.is_empty() { h2 { "Moves" } (moves(answer)) }
            }
        }
    };
    page.into_string()
}

fn origin(answer: &Answer) -> Markup {
    html! {
        p.origin {
            "Cluster " b { (answer.cluster_id) } ", read " time { (answer.observed_at) } ". Sizes from " (answer.sizes_from)
            "; capacity from " (answer.capacity_from) "."
        }
    }
}

fn tiles(answer: &Answer) -> Markup {
    let totals = &answer.totals;
    let tile = |name: &str, value: String, note: String| {
        html! { div.tile { div.name { (name) } div.value { (value) } div.note { (note) } } }
    };
    let range = |[least, most]: [u64; 2]| format!("{} to {}", Bytes(least), Bytes(most));
    let least =
        text::reached(totals).map(|bytes| format!("no plan copies less than {}", Bytes(bytes))).unwrap_or_default();
    html! {
        div.tiles {
            (tile("to copy", Bytes(totals.bytes).to_string(), least))
            (tile("partitions to move", totals.partitions.to_string(), format!("{} to copy", text::count(totals.copies, "replica"))))
            (tile("other preferred leader only", totals.reordered.to_string(), "nothing is copied for that".into()))
            (tile("storage of a broker", range(totals.range_after), format!("now {}", range(totals.range_before))))
            @if let (Some(throttle), Some(seconds)) = (totals.throttle, totals.seconds) {
                (tile("time", text::duration(seconds), format!("at {throttle} a broker")))
            }
        }
    }
}

fn findings(answer: &Answer) -> Markup {
    html! {
        @if !answer.findings.is_empty() {
            h2 { "Findings" }
            ul.findings {
                @for finding in &answer.findings {
                    @let blocks = finding.severity == "blocking" && !finding.allowed;
                    li class=(if blocks { "blocking" } else { "advisory" }) {
                        b { (finding.code) }
                        @if blocks { " blocks the plan" } @else if finding.allowed { " (allowed)" }
                        ", " (finding.subject) ": " (finding.text)
                    }
                }
            }
        }
    }
}

/// Pixels of the drawing: names, the longest bar, numbers.
const NAME: u64 = 110;
const BAR: u64 = 560;
const NUMBER: u64 = 230;
const ROW: u64 = 26;

fn bars(answer: &Answer) -> Markup {
    let rows = &answer.brokers;
    let bytes = |row: &BrokerRow| row.before.bytes.max(row.after.bytes);
    let has_capacity = rows.iter().any(|row| row.capacity.is_some());
    // The disk's end is drawn where it is not far beyond all bars.
    let fullest = rows.iter().map(bytes).max().unwrap_or(0);
    let disk = |row: &BrokerRow| row.capacity.filter(|whole| *whole / 2 <= fullest);
    let longest = rows.iter().map(|row| bytes(row).max(disk(row).unwrap_or(0))).max().unwrap_or(0).max(1);
    let width = |bytes: u64| u64::try_from(u128::from(bytes) * u128::from(BAR) / u128::from(longest)).unwrap_or(BAR);
    let height = ROW * u64::try_from(rows.len()).unwrap_or(0) + 4;
    html! {
        p.legend {
            span.stays { } " stays " span.comes { } " comes " span.goes { } " goes"
            @if has_capacity && rows.iter().any(|row| disk(row).is_some()) { " " span.disk { } " end of the disk" }
        }
        svg viewBox={ "0 0 " (NAME + BAR + NUMBER) " " (height) } role="img" aria-label="storage per broker, now and afterwards" {
            @for (row, top) in rows.iter().zip((0_u64..).map(|index| index * ROW + 4)) {
                @let (before, after) = (width(row.before.bytes), width(row.after.bytes));
                @let kept = before.min(after);
                text.label x=(NAME - 8) y=(top + 15) text-anchor="end" { (name(row)) }
                rect.stays x=(NAME) y=(top) width=(kept) height=(ROW - 8) { }
                rect.comes x=(NAME + kept) y=(top) width=(after - kept) height=(ROW - 8) { }
                rect.goes x=(NAME + kept) y=(top) width=(before - kept) height=(ROW - 8) { }
                @if let Some(end) = disk(row).map(width) {
                    line.disk x1=(NAME + end) x2=(NAME + end) y1=(top - 3) y2=(top + ROW - 5) { }
                }
                text.number x=(NAME + BAR + 8) y=(top + 15) { (changed(Bytes(row.before.bytes), Bytes(row.after.bytes))) }
            }
        }
    }
}

fn brokers(answer: &Answer) -> Markup {
    let shares = |row: &BrokerRow| match row.capacity {
        Some(whole) => changed(percent(share(row.before.bytes, whole)), percent(share(row.after.bytes, whole))),
        None => "?".into(),
    };
    html! {
        div.scroll { table {
            thead { tr { @for name in ["Broker", "Rack", "Storage", "Share of disk", "Replicas", "Leaders", "Sends", "Receives", ""] { th { (name) } } } }
            tbody { @for row in &answer.brokers { tr {
                td { (row.broker) }
                td { (row.rack.as_deref().unwrap_or("-")) }
                td { (changed(Bytes(row.before.bytes), Bytes(row.after.bytes))) }
                td { (shares(row)) }
                td { (changed(row.before.replicas, row.after.replicas)) }
                td { (changed(row.before.leaders, row.after.leaders)) }
                td { (text::amount(row.traffic.sends)) }
                td { (text::amount(row.traffic.receives)) }
                td { (part(row.part)) }
            } } }
        } }
    }
}

fn flows(answer: &Answer) -> Markup {
    let name = |id: Option<crate::cluster::broker::BrokerId>| id.map_or("-".to_owned(), |id| id.to_string());
    html! {
        div.scroll { table {
            thead { tr { @for name in ["From", "To", "Replicas", "Storage"] { th { (name) } } } }
            tbody { @for flow in &answer.flows { tr {
                td { (name(flow.from)) } td { (name(flow.to)) } td { (flow.replicas) } td { (text::amount(flow.bytes)) }
            } } }
        } }
    }
}

fn explanations(answer: &Answer) -> Markup {
    html! { @for one in &answer.explanations {
        p { b { (one.partition) } }
        ul { @for sentence in &one.sentences { li { (sentence) } } }
    } }
}

fn moves(answer: &Answer) -> Markup {
    let ids = |replicas: &[i32]| replicas.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
    let row = |one: &MoveRow| {
        html! { tr {
            td { (one.topic) "-" (one.partition) } td { (ids(&one.from)) } td { (ids(&one.to)) } td { (text::amount(one.bytes)) }
        } }
    };
    html! {
        @if answer.moves.len() > MOVES_MAX {
            p { "The first " (MOVES_MAX) " of " (answer.moves.len()) "; plan.json has all." }
        }
        div.scroll { table {
            thead { tr { @for name in ["Partition", "Replicas now", "Replicas afterwards", "Size"] { th { (name) } } } }
            tbody { @for one in answer.moves.iter().take(MOVES_MAX) { (row(one)) } }
        } }
    }
}

fn name(row: &BrokerRow) -> String {
    match &row.rack {
        Some(rack) => format!("{} {rack}", row.broker),
        None => row.broker.to_string(),
    }
}

fn part(part: Part) -> &'static str {
    match part {
        Part::Stays => "",
        Part::Joins => "joins",
        Part::Emptied => "is emptied",
        Part::Gone => "is gone",
    }
}

fn changed(before: impl fmt::Display, after: impl fmt::Display) -> String {
    let (before, after) = (before.to_string(), after.to_string());
    if before == after { before } else { format!("{before} → {after}") }
}
