//! The command line: one file per subcommand.
//!
//! Owns: arguments, what is printed, and exit codes (0 ok, 1 failed, 2 usage or configuration).
//! Never does: decide anything about addresses. On failure it prints what is wrong and what to do
//! on standard error; what cannot be written there is forgotten, and the exit code tells.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

mod check;
mod doctor;
mod events;
mod keygen;
mod launch;
mod leave;
mod logging;
mod pause;
mod record;
mod reload;
mod render;
mod replay;
mod resume;
mod run;
#[cfg(feature = "sim")]
mod sim;
mod status;
mod switch;
mod terminal;
#[cfg(test)]
mod tests;
mod witness;

/// Default of `--config`: path of the configuration.
pub const DEFAULT_CONFIG: &str = "/etc/vipair/vipair.toml";
/// Default of `--state-dir`: directory of the durable epochs.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/vipair";
/// Default of `--socket`: path of the control socket.
pub const DEFAULT_SOCKET: &str = "/run/vipair/vipair.sock";

/// Two Linux servers, one service address: a gate in each kernel decides which one answers for it.
#[derive(Parser, Debug)]
#[command(name = "vipair", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the agent (systemd does this)
    Run(run::RunArgs),
    /// Vote for clusters of two servers, without holding any address (systemd does this)
    Witness(witness::WitnessArgs),
    /// Show who is active, and why
    Status(status::StatusArgs),
    /// Move a group to the other node without losing a request
    Switch(switch::SwitchArgs),
    /// Keep a group closed on this node until it is resumed
    Pause(pause::PauseArgs),
    /// End a pause
    Resume(resume::ResumeArgs),
    /// Read the configuration again, without missing a pulse
    Reload(reload::ReloadArgs),
    /// Hand over everything and take no part until the next start (systemd does this at shutdown)
    Leave(leave::LeaveArgs),
    /// Show what happened
    Events(events::EventsArgs),
    /// Write down what the last minutes brought, for `vipair replay`
    Record(record::RecordArgs),
    /// Run a recording through the engine: what it decided, and why
    Replay(replay::ReplayArgs),
    /// Validate a configuration and show every derived time
    Check(check::CheckArgs),
    /// Find what would stop a takeover on this machine
    Doctor(doctor::DoctorArgs),
    /// Make a cluster key
    Keygen(keygen::KeygenArgs),
    /// Become another program (the agent does this)
    #[command(hide = true)]
    Launch(launch::LaunchArgs),
    /// Run the simulator
    #[cfg(feature = "sim")]
    Sim(sim::SimArgs),
}

/// Where the agent listens.
#[derive(Args, Debug)]
struct SocketArg {
    /// The agent's control socket
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

/// The reason for which a command ends early.
#[derive(Debug)]
enum Failure {
    /// The command failed: exit code 1. The text is empty if everything has been said.
    Failed(String),
    /// Usage or configuration is wrong: exit code 2.
    Wrong(String),
    /// The reader of our output has gone (`vipair events | head`): nothing failed, and nothing is
    /// left to do.
    ReaderGone,
}

impl Failure {
    /// The failure of a command that got an answer to another request.
    fn other_answer() -> Failure {
        Failure::Failed("the agent answered something else than it was asked".to_owned())
    }
}

impl From<crate::control::client::ClientError> for Failure {
    fn from(error: crate::control::client::ClientError) -> Failure {
        Failure::Failed(error.to_string())
    }
}

impl From<crate::config::ConfigErrors> for Failure {
    fn from(errors: crate::config::ConfigErrors) -> Failure {
        Failure::Wrong(errors.to_string())
    }
}

/// Parses the arguments, runs the command, and prints why it failed, if it did. Returns the exit code.
#[must_use]
pub fn main() -> u8 {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(said) => return explain(&said),
    };
    let outcome = match command {
        Command::Run(args) => run::execute(args),
        Command::Witness(args) => witness::execute(args),
        Command::Status(args) => status::execute(&args),
        Command::Switch(args) => switch::execute(args),
        Command::Pause(args) => pause::execute(args),
        Command::Resume(args) => resume::execute(args),
        Command::Reload(args) => reload::execute(&args),
        Command::Leave(args) => leave::execute(&args),
        Command::Events(args) => events::execute(&args),
        Command::Record(args) => record::execute(&args),
        Command::Replay(args) => replay::execute(&args),
        Command::Check(args) => check::execute(&args),
        Command::Doctor(args) => doctor::execute(&args),
        Command::Keygen(args) => keygen::execute(&args),
        Command::Launch(args) => launch::execute(args),
        #[cfg(feature = "sim")]
        Command::Sim(args) => sim::execute(&args),
    };
    end(outcome)
}

/// Prints why a command failed, if it did. Returns its exit code.
fn end(outcome: Result<(), Failure>) -> u8 {
    match outcome {
        Ok(()) | Err(Failure::ReaderGone) => 0,
        Err(Failure::Failed(message)) => {
            if !message.is_empty() {
                complain(&format!("vipair: {message}"));
            }
            1
        }
        Err(Failure::Wrong(message)) => {
            // No prefix: each line begins with file and line, which editors can follow.
            complain(&message);
            2
        }
    }
}

/// Prints what the parser of arguments has to say: help and version on standard output, what is
/// wrong on standard error.
fn explain(said: &clap::Error) -> u8 {
    let printed = said.print().and_then(|()| std::io::Write::flush(&mut std::io::stdout()));
    if said.use_stderr() {
        return 2;
    }
    end(printed.map_err(|error| not_printed(&error)))
}

/// Writes a line to standard error.
fn complain(line: &str) {
    use std::io::Write;
    // There is nowhere else to say it.
    let _nobody_hears = writeln!(std::io::stderr(), "{line}");
}

/// Sends an order that the agent carries out or refuses, and prints the agent's answer.
fn send_order(socket: &SocketArg, request: &crate::control::protocol::Request) -> Result<(), Failure> {
    use crate::control::protocol::Response;
    match crate::control::client::Client::connect(&socket.socket)?.ask(request)? {
        Response::Outcome(outcome) if outcome.ok => print(&format!("{}\n", outcome.message)),
        Response::Outcome(outcome) => Err(Failure::Failed(outcome.message)),
        Response::Status(_)
        | Response::Recorded { .. }
        | Response::Running(_)
        | Response::Event(_)
        | Response::End => Err(Failure::other_answer()),
    }
}

/// Writes `text` to standard output.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|error| not_printed(&error))
}

/// The failure of a command whose output could not be written.
fn not_printed(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        _ => Failure::Failed(format!("cannot write to standard output: {error}")),
    }
}
