//! The status line of an execution on a terminal (a pty of `script`): within its width, also after it was resized.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::live::create;
use crate::live::kafka::records::fill;
use crate::live::kafka::{Cluster, Kind, Shape};
use crate::reassign::bench::{Row, plan};
use crate::support::toolbox::Toolbox;

/// Longest wait for something to be shown.
const LIMIT: Duration = Duration::from_mins(1);

/// After a resize, what is drawn later than this was drawn for the new width.
const REDRAWN: Duration = Duration::from_millis(700);

/// A command on a terminal.
struct Terminal {
    script: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a command on a terminal of so many columns. The first line that is shown is its process id and the terminal.
    fn start(toolbox: &Toolbox, arguments: &str, columns: u16) -> Self {
        let program = env!("CARGO_BIN_EXE_toolbox");
        let line = format!("echo $$ $(tty); stty cols {columns} rows 24; exec {program} {arguments}");
        let mut command = Command::new("script");
        command.args(["-q", "-f", "-c", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.env("TERM", "xterm");
        for (name, value) in toolbox.command(&[]).get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let mut script = command.spawn().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (out, keeps) = (script.stdout.take().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || keep(out, &keeps));
        Self { script, shown }
    }

    fn length(&self) -> usize {
        self.shown.lock().unwrap().len()
    }

    /// What was shown after so many bytes: lines without control sequences, as a terminal of so many columns breaks them.
    fn lines(&self, from: usize, columns: usize) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.shown.lock().unwrap()[from..]).into_owned();
        let (mut plain, mut rest) = (String::new(), text.chars());
        while let Some(c) = rest.next() {
            match c {
                '\u{1b}' => drop(rest.by_ref().find(char::is_ascii_alphabetic)),
                '\r' => plain.push('\n'),
                c => plain.push(c),
            }
        }
        let broken = plain.lines().flat_map(|line| {
            let characters: Vec<_> = line.chars().collect();
            characters.chunks(columns).map(|chunk| chunk.iter().collect::<String>()).collect::<Vec<_>>()
        });
        broken.map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
    }

    /// Waits until the lines that are shown after so many bytes, at so many columns, are as wanted.
    fn until(&self, (from, columns): (usize, usize), is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let began = Instant::now();
        loop {
            let lines = self.lines(from, columns);
            if is_so(&lines) {
                return lines;
            }
            assert!(began.elapsed() < LIMIT, "{lines:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn keep(mut out: ChildStdout, shown: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = out.read(&mut buffer) {
        shown.lock().unwrap().extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn the_status_of_an_execution_fits_the_terminal_and_follows_its_width() {
    let cluster = Cluster::start(Kind::Kafka43Kraft, &Shape::brokers(2)).unwrap();
    create(&cluster, "orders", "1,1");
    fill(&cluster, "orders", 20_000, 1_000).unwrap();
    let toolbox = Toolbox::new(&cluster.bootstrap());
    let rows: [Row<'_>; 2] = [("orders", 0, &[1], &[2], 10_000_000), ("orders", 1, &[1], &[2], 10_000_000)];
    let file = toolbox.file("plan.json", &plan(cluster.id(), &rows));
    let arguments = format!("reassign execute {file} --yes --max-risk moves-data --throttle 20kB/s --tick 1s");
    let mut terminal = Terminal::start(&toolbox, &arguments, 60);

    let is_status = |line: &String| line.contains("partitions done");
    let narrow = terminal.until((0, 60), |lines| lines.iter().any(|line| line.contains("left")));
    let status: Vec<_> = narrow.iter().skip_while(|line| !line.contains('░')).collect();
    assert!(status.iter().all(|line| line.chars().count() < 60), "{status:#?}");
    assert!(!status.iter().any(|line| is_status(line) && line.contains("left")), "it takes two lines: {status:#?}");
    let (pid, tty) = narrow[0].split_once(' ').unwrap();
    for (columns, wraps) in [(80, true), (200, false)] {
        let resized = Command::new("stty").args(["-F", tty, "cols", &columns.to_string()]).status().unwrap();
        assert!(resized.success());
        std::thread::sleep(REDRAWN);
        let from = terminal.length();
        let drawn = terminal.until((from, columns), |lines| lines.iter().filter(|line| is_status(line)).count() > 1);
        let last = drawn.iter().rfind(|line| is_status(line)).unwrap();
        assert!(drawn.iter().all(|line| line.chars().count() < columns), "{columns}: {drawn:#?}");
        assert_eq!(last.contains("left"), !wraps, "{columns}: {drawn:#?}");
    }
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::TERM).unwrap();
    terminal.script.wait().unwrap();
}
