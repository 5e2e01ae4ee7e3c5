//! `toolbox events`: flags, and the way through.

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::change::carry_out::{Ended, Run};
use crate::change::event::{Event, Outcome, Recorder, Severity};
use crate::commands::events::report::{Filter, Found, glob, since};
use crate::commands::events::spec::{Note, tag};
use crate::context::{Context, Flushed, OpenError, duration};
use crate::exit::{Exit, Stop};
use crate::output;

/// Arguments of `toolbox events`.
#[derive(Debug, Clone, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Record a side effect of a script or hook
    ///
    /// It prints the event's id. Delivery never changes the exit code, unless --require-events.
    ///
    /// Without --intent and --outcome-of it records something that has happened. For a before
    /// and an after, so that nobody loses track of a half-done change:
    ///
    ///   id=$(toolbox events send --intent --title "rotate the keys" --kind keys.rotated)
    ///   if rotate-keys; then outcome=done; else outcome=failed; fi
    ///   toolbox events send --outcome-of "$id" --outcome $outcome
    #[command(verbatim_doc_comment)]
    Send(Box<SendArgs>),
    /// Show the audit log: one row a side effect, the newest last
    ///
    /// A side effect without an outcome is `planned` while its run lives, and `unknown` if the run died: look at its
    /// subject, or run the same command again. Nothing is written: the next run that changes something records it.
    List(Box<ListArgs>),
    /// Deliver what waits in the spool, and say what is left and why
    ///
    /// Exit code 1 if something is left.
    Flush(FlushArgs),
}

#[derive(Debug, Clone, Args)]
struct SendArgs {
    /// One line that says what happened
    #[arg(long, value_name = "TEXT", required_unless_present = "outcome_of")]
    title: Option<String>,

    /// Why, or what a person should know
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,

    /// What kind of side effect, as `keys.rotated`
    #[arg(long, value_name = "KIND", default_value = "script.ran")]
    kind: String,

    /// To whom it happened, as `host:kafka-1` or `topic:orders`
    #[arg(long, value_name = "KIND:NAME", default_value = "script:unnamed")]
    subject: String,

    /// How it ended [default: done]
    #[arg(long, value_name = "OUTCOME", value_parser = outcome)]
    outcome: Option<Outcome>,

    /// How loud it is [default: info if done, warning if refused or unknown, error if failed]
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,

    /// A label with few values, as `team=data`; up to 10
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,

    /// What was there, one `key: value` a line
    #[arg(long, value_name = "LINES")]
    before: Option<String>,

    /// What is there now, one `key: value` a line
    #[arg(long, value_name = "LINES")]
    after: Option<String>,

    /// It is about to be tried: its outcome comes with --outcome-of
    #[arg(long, conflicts_with_all = ["outcome_of", "outcome", "severity"])]
    intent: bool,

    /// How long an intent may wait for its outcome; then it ends as `unknown`
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    within: Duration,

    /// The outcome of the intent with this id
    #[arg(long, value_name = "EVENT_ID", conflicts_with_all = ["title", "kind", "subject", "tag", "before", "after"])]
    outcome_of: Option<Uuid>,
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// Not before: a time (2026-01-31T12:00:00Z), or so long ago (2h, 7d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Subjects, as `topic:orders*`
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    subject: Option<globset::GlobMatcher>,

    /// Kinds, as `topic.*`
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    kind: Option<globset::GlobMatcher>,

    /// How it ended
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<Outcome>,

    /// Commands, as `topics *`
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    command: Option<globset::GlobMatcher>,

    /// Show the newest so many
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Clone, Args)]
struct FlushArgs {
    /// Longest time to try
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    within: Duration,
}

/// Runs the command to its end.
pub async fn run(context: &mut Context, args: EventsArgs) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Send(args) => {
            context.command = "events send".into();
            send(context, &args).await
        }
        Verb::List(args) => {
            context.command = "events list".into();
            list(context, *args)
        }
        Verb::Flush(args) => {
            context.command = "events flush".into();
            flush(context, &args).await
        }
    }
}

async fn send(context: &mut Context, args: &SendArgs) -> anyhow::Result<Exit> {
    let run = Run { cluster: context.flags.cluster.clone().unwrap_or_else(|| "none".into()), ..context.run() };
    if let Some(event_id) = args.outcome_of {
        return send_outcome(context, args, event_id).await;
    }
    let event = event(args, &run)?;
    if context.is_dry_run() {
        output::say("dry run: this would be recorded");
        show(context, &event)?;
        return Ok(Exit::Changes);
    }
    if !args.intent {
        context.recorder().record(std::slice::from_ref(&event)).await;
        show(context, &event)?;
        return Ok(Exit::Done);
    }
    let until = context.now().checked_add(SignedDuration::try_from(args.within)?)?;
    let mut outbox = context.outbox();
    let left = outbox.leave_open(&event, until).await;
    let delivery = outbox.close().await;
    left.context("failed to record the intent: do not act on it")?;
    show(context, &event)?;
    context.say_delivery(delivery, Ok(Exit::Done))
}

/// The event that the flags describe.
fn event(args: &SendArgs, run: &Run) -> Result<Event, Stop> {
    let note = Note {
        title: args.title.clone().unwrap_or_default(),
        text: args.text.clone(),
        kind: args.kind.clone(),
        subject: args.subject.clone(),
        before: args.before.clone(),
        after: args.after.clone(),
        tags: args.tag.iter().cloned().collect(),
    };
    note.check().map_err(Stop::usage)?;
    let outcome = if args.intent { Outcome::Planned } else { args.outcome.unwrap_or(Outcome::Done) };
    let event = note.fill(run.event(&note.kind, &note.subject, outcome, &note.title)).cleaned();
    Ok(Event { severity: args.severity.unwrap_or(event.severity), ..event })
}

async fn send_outcome(context: &mut Context, args: &SendArgs, event_id: Uuid) -> anyhow::Result<Exit> {
    if context.is_dry_run() {
        output::say("dry run: an outcome would be recorded");
        return Ok(Exit::Changes);
    }
    let run = context.run();
    let mut outbox = context.outbox();
    let ended =
        Ended { outcome: args.outcome.unwrap_or(Outcome::Done), reason: args.text.clone(), is_unchanged: false };
    let recorded = outbox.end_open(event_id, |intent| {
        let outcome = run.outcome(intent, &ended).cleaned();
        Event { severity: args.severity.unwrap_or(outcome.severity), ..outcome }
    });
    let recorded = recorded.await;
    let delivery = outbox.close().await;
    match recorded {
        Ok(event) => show(context, &event)?,
        Err(error @ OpenError::NotFound(_)) => return Err(Stop::usage(error.to_string()).into()),
        Err(error @ OpenError::Ended { .. }) => return Err(Stop::refused(error.to_string()).into()),
        Err(error @ OpenError::Folder(_)) => return Err(error).context("failed to record the outcome"),
    }
    context.say_delivery(delivery, Ok(Exit::Done))
}

/// The id for scripts; the whole event for those who ask for JSON or YAML.
fn show(context: &Context, event: &Event) -> anyhow::Result<()> {
    context.output().result(event, |_| event.event_id.to_string())
}

fn list(context: &Context, args: ListArgs) -> anyhow::Result<Exit> {
    let ListArgs { since: from, subject, kind, outcome, command, limit } = args;
    let from = from.map(|text| since(&text, context.now())).transpose();
    let from = from.map_err(|why| Stop::usage(format!("--since {why}")))?;
    let (cluster, cluster_id) = (context.flags.cluster.clone(), context.flags.cluster_id.clone());
    let filter = Filter { since: from, subject, kind, outcome, command, cluster, cluster_id };
    let mut found = Found::default();
    context
        .audited(|event| found.take(event))
        .with_context(|| format!("failed to read the audit log in {}", context.state_folder().display()))?;
    let listed = found.list(&filter, limit);
    context.output().result(&listed, |is_wide| {
        let (head, rows) = match output::columns().filter(|_| !is_wide) {
            Some(columns) => listed.rows_within(columns),
            None => listed.rows(is_wide),
        };
        output::table(&head, &rows)
    })?;
    if listed.left_out > 0 {
        output::say(&format!("{} older ones are not shown; --limit shows more", listed.left_out));
    }
    Ok(Exit::Done)
}

async fn flush(context: &mut Context, args: &FlushArgs) -> anyhow::Result<Exit> {
    let mut outbox = context.outbox();
    if context.is_dry_run() {
        let flushed = Flushed { sent: 0, dropped: 0, left: outbox.left() };
        show_flushed(context, &flushed)?;
        return Ok(if flushed.left.is_empty() { Exit::Done } else { Exit::Changes });
    }
    let flushed = outbox.flush(args.within).await;
    show_flushed(context, &flushed)?;
    Ok(if flushed.left.is_empty() { Exit::Done } else { Exit::Failed })
}

fn show_flushed(context: &Context, flushed: &Flushed) -> anyhow::Result<()> {
    context.output().result(flushed, |_| {
        let Flushed { sent, dropped, left } = flushed;
        let rows: Vec<_> = left
            .iter()
            .map(|left| {
                let oldest = format!("{:.0}", left.oldest);
                vec![left.sink.clone(), left.events.to_string(), oldest, left.why.clone()]
            })
            .collect();
        let counts =
            format!("{sent} sent, {dropped} dropped, {} left\n", left.iter().map(|left| left.events).sum::<usize>());
        if rows.is_empty() { counts } else { counts + &output::table(&["SINK", "LEFT", "OLDEST", "WHY"], &rows) }
    })
}

fn outcome(text: &str) -> Result<Outcome, String> {
    match text {
        "done" => Ok(Outcome::Done),
        "failed" => Ok(Outcome::Failed),
        "refused" => Ok(Outcome::Refused),
        "unknown" => Ok(Outcome::Unknown),
        _ => Err("it is not done, failed, refused or unknown; --intent records what is about to be tried".to_owned()),
    }
}
