//! Opens the door to Kafka from the flags, at the first use: a command that needs no cluster connects to none.

use std::sync::Arc;

use crate::clients::kafka::Kafka;
use crate::clients::kafka::live::Live;
use crate::clients::kafka::settings::Given;
use crate::clients::kafka::settings::Settings;
use crate::context::Context;
use crate::exit::Stop;

impl Context {
    /// The cluster that the flags name. Nothing is sent before the first question.
    pub async fn kafka(&self) -> anyhow::Result<Arc<dyn Kafka>> {
        let open = || async {
            let live = Live::new(self.kafka_settings()?).map_err(|error| Stop::usage(error.to_string()))?;
            Ok::<Arc<dyn Kafka>, anyhow::Error>(Arc::new(live))
        };
        self.kafka.get_or_try_init(open).await.cloned()
    }

    /// What the flags and the client properties say; what is worth knowing about them goes to the log.
    fn kafka_settings(&self) -> Result<Settings, Stop> {
        let (servers, file) = (self.flags.bootstrap_server.as_deref(), self.flags.command_config.as_deref());
        if servers.is_none() && file.is_none() {
            return Err(Stop::usage("which cluster? give --bootstrap-server HOST:PORT, or --cluster NAME"));
        }
        let given = Given { bootstrap_server: servers, timeout: Some(self.flags.timeout) };
        let settings = Settings::load(file, given).map_err(|error| Stop::usage(error.to_string()))?;
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
