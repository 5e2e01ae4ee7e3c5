//! The only file that prints. Results go to standard output, everything else to standard error, secrets to neither.
//! What a terminal would obey or not show is escaped here ([`visible`]); texts on several lines go to [`print()`],
//! [`say_lines`] and [`complain_lines`], and whoever lays them out escapes each value's own ends of line.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cluster::visible;
use crate::exit::{Exit, Stop};
use crate::formats::json;
use crate::formats::secret::scrub;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A table that fits a terminal.
    #[default]
    Table,
    /// A table with every column, a plan with every step.
    Wide,
    /// JSON with a stable schema.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// How results are shown.
    pub format: Format,
}

impl Output {
    /// Prints a result: `value` as JSON or YAML, or the table's text.
    pub fn result<T: Serialize>(&self, value: &T, table: impl FnOnce(bool) -> String) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Table => table(false),
            Format::Wide => table(true),
            Format::Json => visible_json(value)?,
            Format::Yaml => yaml(value)?,
        };
        print(&text)
    }

    /// Whether every line and column is shown to a person.
    pub fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// Whether results are read by a program.
    pub fn is_structured(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }
}

/// What a command printed while it was listened to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

thread_local! {
    static LISTENER: RefCell<Option<(Heard, Option<bool>)>> = const { RefCell::new(None) };
}

/// Runs something on this thread and keeps what it prints, for tests of whole commands. Questions are answered with
/// `answer`; without one there is nobody to ask.
pub async fn listen<T>(answer: Option<bool>, work: impl Future<Output = T>) -> (T, Heard) {
    LISTENER.with_borrow_mut(|listener| *listener = Some((Heard::default(), answer)));
    let done = work.await;
    let heard = LISTENER.take().unwrap_or_default().0;
    (done, heard)
}

/// The answer that a listener gives, or whether somebody listens at all.
fn listener<T>(with: impl FnOnce(&mut Heard, Option<bool>) -> T) -> Option<T> {
    LISTENER.with_borrow_mut(|listener| listener.as_mut().map(|(heard, answer)| with(heard, *answer)))
}

/// A value as JSON that hides nothing. A plan of a large cluster is tens of megabytes: it is not copied without need.
fn visible_json<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let written = json::pretty(value)?;
    Ok(match visible::json(&written) {
        Cow::Owned(escaped) => escaped,
        Cow::Borrowed(_) => written,
    })
}

/// A value as YAML; in YAML's JSON form where it has characters that have to be escaped, which no other form can do.
fn yaml<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let written = serde_saphyr::to_string(value)?;
    if visible::has_hidden(&written) {
        return Ok(visible::json_as_yaml(&json::pretty(value)?).into_owned());
    }
    Ok(written)
}

/// Whether this process has printed a result.
static HAS_PRINTED: AtomicBool = AtomicBool::new(false);

/// Says why a command ended, as its last words; to a program that gets no other document also as one:
/// `{"error": …, "exit": CODE}`.
pub fn end(error: &anyhow::Error, format: Format) -> Exit {
    let exit = exit_of(error);
    let words = format!("{error:#}");
    complain_lines(&words);
    let output = Output { format };
    if output.is_structured() && !HAS_PRINTED.load(Ordering::Relaxed) {
        let document = serde_json::json!({ "error": scrub(&words), "exit": exit as u8 });
        // Standard error has said it; a reader that went away is no news.
        let _ = output.result(&document, |_| String::new());
    }
    exit
}

/// Prints a text to standard output, with a newline at its end. A reader that went away (`| head`) is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    HAS_PRINTED.store(true, Ordering::Relaxed);
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let text = scrub(text);
    let text = visible::text(&text);
    if listener(|heard, _| heard.out.extend([&*text, end])).is_some() {
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    let written =
        out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Says something to the person who runs the command: standard error. If that is gone, nobody is left to tell.
///
/// It is one line, whatever names and values it has in it.
pub fn say(text: &str) {
    write_error(&visible::line(&scrub(text)));
}

/// The same for a text of several lines.
pub fn say_lines(text: &str) {
    write_error(&visible::text(&scrub(text)));
}

fn write_error(text: &str) {
    if listener(|heard, _| heard.err.extend([text, "\n"])).is_none() {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Says why the command did not do its work.
pub fn complain(text: &str) {
    say(&format!("toolbox: {text}"));
}

/// The same for a text of several lines.
pub fn complain_lines(text: &str) {
    say_lines(&format!("toolbox: {text}"));
}

/// Whether a person can be asked: standard input and standard error are terminals.
pub fn can_ask() -> bool {
    listener(|_, answer| answer.is_some())
        .unwrap_or_else(|| std::io::stdin().is_terminal() && std::io::stderr().is_terminal())
}

/// Asks. Only `y` and `yes` mean yes; where `typed` is given, only that text does.
pub async fn ask(question: &str, typed: Option<&str>) -> anyhow::Result<bool> {
    let question = scrub(question);
    let question = visible::line(&question);
    let choices = if typed.is_some() { "" } else { " [y/N]" };
    let answered = listener(|heard, answer| {
        heard.err.extend([&*question, choices, " \n"]);
        answer.unwrap_or(false)
    });
    if let Some(answer) = answered {
        return Ok(answer);
    }
    {
        let mut err = std::io::stderr().lock();
        write!(err, "{question}{choices} ")?;
        err.flush()?;
    }
    // On a thread that nobody waits for: a signal must end the run while the question is open.
    let (answered, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut answer = String::new();
        let _ = answered.send(std::io::stdin().read_line(&mut answer).map(|_| answer));
    });
    let answer = answer.await??;
    Ok(match typed {
        Some(typed) => answer.trim() == typed,
        None => matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"),
    })
}

/// The exit code that an error asks for: that of the [`Stop`] in its chain, else 1.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(|cause| cause.downcast_ref::<Stop>()).map_or(Exit::Failed, |stop| stop.exit)
}

/// A table without lines: columns padded, two spaces between them, no spaces at a line's end.
/// Each cell is one value: what is in it cannot begin a line.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| visible::value(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(head[column].chars().count())
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    let heads: Vec<_> = head.iter().map(|cell| Cow::Borrowed(*cell)).collect();
    for row in std::iter::once(&heads).chain(&rows) {
        let start = out.len();
        for (cell, width) in row.iter().zip(&widths) {
            out.push_str(cell);
            out.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count().min(*width)));
        }
        let end = out[start..].trim_end().len();
        out.truncate(start + end);
        out.push('\n');
    }
    out
}

/// Lines about progress where there is no terminal come no faster than this.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// How far a long piece of work is: a bar on a terminal, elsewhere a line now and then.
pub struct Bar {
    drawn: Option<indicatif::ProgressBar>,
    total: usize,
    said: Instant,
}

impl Bar {
    /// Begins. A bar is drawn only once something took a while.
    pub fn new(total: usize) -> Self {
        let is_watched = std::io::stderr().is_terminal() && listener(|_, _| ()).is_none();
        let drawn = is_watched.then(|| {
            let bar = indicatif::ProgressBar::new(total.try_into().unwrap_or(u64::MAX));
            let style = indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left");
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        Self { drawn, total, said: Instant::now() }
    }

    /// Says how much is done.
    pub fn at(&mut self, done: usize) {
        if let Some(bar) = &self.drawn {
            bar.set_position(done.try_into().unwrap_or(u64::MAX));
        } else if self.said.elapsed() >= LINE_INTERVAL && done < self.total {
            self.said = Instant::now();
            say(&format!("{done} of {} done", self.total));
        }
    }

    /// Ends; the bar leaves no trace.
    pub fn clear(self) {
        if let Some(bar) = self.drawn {
            bar.finish_and_clear();
        }
    }
}

/// How far a long piece of work is, in words: redrawn on a terminal, within its width; elsewhere a line now and then.
pub struct StatusLine {
    drawn: Option<indicatif::ProgressBar>,
    shown: Arc<Mutex<Shown>>,
    interval: Duration,
    said: Option<Instant>,
}

/// What a status line shows now.
#[derive(Debug, Default)]
struct Shown {
    /// Of 1,000 parts.
    thousandths: u64,
    words: String,
}

/// A terminal that was resized is drawn anew within this time.
const REDRAW_INTERVAL: Duration = Duration::from_millis(500);

/// The width where the terminal does not tell it.
const WIDTH: usize = 80;

impl StatusLine {
    /// Begins; where there is no terminal, lines come no faster than `interval`.
    pub fn new(interval: Duration) -> Self {
        let shown = Arc::new(Mutex::new(Shown::default()));
        let is_watched = std::io::stderr().is_terminal() && listener(|_, _| ()).is_none();
        let drawn = is_watched.then(|| {
            let bar = indicatif::ProgressBar::new(1_000);
            let shown = Arc::clone(&shown);
            // It is called at each drawing: the width is that of this moment.
            let draw = move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = out.write_str(&fitted(shown.thousandths, &shown.words, terminal_width()));
            };
            let style = indicatif::ProgressStyle::with_template("{status}").map(|style| style.with_key("status", draw));
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        Self { drawn, shown, interval, said: None }
    }

    /// Says how much is done, of 1,000 parts, and in words.
    pub fn at(&mut self, thousandths: u64, words: &str) {
        if let Some(bar) = &self.drawn {
            *self.shown.lock().unwrap_or_else(PoisonError::into_inner) =
                Shown { thousandths, words: visible::line(&scrub(words)).into_owned() };
            if self.said.is_none() {
                bar.enable_steady_tick(REDRAW_INTERVAL);
            }
            self.said = Some(Instant::now());
        } else if self.said.is_none_or(|said| said.elapsed() >= self.interval) {
            self.said = Some(Instant::now());
            say(words);
        }
    }

    /// Says something in between.
    pub fn say(&self, text: &str) {
        match &self.drawn {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        if let Some(bar) = &self.drawn {
            bar.finish_and_clear();
        }
    }
}

/// The columns of the terminal that standard output is; none where results go elsewhere.
pub fn columns() -> Option<usize> {
    let is_watched = std::io::stdout().is_terminal() && listener(|_, _| ()).is_none();
    let size = is_watched.then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok()).flatten();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The columns of the terminal that standard error is.
fn terminal_width() -> usize {
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { WIDTH } else { columns }
}

/// A bar and words in lines that are shorter than the terminal's width: nothing is cut off but a single word that is
/// longer than that.
fn fitted(thousandths: u64, words: &str, width: usize) -> String {
    let most = width.saturating_sub(1).max(1);
    let bar = if width >= WIDTH { 20 } else { 10 };
    let full = usize::try_from(thousandths.min(1_000)).unwrap_or(1_000) * bar / 1_000;
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(bar - full));
    let mut lines: Vec<String> = Vec::new();
    for word in std::iter::once(bar.as_str()).chain(words.split_whitespace()) {
        let word: String = word.chars().take(most).collect();
        let length = word.chars().count();
        match lines.last_mut().filter(|line| line.chars().count() + 1 + length <= most) {
            Some(line) => line.extend([" ", &word]),
            None => lines.push(word),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_fits_terminals_of_60_80_and_200_columns_and_nothing_of_it_is_lost() {
        let words = "1234/4567 partitions done, 10 moving, 123.4 GB of 999.9 GB, 123.4 MB/s, 12 h 30 min left; no move is \
                     begun: paused by ann at 2026-11-29T10:00:00Z";
        for (width, lines) in [(60, 3), (80, 3), (200, 1), (20, 10), (1, 20)] {
            let shown = fitted(500, words, width);
            let longest = shown.lines().map(|line| line.chars().count()).max();
            assert!(longest < Some(width.max(2)), "{width}: {shown}");
            assert!(shown.lines().count() >= lines, "{width}: {shown}");
            if width >= 60 {
                let again: Vec<_> = shown.split_whitespace().skip(1).collect();
                assert_eq!(again.join(" "), words, "{width}");
            }
        }
        assert_eq!(fitted(500, "half", 200), "██████████░░░░░░░░░░ half");
        assert_eq!(fitted(5_000, "", 10), "█████████", "a terminal of ten columns");
    }
}
