//! Opens the client of Kafka from the flags, at the first use: a command that needs no cluster connects to none.

use std::sync::Arc;
use std::time::Duration;

use crate::clients::kafka::Kafka;
use crate::clients::kafka::live::Live;
use crate::clients::kafka::settings::Given;
use crate::clients::kafka::settings::Settings;
use crate::context::Context;
use crate::exit::Stop;

/// Controllers that are reached directly: flags for commands that talk to the quorum, to be flattened into theirs.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ControllerArgs {
    /// Controllers to ask instead of brokers, as HOST:PORT,HOST:PORT (Kafka 3.7 and newer): works while no broker runs.
    /// TLS and SASL are those of --command-config; they must suit the controllers' listener.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub bootstrap_controller: Option<String>,
}

impl Context {
    /// Whether flags or toolbox.yaml name a Kafka cluster.
    pub fn names_kafka(&self) -> bool {
        let flags = &self.flags;
        self.kafka.get().is_some() || flags.bootstrap_server.is_some() || flags.command_config.is_some()
    }

    /// The cluster that the flags name. Nothing is sent before the first question.
    pub async fn kafka(&self) -> anyhow::Result<Arc<dyn Kafka>> {
        self.kafka_expecting_configs(0).await
    }

    /// The same, for a command that will ask for the configs of so many topics: where they are many, connections to several
    /// brokers are made from now on, beside whatever is done meanwhile.
    pub async fn kafka_expecting_configs(&self, topics: usize) -> anyhow::Result<Arc<dyn Kafka>> {
        let open = || async {
            let live = Live::new(self.kafka_settings(None)?).map_err(|error| Stop::usage(error.to_string()))?;
            let live = live.expecting_configs(topics);
            self.guard_writes(&live);
            Ok::<Arc<dyn Kafka>, anyhow::Error>(Arc::new(live))
        };
        self.kafka.get_or_try_init(open).await.cloned()
    }

    /// The settings for one server at this address, and at most so long an answer, whatever cluster the flags name.
    pub fn settings_of(&self, address: &str, timeout: Duration) -> Result<Settings, Stop> {
        let given = Given { bootstrap_server: Some(address), timeout: Some(timeout), ..self.given(None) };
        Settings::load(self.flags.command_config.as_deref(), given).map_err(|error| Stop::usage(error.to_string()))
    }

    fn given<'a>(&'a self, controllers: Option<&'a str>) -> Given<'a> {
        Given {
            bootstrap_server: self.flags.bootstrap_server.as_deref(),
            bootstrap_controller: controllers,
            timeout: self.flags.timeout,
            response_bytes_max: self.flags.response_bytes_max.and_then(|bytes| usize::try_from(bytes.0).ok()),
            allow_plain_http: self.flags.allow_plain_http,
            is_implicit: self.is_config_implicit,
        }
    }

    /// What answers for the quorum: the controllers themselves where they are named, else the brokers of
    /// [`Context::kafka`]. What controllers do not answer, as topics and groups, is [`KafkaError::Unsupported`] there.
    ///
    /// [`KafkaError::Unsupported`]: crate::clients::kafka::KafkaError::Unsupported
    pub async fn quorum(&self, args: &ControllerArgs) -> anyhow::Result<Arc<dyn Kafka>> {
        let Some(controllers) = args.bootstrap_controller.as_deref() else { return self.kafka().await };
        let open = || async {
            let settings = self.kafka_settings(Some(controllers))?;
            let live = Live::new(settings).map_err(|error| Stop::usage(error.to_string()))?;
            self.guard_writes(&live);
            Ok::<Arc<dyn Kafka>, anyhow::Error>(Arc::new(live))
        };
        self.controllers.get_or_try_init(open).await.cloned()
    }

    /// What the flags and the client properties say; what is worth knowing about them goes to the log.
    fn kafka_settings(&self, controllers: Option<&str>) -> Result<Settings, Stop> {
        let (servers, file) = (self.flags.bootstrap_server.as_deref(), self.flags.command_config.as_deref());
        if servers.is_none() && file.is_none() && controllers.is_none() {
            return Err(Stop::usage("which cluster? give --bootstrap-server HOST:PORT, or --cluster NAME"));
        }
        let settings = Settings::load(file, self.given(controllers)).map_err(|error| Stop::usage(error.to_string()))?;
        for note in &settings.notes {
            if note.is_warning {
                tracing::warn!("{note}");
            } else {
                tracing::info!("{note}");
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::cluster::address::Address;
    use crate::context::Flags;

    #[test]
    fn controllers_are_enough_to_start_from_and_are_asked_instead_of_brokers() {
        let settings = |line: &[&'static str], controllers| {
            Context::new(Flags::of(line.iter().copied())).kafka_settings(controllers)
        };
        let direct = settings(&[], Some("c:9093, [::1]:9094")).unwrap();
        assert_eq!(direct.bootstrap_controllers, [Address::new("c", 9_093), Address::new("::1", 9_094)]);
        assert_eq!(direct.bootstrap, []);
        assert!(settings(&["--bootstrap-server", "a:1"], Some("c:9093")).unwrap().bootstrap.is_empty());
        let error = settings(&[], Some("c")).unwrap_err().to_string();
        assert!(error.contains("--bootstrap-controller"), "{error}");
    }

    #[test]
    fn a_timeout_comes_from_the_flag_else_from_the_properties_else_it_is_ten_seconds() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"request.timeout.ms=1500\n").unwrap();
        let path = file.path().to_str().unwrap();
        let timeout = |arguments: &[&str]| {
            let line = [&["--bootstrap-server", "a:1"], arguments].concat();
            Context::new(Flags::of(line)).kafka_settings(None).unwrap().timeout
        };
        assert_eq!(timeout(&[]), Duration::from_secs(10));
        assert_eq!(timeout(&["--command-config", path]), Duration::from_millis(1500));
        assert_eq!(timeout(&["--command-config", path, "--timeout", "3s"]), Duration::from_secs(3));
    }
}
