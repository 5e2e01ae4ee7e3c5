//! Whole commands in this process, on a cluster in memory: what a person sees, and how it ended.

use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use jiff::Timestamp;
use kafka_toolbox::cli::Cli;
use kafka_toolbox::clients::kafka::Kafka;
use kafka_toolbox::clients::kafka::memory::Memory;
use kafka_toolbox::clients::kubernetes::Kubernetes;
use kafka_toolbox::exit::Exit;
use kafka_toolbox::output;
use tempfile::TempDir;

/// One who runs commands on a cluster in memory.
pub(crate) struct Desk {
    pub(crate) kafka: Arc<Memory>,
    kubernetes: Option<Arc<dyn Kubernetes>>,
    clock: fn() -> Timestamp,
    folder: TempDir,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: Exit,
    pub(crate) out: String,
    /// Standard error, with the error that ended the command last.
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn new(kafka: Memory) -> Self {
        Self { kafka: Arc::new(kafka), kubernetes: None, clock: Timestamp::now, folder: tempfile::tempdir().unwrap() }
    }

    /// The same with an API server, which then keeps the lock and what was last applied.
    pub(crate) fn in_kubernetes(mut self, kubernetes: Arc<dyn Kubernetes>) -> Self {
        self.kubernetes = Some(kubernetes);
        self
    }

    /// The same where the machine's clock shows something else.
    pub(crate) fn at(self, clock: fn() -> Timestamp) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the spec; the text stands under `topics:`.
    pub(crate) fn declare(&self, topics: &[&str]) -> String {
        let path = self.folder.path().join("spec.yaml");
        let lines: Vec<_> = topics.iter().map(|line| format!("  - {line}")).collect();
        std::fs::write(&path, format!("topics:\n{}\n", lines.join("\n"))).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a toolbox.yaml with the cluster `main`.
    pub(crate) fn toolbox_file(&self) -> String {
        let path = self.folder.path().join("toolbox.yaml");
        std::fs::write(&path, "clusters: {main: {bootstrapServers: memory:1}}\n").unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Whether the cluster has this topic.
    pub(crate) fn has(&self, topic: &str) -> bool {
        self.kafka.look(|cluster| cluster.topics.keys().any(|name| name.as_str() == topic))
    }

    /// Runs a command; nobody can be asked.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
        self.run_and_answer(None, arguments).await
    }

    /// Runs a command and answers its question.
    pub(crate) async fn run_and_answer(&self, answer: Option<bool>, arguments: &[&str]) -> Said {
        let state = self.folder.path().join("state");
        let words = ["toolbox", "--state-folder", state.to_str().unwrap()];
        let place = if self.kubernetes.is_some() { "kubernetes" } else { "file" };
        let cli = Cli::try_parse_from(words.iter().chain(&["--state", place]).chain(arguments)).unwrap();
        let run = cli.run_in(|context| {
            let context = context.with_clock(self.clock).with_kafka(Arc::clone(&self.kafka) as Arc<dyn Kafka>);
            let context = context.with_controllers(Arc::clone(&self.kafka) as Arc<dyn Kafka>);
            match &self.kubernetes {
                Some(kubernetes) => context.with_kubernetes(Arc::clone(kubernetes)),
                None => context,
            }
        });
        let (ended, heard) = output::listen(answer, run).await;
        let output::Heard { out, mut err } = heard;
        let exit = ended.unwrap_or_else(|error| {
            err = format!("{err}{error:#}\n");
            output::exit_of(&error)
        });
        Said { exit, out, err }
    }

    /// `topics apply --yes` of what was declared last.
    pub(crate) async fn apply(&self, more: &[&str]) -> Said {
        let spec = self.folder.path().join("spec.yaml");
        self.run(&[&["topics", "apply", "--yes", "-f", spec.to_str().unwrap()], more].concat()).await
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn ends_with(self, exit: Exit) -> Self {
        assert_eq!(self.exit, exit, "{self:#?}");
        self
    }

    /// The lines of standard output, without the one about a missing record of an earlier apply.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.out.lines().filter(|line| !line.starts_with("! there is no record")).collect()
    }
}
