//! The program: reads the command line, runs one command, and turns what went wrong into one line and an exit code.

mod admin;
mod allocator;
mod cgroup;
mod check;
mod cli;
mod demo;
mod explain;
mod figures;
mod logging;
mod names;
mod offline;
mod probes;
mod routes;
mod run;
mod serve;
mod settings;
mod text;

use clap::error::ErrorKind;
use cli::Command;
use std::io::Write;
use std::process::ExitCode;

/// What was asked for cannot be begun.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    allocator::prepare();
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return fail(&cli::one_line(&error));
        }
        Err(error) => error.exit(),
    };
    match command(cli.command) {
        Ok(code) => code,
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn command(command: Command) -> anyhow::Result<ExitCode> {
    let text = match command {
        Command::Check(flags) => {
            let (text, code) = check::check(flags)?;
            print(&text)?;
            return Ok(code);
        }
        Command::Routes(flags) => routes::routes(flags)?,
        Command::Explain(flags) => explain::explain(*flags)?,
        Command::Version => format!("tidegate {}\n", env!("CARGO_PKG_VERSION")),
        Command::Run(flags) => return run::run(*flags),
        Command::Dns(flags) => return names::serve(*flags),
        Command::Demo(flags) => return demo::demo(flags),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints to standard output; a reader that has seen enough is no error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn fail(message: &str) -> ExitCode {
    logging::last_words(format!("tidegate: {}\n", text::printable(message)));
    ExitCode::from(UNUSABLE)
}
