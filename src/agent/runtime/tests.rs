//! The runtime on a paused clock: deadlines, signals in mid-tick, lost locks, standbys.

use std::fmt;
use std::sync::Mutex;

use async_trait::async_trait;
use serde::Serialize;
use tokio::time::timeout;

use super::*;
use crate::agent::inbox::Unheard;
use crate::change::carry_out::Ended;
use crate::change::event::{Delivery, Event, Outcome, Recorder};
use crate::change::plan::{Risk, Step};
use crate::context::Flags;
use crate::exit::Stop;

const INTERVAL: Duration = Duration::from_secs(30);

/// Nothing that a test waits for takes longer.
const LIMIT: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, Serialize)]
struct Write(u32);

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {}", self.0)
    }
}

impl Step for Write {
    type Batch = &'static str;

    fn subject(&self) -> String {
        format!("broker:{}", self.0)
    }

    fn risk(&self) -> Risk {
        Risk::Reversible
    }

    fn kind(&self) -> &'static str {
        "throttle.set"
    }

    fn batch(&self) -> &'static str {
        if self.0 == 1 { "first" } else { "rest" }
    }
}

/// Events as they were recorded: the subject and the outcome of each.
#[derive(Debug, Clone, Default)]
struct Notes(Arc<Mutex<Vec<(String, Outcome)>>>);

impl Notes {
    fn outcomes(&self) -> Vec<(String, Outcome)> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Recorder for Notes {
    async fn record(&mut self, events: &[Event]) {
        self.0.lock().unwrap().extend(events.iter().map(|event| (event.subject.clone(), event.outcome)));
    }

    async fn close(&mut self) -> Delivery {
        Delivery::default()
    }
}

struct World {
    agent: Agent<u8, u8>,
    context: Context,
    shutdown: Brake,
    notes: Notes,
}

fn world() -> World {
    let (shutdown, notes) = (Brake::default(), Notes::default());
    let context = Context::new(Flags::of([])).with_brake(shutdown.clone()).with_recorder(Box::new(notes.clone()));
    let pace = Pace {
        interval: INTERVAL,
        watch: Some(Duration::from_secs(2)),
        deadline: Duration::from_mins(1),
        grace: Duration::from_secs(15),
    };
    let status = Arc::new(Status::new(pace.interval, pace.deadline));
    World { agent: Agent { pace, status, inbox: Arc::default() }, context, shutdown, notes }
}

async fn alone(_: &mut Context) -> anyhow::Result<()> {
    Ok(())
}

fn subject(id: u32, outcome: Outcome) -> (String, Outcome) {
    (format!("broker:{id}"), outcome)
}

#[tokio::test(start_paused = true)]
async fn a_tick_beyond_its_deadline_is_given_up_with_an_outcome_for_every_intent_and_the_loop_goes_on() {
    let World { agent, mut context, notes, .. } = world();
    let (begun, mut ticked) = (Instant::now(), Vec::new());
    let tick = async |context: &mut Context, (): &mut (), why: Why<u8, u8>| {
        if matches!(why, Why::Watch) {
            return Ok(Ticked::Unchanged);
        }
        ticked.push(begun.elapsed().as_secs());
        if ticked.len() == 1 {
            context.carry(&[Write(1), Write(2)], async |_: &[Write]| std::future::pending().await).await;
            return Ok(Ticked::Done);
        }
        Ok(Ticked::Over)
    };
    let ended = timeout(LIMIT, agent.run(&mut context, alone, tick)).await.unwrap();
    assert_eq!(ended.unwrap(), Some(()));
    assert_eq!(notes.outcomes(), [subject(1, Outcome::Planned), subject(1, Outcome::Unknown)]);
    let standing = agent.status.standing();
    assert_eq!((standing.ticks["failed"], standing.ticks["done"]), (1, 1));
    // 60 s to the deadline, 15 s of grace; the next due time of every 30 s.
    assert_eq!(ticked, [0, 90]);
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_only_reads_is_dropped_at_its_deadline_and_fails() {
    let World { agent, mut context, shutdown, .. } = world();
    let tick = async |_: &mut Context, (): &mut (), _| std::future::pending().await;
    let stop = async {
        sleep(Duration::from_secs(61)).await;
        assert_eq!(agent.status.standing().ticks["failed"], 1);
        sleep(Duration::from_secs(200)).await;
        assert!(agent.status.trouble().unwrap().contains("ticks failed: the tick's deadline of 60 s"));
        shutdown.pull("SIGTERM");
    };
    let (ended, ()) = tokio::join!(agent.run(&mut context, alone, tick), stop);
    assert_eq!(ended.unwrap(), Some(()));
}

#[tokio::test(start_paused = true)]
async fn sigterm_in_mid_tick_lets_the_batch_end_and_begins_no_other() {
    let World { agent, mut context, shutdown, notes } = world();
    let tick = async |context: &mut Context, (): &mut (), _| {
        let apply = async |batch: &[Write]| {
            shutdown.pull("SIGTERM");
            sleep(Duration::from_secs(5)).await;
            vec![Ended::done(); batch.len()]
        };
        let ended = context.carry(&[Write(1), Write(2), Write(3)], apply).await;
        assert_eq!(ended.len(), 1);
        Ok(Ticked::Done)
    };
    let ended = timeout(LIMIT, agent.run(&mut context, alone, tick)).await.unwrap();
    assert_eq!(ended.unwrap(), Some(()));
    assert_eq!(notes.outcomes(), [subject(1, Outcome::Planned), subject(1, Outcome::Done)]);
    assert_eq!(agent.inbox.ask(1, LIMIT).await, Err(Unheard::NotLeading("the agent ends".into())));
}

#[tokio::test(start_paused = true)]
async fn sigterm_in_a_tick_that_a_request_woke_does_not_drop_it_half_done() {
    let World { agent, mut context, shutdown, .. } = world();
    let inbox = Arc::clone(&agent.inbox);
    let asks = async {
        sleep(Duration::from_secs(1)).await;
        inbox.ask(7, LIMIT).await
    };
    let tick = async |_: &mut Context, seen: &mut Vec<u8>, why: Why<u8, u8>| {
        let Why::Asked(asked) = why else { return Ok(Ticked::Unchanged) };
        shutdown.pull("SIGTERM");
        sleep(Duration::from_secs(3)).await;
        for one in asked {
            seen.push(one.question);
            one.answer.send(8);
        }
        Ok(Ticked::Done)
    };
    let lead = async |_: &mut Context| Ok(Vec::new());
    let (ended, answer) = tokio::join!(agent.run(&mut context, lead, tick), asks);
    assert_eq!((ended.unwrap(), answer), (Some(vec![7]), Ok(8)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_lock_ends_the_term_in_order_and_the_agent_stands_by_until_it_leads_again() {
    let World { agent, mut context, notes, .. } = world();
    let (begun, mut terms) = (Instant::now(), Vec::new());
    let lead = async |context: &mut Context| {
        terms.push(begun.elapsed().as_secs());
        // What the lock layer does when somebody else has the lock.
        let (brake, term) = (context.brake().clone(), terms.len());
        tokio::spawn(async move {
            sleep(Duration::from_secs(40)).await;
            brake.pull("the lock was taken by pod throttle-2");
        });
        Ok(term)
    };
    let tick = async |context: &mut Context, term: &mut usize, why: Why<u8, u8>| {
        match (*term, why) {
            (_, Why::Watch) => return Ok(Ticked::Unchanged),
            (1, _) => {
                let slow = async |batch: &[Write]| {
                    sleep(Duration::from_secs(12)).await;
                    vec![Ended::done(); batch.len()]
                };
                context.carry(&[Write(1), Write(2)], slow).await;
            }
            _ => return Ok(Ticked::Over),
        }
        Ok(Ticked::Done)
    };
    let (ended, heard) = output::listen(None, timeout(LIMIT, agent.run(&mut context, lead, tick))).await;
    assert_eq!(ended.unwrap().unwrap(), Some(2));
    assert_eq!(terms.len(), 2);
    // 24 s for the first tick; the second one, at 30 s, ends with its first batch at 42 s.
    assert_eq!(terms[1], 42);
    let planned = notes.outcomes().iter().filter(|(_, outcome)| *outcome == Outcome::Planned).count();
    assert_eq!((planned, notes.outcomes().len()), (3, 6));
    let words = "the lock was taken by pod throttle-2: this agent does nothing until it leads again";
    assert!(heard.err.contains(words), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_standby_answers_at_once_and_says_who_leads_once_and_once_more_for_another_leader() {
    let World { agent, mut context, shutdown, .. } = world();
    let mut attempts = 0;
    let lead = async |_: &mut Context| {
        attempts += 1;
        let pod = if attempts < 6 { "throttle-1_a" } else { "throttle-2_b" };
        let refused = Stop::refused("another run works. Nothing was changed").held_by(pod);
        if attempts < 12 { Err::<(), _>(refused.into()) } else { anyhow::bail!("no answer") }
    };
    let tick = async |_: &mut Context, (): &mut (), _| unreachable!();
    let inbox = Arc::clone(&agent.inbox);
    let asks = async {
        sleep(Duration::from_secs(20)).await;
        assert_eq!(agent.status.trouble(), None);
        let refused = inbox.ask(1, LIMIT).await.unwrap_err().to_string();
        sleep(Duration::from_mins(8)).await;
        assert!(agent.status.trouble().unwrap().ends_with("no answer"));
        shutdown.pull("SIGTERM");
        refused
    };
    let both = async { tokio::join!(agent.run(&mut context, lead, tick), asks) };
    let ((ended, refused), heard) = output::listen(None, both).await;
    assert_eq!(ended.unwrap(), None);
    assert_eq!(refused, "not the leader; the leader is throttle-1_a. Nothing was changed");
    assert_eq!(
        heard.err.lines().collect::<Vec<_>>(),
        [
            "standing by: the leader is throttle-1_a",
            "standing by: the leader is throttle-2_b",
            "toolbox: no answer; it is tried again until it works",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_never_saw_who_leads_ends_with_what_is_wrong() {
    let World { agent, mut context, .. } = world();
    let lead = async |_: &mut Context| anyhow::bail!("leases.coordination.k8s.io is forbidden");
    let tick = async |_: &mut Context, (): &mut (), _| unreachable!();
    let error = agent.run(&mut context, lead, tick).await.unwrap_err();
    assert_eq!(error.to_string(), "leases.coordination.k8s.io is forbidden");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_goes_on_is_said_once_and_its_end_once() {
    let World { agent, mut context, .. } = world();
    let mut count = 0;
    let tick = async |_: &mut Context, (): &mut (), why: Why<u8, u8>| {
        if matches!(why, Why::Watch) {
            return Ok(Ticked::Unchanged);
        }
        count += 1;
        match count {
            1..=10 => anyhow::bail!("no broker answers"),
            11 => Ok(Ticked::Done),
            _ => Ok(Ticked::Over),
        }
    };
    let (ended, heard) = output::listen(None, agent.run(&mut context, alone, tick)).await;
    assert_eq!(ended.unwrap(), Some(()));
    assert_eq!(
        heard.err,
        "toolbox: the tick failed: no broker answers; the next one comes at its time\n\
         ticks go well again, after 10 that failed in 300 s\n"
    );
}
