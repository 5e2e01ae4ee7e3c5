//! Start: parse, logs, runtime, dispatch, exit code.

use std::process::ExitCode;

use kafka_toolbox::cli::Cli;
use kafka_toolbox::exit::Exit;
use kafka_toolbox::{output, telemetry};

/// musl's own allocator takes several times as long, and a whole plan is many small texts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(Cli::definition).complete();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(stop) => {
            output::complain(&stop.message);
            return stop.exit.into();
        }
    };
    if let Err(message) = telemetry::start(&cli.flags().log, cli.flags().log_format) {
        output::complain(&message);
        return Exit::Usage.into();
    }
    // One thread: it starts faster, and the work is waiting.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("failed to start: {error}"));
            return Exit::Failed.into();
        }
    };
    let format = cli.flags().output;
    match runtime.block_on(cli.run()) {
        Ok(exit) => exit.into(),
        Err(error) => output::end(&error, format).into(),
    }
}
