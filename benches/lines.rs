//! What is measured: each task, our way and the rivals' ways.

use std::fmt::Write;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::ensure;

use crate::kafka::Kind;
use crate::measure::{Contender, Goal, Line, Turn};
use crate::rivals::Rivals;

/// Topics of the large cluster.
pub(crate) const TOPICS: usize = 2_000;

/// Topics of the rehearsed plan.
pub(crate) const REHEARSED: usize = 10_000;

/// Topics that a first apply creates.
const FRESH: usize = 200;

/// What takes milliseconds is run so many times as often.
const QUICK: usize = 3;

/// What lines are made from.
pub(crate) struct Stage<'a> {
    /// The binary that is measured.
    pub(crate) toolbox: &'a Path,
    /// An older binary, which it must not be slower than.
    pub(crate) former: Option<&'a Path>,
    /// For specs and state.
    pub(crate) folder: &'a Path,
    /// Runs a class of Kafka's own tools, with an archive of classes: faster than it comes.
    pub(crate) tool: PathBuf,
    /// Who else competes.
    pub(crate) rivals: &'a Rivals,
    /// Brokers over SCRAM and TLS, and the client properties for them.
    pub(crate) secure: Option<(String, PathBuf)>,
}

/// The older binary as a contender.
const FORMER: &str = "toolbox, older";

/// How many times as long as with the older binary a command may take.
const FORMER_SHARE: f64 = 1.1;

/// Kafka's own tool says its version.
const START: &str = "kafka-topics --version";

const TOPIC_COMMAND: &str = "org.apache.kafka.tools.TopicCommand";

impl Stage<'_> {
    /// Start and end of a process.
    pub(crate) fn version(&self) -> Line {
        let mut contenders = self.ours(&["--version"], Goal { seconds: Some(0.005), ..Goal::default() });
        contenders.extend(self.kcat(&["-V"]));
        Line { title: "version".into(), contenders, times: QUICK }
    }

    /// Names of all topics.
    pub(crate) fn list(&self) -> Line {
        let goal = Goal { relative: Some(("kcat", 0.0)), megabytes: Some(20.0), ..Goal::default() };
        let mut contenders = self.both_ways(&["topics", "list"], goal);
        contenders.extend(self.kcat(&["-b", "{brokers}", "-L"]));
        contenders.extend(rival("kcl", self.rivals.kcl.as_ref(), &["-X", "seed_brokers={brokers}", "metadata", "-t"]));
        let topicctl = ["get", "topics", "--broker-addr", "{broker}"];
        contenders.extend(rival("topicctl", self.rivals.topicctl.as_ref(), &topicctl));
        contenders.push(self.stock("kafka-topics", TOPIC_COMMAND, &["--list"]));
        Line { title: format!("list {TOPICS} topics"), contenders, times: QUICK }
    }

    /// All about one topic.
    pub(crate) fn describe(&self) -> Line {
        // Where kcat takes longer, the machine is not idle.
        let or_faster = Some(("kcat", 1.0));
        let goal = Goal { seconds: Some(0.010), megabytes: Some(20.0), or_faster, ..Goal::default() };
        let mut contenders = self.both_ways(&["topics", "describe", "bench-0042"], goal);
        contenders.extend(self.kcat(&["-b", "{brokers}", "-L", "-t", "bench-0042"]));
        let kcl = ["-X", "seed_brokers={brokers}", "metadata", "-t", "bench-0042"];
        contenders.extend(rival("kcl", self.rivals.kcl.as_ref(), &kcl));
        let topicctl = ["get", "partitions", "bench-0042", "--broker-addr", "{broker}"];
        contenders.extend(rival("topicctl", self.rivals.topicctl.as_ref(), &topicctl));
        contenders.push(self.stock("kafka-topics", TOPIC_COMMAND, &["--describe", "--topic", "bench-0042"]));
        Line { title: format!("describe 1 of {TOPICS} topics"), contenders, times: QUICK }
    }

    /// What the large cluster holds, or a plan for it: asked of the brokers, and planned.
    pub(crate) fn live_mapping(&self, words: &[&str]) -> Line {
        let goal = Goal { seconds: Some(1.0), ..Goal::default() };
        let mut contenders = self.ours(&[&["mapping"], words].concat(), goal);
        for contender in &mut contenders {
            // Something to move is no failure.
            contender.right = vec![0, 3];
        }
        let title = format!("live mapping {}: {} partitions", words.join(" "), TOPICS * 3);
        Line { title, contenders, times: 1 }
    }

    /// An apply that finds all as declared.
    pub(crate) fn apply_nothing(&self) -> anyhow::Result<Line> {
        let spec = self.spec_of_all()?;
        let goal = Goal { seconds: Some(0.25), requests: Some(15), ..Goal::default() };
        let mut contenders = self.both_ways(&["topics", "apply", "--yes", "-f", &spec], goal);
        if self.rivals.topicctl.is_some() {
            let (cluster, topics) = (self.path("topicctl-cluster.yaml"), self.path("topicctl-topics.yaml"));
            fs::write(&topics, topicctl_topics())?;
            let words = ["apply", "--skip-confirm", "--cluster-config", &cluster, &topics];
            let mut topicctl = rival("topicctl", self.rivals.topicctl.as_ref(), &words);
            if let Some(topicctl) = &mut topicctl {
                let (inner, file) =
                    (std::mem::replace(&mut topicctl.command, Box::new(|_| Vec::new())), cluster.clone());
                topicctl.command = Box::new(move |turn| {
                    // A file that cannot be written shows as a failed run.
                    let _ = fs::write(&file, topicctl_cluster(turn.bootstrap));
                    inner(turn)
                });
            }
            contenders.extend(topicctl);
        }
        contenders.push(self.stock("kafka-topics --describe", TOPIC_COMMAND, &["--describe"]));
        let configs = ["--describe", "--entity-type", "topics"];
        contenders.push(self.stock("kafka-configs --describe", "kafka.admin.ConfigCommand", &configs));
        // Two of them are compared to some 20 ms of each other, which the brokers' own times vary by.
        Ok(Line { title: format!("apply {TOPICS} topics, nothing to do"), contenders, times: 2 * QUICK })
    }

    /// An apply of topics that are not there; `seconds` is what it may take. With ZooKeeper the topics stay: deleting
    /// them goes on for a minute behind the answer, and would slow the next run.
    pub(crate) fn apply_fresh(&self, kind: Kind, seconds: f64) -> Line {
        let goal = Goal { seconds: Some(seconds), ..Goal::default() };
        let words =
            ["topics", "apply", "--yes", "-f", "{folder}/fresh-{n}.yaml", "--state-folder", "{folder}/state-{n}"];
        let mut contenders = self.each(&[&["--bootstrap-server", "{brokers}"], &words[..]].concat(), goal);
        for contender in &mut contenders {
            let (inner, folder) =
                (std::mem::replace(&mut contender.command, Box::new(|_| Vec::new())), self.folder.to_owned());
            contender.command = Box::new(move |turn| {
                // A file that cannot be written shows as a failed run.
                let _ = fs::write(folder.join(format!("fresh-{}.yaml", turn.number)), fresh(turn.number));
                inner(turn)
            });
        }
        let name = ["--create", "--topic", "fresh-{n}-one", "--partitions", "3", "--replication-factor", "3"];
        contenders.push(self.stock("kafka-topics, 1 topic", TOPIC_COMMAND, &name));
        for contender in contenders.iter_mut().filter(|_| !kind.has_zookeeper()) {
            let tool = self.tool.clone();
            contender.undo = Some(Box::new(move |turn| forget(&tool, turn)));
        }
        Line { title: fresh_title(kind), contenders, times: 1 }
    }

    /// A plan of many topics from a saved observation.
    pub(crate) fn rehearse(&self) -> anyhow::Result<Line> {
        let spec = self.path("rehearsed.yaml");
        fs::write(&spec, rehearsed())?;
        let observed = self.path("rehearsed.json");
        let words = ["topics", "diff", "-f", &spec, "--observed", &observed];
        // No other tool plans without a cluster. Ours is to be done before Kafka's own has said its version: where that takes
        // longer than 150 ms, so does the machine.
        let goal = Goal { seconds: Some(0.150), or_faster: Some((START, 1.0)), ..Goal::default() };
        let mut contenders = self.each(&words, goal);
        for contender in &mut contenders {
            contender.right = vec![3];
        }
        contenders.push(self.stock(START, TOPIC_COMMAND, &["--version"]));
        for contender in &mut contenders {
            contender.countable = false;
        }
        let title = format!("plan {REHEARSED} topics, saved observation, 1 in 10 to change");
        Ok(Line { title, contenders, times: QUICK })
    }

    /// Nobody answers: closed ports, or ports where a connection opens and nothing follows.
    pub(crate) fn unreachable(&self, how: &str, brokers: &str) -> Line {
        let words = ["--bootstrap-server", brokers, "topics", "list"];
        let mut ours = self.contender("toolbox", self.toolbox, &words);
        ours.goal = Goal { seconds: Some(10.2), ..Goal::default() };
        let kcat = rival("kcat", self.rivals.kcat.as_ref(), &["-b", brokers, "-L"]);
        let mut contenders = vec![ours];
        contenders.extend(kcat);
        for contender in &mut contenders {
            contender.right = vec![1];
            contender.countable = false;
        }
        Line { title: format!("no broker reachable: {how}"), contenders, times: 1 }
    }

    /// The spec of all topics of the large cluster.
    pub(crate) fn spec_of_all(&self) -> anyhow::Result<String> {
        let path = self.path("all.yaml");
        fs::write(&path, spec((0..TOPICS).map(|number| format!("bench-{number:04}")), |_| 86_400_000))?;
        Ok(path)
    }

    /// The path of a file of this bench.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Our command in plaintext and, where there is such a listener, with SCRAM and TLS, which may take 40 ms more.
    fn both_ways(&self, words: &[&str], goal: Goal) -> Vec<Contender> {
        let mut contenders = self.ours(words, goal);
        if let Some((brokers, properties)) = &self.secure {
            let properties = properties.display().to_string();
            let connect = ["--bootstrap-server", brokers, "--command-config", &properties];
            let state = self.path("state");
            let words = [&connect[..], words, &["--state-folder", &state]].concat();
            let mut secure = self.contender("toolbox, SCRAM + TLS", self.toolbox, &words);
            secure.goal = Goal { relative: Some(("toolbox", 0.040)), ..Goal::default() };
            secure.countable = false;
            contenders.push(secure);
        }
        contenders
    }

    /// Our command, asked of the brokers.
    fn ours(&self, words: &[&str], goal: Goal) -> Vec<Contender> {
        self.each(&[&["--bootstrap-server", "{brokers}", "--state-folder", "{state}"], words].concat(), goal)
    }

    /// Our command with the binary that is measured and, where one is given, with the older one: each with a state folder,
    /// `{state}`, of its own.
    fn each(&self, words: &[&str], goal: Goal) -> Vec<Contender> {
        let make = |name: &str, program: &Path, state: &str| {
            let words: Vec<_> = words.iter().map(|word| word.replace("{state}", &self.path(state))).collect();
            self.contender(name, program, &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let not_above = self.former.map(|_| (FORMER, FORMER_SHARE));
        let ours = Contender { goal: Goal { not_above, ..goal }, ..make("toolbox", self.toolbox, "state") };
        iter::once(ours).chain(self.former.map(|former| make(FORMER, former, "state-older"))).collect()
    }

    fn stock(&self, name: &str, class: &str, words: &[&str]) -> Contender {
        self.contender(name, &self.tool, &[&[class, "--bootstrap-server", "{brokers}"], words].concat())
    }

    fn kcat(&self, words: &[&str]) -> Option<Contender> {
        rival("kcat", self.rivals.kcat.as_ref(), words)
    }

    fn contender(&self, name: &str, program: &Path, words: &[&str]) -> Contender {
        let folder = self.folder.display().to_string();
        let words: Vec<_> = words.iter().map(|word| word.replace("{folder}", &folder)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        contender(name, program, &words)
    }
}

/// The title of the line of a first apply.
pub(crate) fn fresh_title(kind: Kind) -> String {
    format!("first apply of {FRESH} topics × 3, {}", kind.name())
}

/// `{n}`, `{brokers}` and `{broker}` (the first of them) in the words are filled in at each run.
pub(crate) fn contender(name: &str, program: &Path, words: &[&str]) -> Contender {
    let mut all = vec![program.display().to_string()];
    all.extend(words.iter().map(|&word| word.to_owned()));
    let command = move |turn: &Turn<'_>| {
        let first = turn.bootstrap.split(',').next().unwrap_or_default();
        let fill = |word: &String| {
            let word = word.replace("{n}", &turn.number.to_string());
            word.replace("{brokers}", turn.bootstrap).replace("{broker}", first)
        };
        all.iter().map(fill).collect()
    };
    let command = Box::new(command);
    Contender { name: name.into(), command, right: vec![0], goal: Goal::default(), countable: true, undo: None }
}

fn rival(name: &str, program: Option<&PathBuf>, words: &[&str]) -> Option<Contender> {
    program.map(|program| contender(name, program, words))
}

/// Deletes what a run has created, and waits until it is gone.
fn forget(tool: &Path, turn: &Turn<'_>) -> anyhow::Result<()> {
    let ours = format!("fresh-{}-", turn.number);
    let run = |words: &[&str]| {
        let words = [&[TOPIC_COMMAND, "--bootstrap-server", turn.bootstrap], words].concat();
        Command::new(tool).args(words).stderr(Stdio::null()).output()
    };
    let deleted = run(&["--delete", "--topic", &format!("{ours}.*")])?;
    ensure!(deleted.status.success(), "failed to delete {ours}*");
    for _ in 0..100 {
        let listed = run(&["--list"])?;
        if listed.status.success() && !String::from_utf8_lossy(&listed.stdout).contains(&ours) {
            return Ok(());
        }
    }
    anyhow::bail!("{ours}* are still there")
}

fn spec(names: impl Iterator<Item = String>, retention: impl Fn(usize) -> u64) -> String {
    let mut text = "defaults:\n  partitions: 3\n  replicationFactor: 3\ntopics:\n".to_owned();
    for (number, name) in names.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "  - name: {name}\n    config:\n      retention.ms: {}\n      min.insync.replicas: 2\n",
            retention(number)
        );
    }
    text
}

fn fresh(number: usize) -> String {
    spec((0..FRESH).map(|topic| format!("fresh-{number}-{topic:03}")), |_| 86_400_000)
}

/// One topic in ten wants another retention than it has.
fn rehearsed() -> String {
    let names = (0..REHEARSED).map(|number| format!("bench{}-{:04}", number / TOPICS, number % TOPICS));
    spec(names, |number| if number % 10 == 0 { 3_600_000 } else { 86_400_000 })
}

fn topicctl_cluster(bootstrap: &str) -> String {
    let addresses: Vec<_> = bootstrap.split(',').map(|address| format!("    - {address}\n")).collect();
    let meta = "meta:\n  name: bench\n  environment: bench\n  region: bench\n";
    format!("{meta}spec:\n  bootstrapAddrs:\n{}", addresses.concat())
}

fn topicctl_topics() -> String {
    let topic = |number: usize| {
        format!(
            "meta:\n  name: bench-{number:04}\n  cluster: bench\n  environment: bench\n  region: bench\n\
             spec:\n  partitions: 3\n  replicationFactor: 3\n  placement:\n    strategy: any\n  settings:\n    \
             retention.ms: 86400000\n    min.insync.replicas: 2\n"
        )
    };
    (0..TOPICS).map(topic).collect::<Vec<_>>().join("---\n")
}
