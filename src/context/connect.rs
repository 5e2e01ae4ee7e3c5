//! Opens the door to Kafka from the flags, at the first use: a command that needs no cluster connects to none.

use std::sync::Arc;

use crate::clients::kafka::Kafka;
use crate::clients::kafka::live::Live;
use crate::clients::kafka::settings::Security;
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

    fn kafka_settings(&self) -> Result<Settings, Stop> {
        let Some(servers) = &self.flags.bootstrap_server else {
            return Err(Stop::usage("which cluster? give --bootstrap-server HOST:PORT, or --cluster NAME"));
        };
        let parse = |server: &str| {
            let (host, port) = server.trim().rsplit_once(':')?;
            Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
        };
        let parsed: Option<Vec<_>> = servers.split(',').map(parse).collect();
        let bootstrap =
            parsed.ok_or_else(|| Stop::usage(format!("--bootstrap-server {servers} is not HOST:PORT[,HOST:PORT…]")))?;
        Ok(Settings {
            bootstrap,
            client_id: "kafka-toolbox".to_owned(),
            timeout: self.flags.timeout,
            security: Security::default(),
            notes: Vec::new(),
        })
    }
}
