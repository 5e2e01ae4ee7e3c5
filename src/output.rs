//! The only file that prints. Results go to standard output, everything else to standard error, secrets to neither.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::exit::{Exit, Stop};
use crate::formats::secret::scrub;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// A table that fits a terminal.
    #[default]
    Table,
    /// A table with every column.
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
            Format::Json => serde_json::to_string_pretty(value)?,
            Format::Yaml => serde_saphyr::to_string(value)?,
        };
        print(&text)
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

/// Prints a text to standard output, with a newline at its end. A reader that went away (`| head`) is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let text = scrub(text);
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
pub fn say(text: &str) {
    let text = scrub(text);
    if listener(|heard, _| heard.err.extend([&*text, "\n"])).is_none() {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Says why the command did not do its work.
pub fn complain(text: &str) {
    say(&format!("toolbox: {text}"));
}

/// Whether a person can be asked: standard input and standard error are terminals.
pub fn can_ask() -> bool {
    listener(|_, answer| answer.is_some())
        .unwrap_or_else(|| std::io::stdin().is_terminal() && std::io::stderr().is_terminal())
}

/// Asks; only `y` and `yes` mean yes.
pub async fn ask(question: &str) -> anyhow::Result<bool> {
    let question = scrub(question);
    let answered = listener(|heard, answer| {
        heard.err.extend([&*question, " [y/N] \n"]);
        answer.unwrap_or(false)
    });
    if let Some(answer) = answered {
        return Ok(answer);
    }
    {
        let mut err = std::io::stderr().lock();
        write!(err, "{question} [y/N] ")?;
        err.flush()?;
    }
    // On a thread that nobody waits for: a signal must end the run while the question is open.
    let (answered, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut answer = String::new();
        let _ = answered.send(std::io::stdin().read_line(&mut answer).map(|_| answer));
    });
    let answer = answer.await??;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// The exit code that an error asks for: that of the [`Stop`] in its chain, else 1.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(|cause| cause.downcast_ref::<Stop>()).map_or(Exit::Failed, |stop| stop.exit)
}

/// A table without lines: columns padded, two spaces between them, no spaces at a line's end.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(head[column].chars().count())
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    let heads: Vec<_> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&heads).chain(rows) {
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

/// One line that says how far a long piece of work is: redrawn on a terminal; elsewhere a line now and then.
pub struct StatusLine {
    drawn: Option<indicatif::ProgressBar>,
    interval: Duration,
    said: Option<Instant>,
}

impl StatusLine {
    /// Begins; where there is no terminal, lines come no faster than `interval`.
    pub fn new(interval: Duration) -> Self {
        let is_watched = std::io::stderr().is_terminal() && listener(|_, _| ()).is_none();
        let drawn = is_watched.then(|| {
            let bar = indicatif::ProgressBar::new(1_000);
            let style = indicatif::ProgressStyle::with_template("{bar:30} {msg}");
            style.map_or(bar.clone(), |style| bar.with_style(style))
        });
        Self { drawn, interval, said: None }
    }

    /// Says how much is done, of 1,000 parts, and in words.
    pub fn at(&mut self, thousandths: u64, words: &str) {
        if let Some(bar) = &self.drawn {
            bar.set_position(thousandths);
            bar.set_message(scrub(words).into_owned());
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
