//! Runs contenders of one line in turns, as whole processes, and keeps time, peak memory and requests of each.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::counting::{Counter, Requests};

/// One contender's time in all on one line; after it, it runs no more rounds.
const BUDGET: Duration = Duration::from_secs(90);

/// A contender that takes less runs once more before each run that counts.
const QUICK: Duration = Duration::from_millis(500);

/// Runs for peak memory.
const MEMORY_RUNS: usize = 3;

/// Where and when a command runs.
pub(crate) struct Turn<'a> {
    /// Differs in each run, for what can be done once only.
    pub(crate) number: usize,
    /// Brokers to talk to.
    pub(crate) bootstrap: &'a str,
}

/// Makes the command line of a turn.
type Words = Box<dyn Fn(&Turn<'_>) -> Vec<String>>;

/// Makes a turn undone.
type Undo = Box<dyn Fn(&Turn<'_>) -> anyhow::Result<()>>;

/// One program's way of doing what a line is about.
pub(crate) struct Contender {
    pub(crate) name: String,
    /// The command line.
    pub(crate) command: Words,
    /// Exit codes that are right.
    pub(crate) right: Vec<i32>,
    /// What must be reached; rivals have nothing to reach.
    pub(crate) goal: Goal,
    /// Whether requests can be counted: plaintext, and a cluster that answers.
    pub(crate) countable: bool,
    /// Undoes a run, out of time.
    pub(crate) undo: Option<Undo>,
}

/// Upper bounds; none: just measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Goal {
    pub(crate) seconds: Option<f64>,
    pub(crate) megabytes: Option<f64>,
    pub(crate) requests: Option<u32>,
    /// Another contender's median and so many seconds more.
    pub(crate) relative: Option<(&'static str, f64)>,
    /// So many times faster than another contender.
    pub(crate) faster: Option<(&'static str, f64)>,
    /// On a machine that is slower, or shared, so many times faster than another contender is enough: `seconds` is for one
    /// that is idle.
    pub(crate) or_faster: Option<(&'static str, f64)>,
    /// At most so many times as long as another contender.
    pub(crate) not_above: Option<(&'static str, f64)>,
}

/// A task, and who competes in it.
pub(crate) struct Line {
    pub(crate) title: String,
    pub(crate) contenders: Vec<Contender>,
    /// Multiplies the rounds.
    pub(crate) times: usize,
}

/// What one contender was measured to need.
pub(crate) struct Measured {
    pub(crate) line: String,
    pub(crate) contender: String,
    pub(crate) seconds: Vec<f64>,
    pub(crate) megabytes: Option<f64>,
    pub(crate) requests: Option<Requests>,
    /// Bytes of the answers to one run, where they are counted.
    pub(crate) answer_bytes: Option<u64>,
    pub(crate) goal: Goal,
    /// Why there is no figure.
    pub(crate) failed: Option<String>,
}

impl Measured {
    /// The middle one of the times.
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().checked_sub(1)? / 2).copied()
    }

    /// Requests of all kinds.
    pub(crate) fn requests_in_all(&self) -> Option<u32> {
        self.requests.as_ref().map(|requests| requests.values().sum())
    }

    /// Whether every bound is kept; none if there is no bound.
    pub(crate) fn reached(&self) -> Option<bool> {
        let kept = [
            self.goal.seconds.map(|bound| self.median().is_some_and(|seconds| seconds <= bound)),
            self.goal.megabytes.map(|bound| self.megabytes.is_some_and(|megabytes| megabytes <= bound)),
            self.goal.requests.map(|bound| self.requests_in_all().is_some_and(|requests| requests <= bound)),
        ];
        let bounds: Vec<_> = kept.into_iter().flatten().collect();
        (!bounds.is_empty()).then(|| self.failed.is_none() && bounds.into_iter().all(|kept| kept))
    }
}

/// Where a line is run.
pub(crate) struct Course<'a> {
    pub(crate) bootstrap: &'a str,
    /// Brokers behind the counter, and the counter.
    pub(crate) counted: Option<(&'a str, &'a Counter)>,
    pub(crate) rounds: usize,
    /// For files of a run.
    pub(crate) folder: &'a Path,
}

/// Runs all contenders in turns, quick ones twice a turn, of which the second counts; then each again for memory and for requests.
pub(crate) fn measure(line: &Line, course: &Course<'_>) -> Vec<Measured> {
    let mut all: Vec<_> = line.contenders.iter().map(|contender| blank(line, contender)).collect();
    let mut number = 0;
    // One more round, which warms caches up and does not count.
    for round in 0..=course.rounds * line.times {
        let mut turns: Vec<_> = line.contenders.iter().zip(&mut all).collect();
        // Who follows whom changes, as what ran before shows in the figures.
        if round % 2 == 1 {
            turns.reverse();
        }
        for (contender, measured) in turns {
            let spent: f64 = measured.seconds.iter().sum();
            if measured.failed.is_some() || spent > BUDGET.as_secs_f64() {
                continue;
            }
            let mut once = || {
                number += 1;
                let turn = Turn { number, bootstrap: course.bootstrap };
                run(contender, &turn, &[]).and_then(|seconds| undo(contender, &turn).map(|()| seconds))
            };
            // What ran before, a JVM maybe, has emptied the caches and left a broker with garbage to collect.
            let warm = if line.is_quick() && is_quick(measured) { once().map(drop) } else { Ok(()) };
            match warm.and_then(|()| once()) {
                Ok(seconds) if round > 0 => measured.seconds.push(seconds),
                Ok(_) => {}
                Err(error) => measured.failed = Some(format!("{error:#}")),
            }
        }
    }
    for (contender, measured) in line.contenders.iter().zip(&mut all) {
        if measured.failed.is_none()
            && let Err(error) = beside(contender, measured, course, &mut number)
        {
            measured.failed = Some(format!("{error:#}"));
        }
    }
    relate(&mut all);
    all
}

impl Line {
    /// Whether its commands are quick, and do the same each time.
    fn is_quick(&self) -> bool {
        self.times > 1
    }
}

/// Whether a contender is so quick that what ran before it shows in its figures, and that one more run costs little.
fn is_quick(measured: &Measured) -> bool {
    measured.median().is_none_or(|seconds| seconds < QUICK.as_secs_f64())
}

/// Turns bounds that are relative to another contender into seconds.
fn relate(all: &mut [Measured]) {
    let medians: Vec<_> = all.iter().map(|one| (one.contender.clone(), one.median())).collect();
    let median = |name: &str| medians.iter().find(|(contender, _)| contender == name).and_then(|(_, median)| *median);
    for Measured { goal, .. } in all {
        if let Some((name, more)) = goal.relative {
            goal.seconds = median(name).map(|seconds| seconds + more);
        }
        if let Some(bound) = goal.or_faster.and_then(|(name, times)| Some(median(name)? / times)) {
            goal.seconds = goal.seconds.map(|seconds| seconds.max(bound));
        }
        let faster = goal.faster.and_then(|(name, times)| Some(median(name)? / times));
        let not_above = goal.not_above.and_then(|(name, times)| Some(median(name)? * times));
        for bound in [faster, not_above].into_iter().flatten() {
            goal.seconds = Some(goal.seconds.map_or(bound, |seconds| seconds.min(bound)));
        }
    }
}

fn blank(line: &Line, contender: &Contender) -> Measured {
    Measured {
        line: line.title.clone(),
        contender: contender.name.clone(),
        seconds: Vec::new(),
        megabytes: None,
        requests: None,
        answer_bytes: None,
        goal: contender.goal,
        failed: None,
    }
}

/// Memory and requests, in runs whose time does not count.
fn beside(
    contender: &Contender,
    measured: &mut Measured,
    course: &Course<'_>,
    number: &mut usize,
) -> anyhow::Result<()> {
    let file = course.folder.join("peak");
    let time = ["/usr/bin/time", "--quiet", "-f", "%M", "-o", &file.display().to_string()].map(str::to_owned);
    let slow = measured.median().is_some_and(|seconds| seconds > 5.0);
    for _ in 0..if slow { 1 } else { MEMORY_RUNS } {
        *number += 1;
        let turn = Turn { number: *number, bootstrap: course.bootstrap };
        run(contender, &turn, &time)?;
        undo(contender, &turn)?;
        let text = std::fs::read_to_string(&file).context("`time` wrote no file")?;
        let kilobytes: f64 = text.trim().parse().with_context(|| format!("`time` wrote {text}"))?;
        let megabytes = kilobytes / 1024.0;
        measured.megabytes = Some(measured.megabytes.map_or(megabytes, |most| most.max(megabytes)));
    }
    if let Some((bootstrap, counter)) = course.counted.filter(|_| contender.countable) {
        counter.take();
        *number += 1;
        let turn = Turn { number: *number, bootstrap };
        run(contender, &turn, &[])?;
        measured.requests = Some(counter.take());
        undo(contender, &turn)?;
    }
    Ok(())
}

/// One run of a whole process, from its start to its end; seconds.
fn run(contender: &Contender, turn: &Turn<'_>, before: &[String]) -> anyhow::Result<f64> {
    let words = [before, &(contender.command)(turn)].concat();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null());
    // A file, so that no reader has to keep up.
    let errors = tempfile::NamedTempFile::new()?;
    command.stderr(errors.reopen()?);
    let start = Instant::now();
    let status = command.status().with_context(|| format!("failed to run {}", words[0]))?;
    let seconds = start.elapsed().as_secs_f64();
    if !status.code().is_some_and(|code| contender.right.contains(&code)) {
        let said = std::fs::read_to_string(errors.path()).unwrap_or_default();
        let last: Vec<_> = said.lines().rev().take(3).collect();
        bail!("{} ended with {status}: {}", words.join(" "), last.into_iter().rev().collect::<Vec<_>>().join(" / "));
    }
    Ok(seconds)
}

fn undo(contender: &Contender, turn: &Turn<'_>) -> anyhow::Result<()> {
    contender.undo.as_ref().map_or(Ok(()), |undo| undo(turn))
}
