//! Logs: to standard error, or, where that is the journal, to the journal with their fields.
//!
//! Owns: the choice of where and how. Never does: make the caller wait for whoever reads the log, or
//! end the program because nobody does; what cannot be written is counted.
//! `VIPAIR_LOG` filters the records (`info` by default, for example `vipair_agent=debug,info`).
//! Under systemd, standard error leads to the journal, which `JOURNAL_STREAM` tells
//! (systemd.exec(5)). Then every record goes there by the journal's own protocol, its fields in
//! capitals, so that `journalctl GROUP=web` works. If the journal's socket does not answer, a line
//! on standard error begins with its priority, as sd-daemon(3) says, so that at least `journalctl
//! -p warning` works.

use lossy::{Lossy, Prompt};
use native::{Native, Rest, SOCKET};
use nix::sys::stat::fstat;
use std::fmt;
use std::io::Stderr;
use std::path::Path;
use std::sync::Mutex;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

mod lossy;
mod native;

/// Starts logging. A second call does nothing. The returned value must live as long as there is
/// something to log: when it is dropped, it waits for the last records.
pub(super) fn start() -> Option<Rest> {
    let asked = std::env::var("VIPAIR_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(&asked).unwrap_or_else(|error| {
        super::complain(&format!("vipair: VIPAIR_LOG={asked}: {error}; logging at info"));
        EnvFilter::new("info")
    });
    let is_journal = std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_standard_error(&stream));
    let native = if is_journal { Native::start(Path::new(SOCKET)).ok() } else { None };
    let (begun, rest) = if let Some((journal, rest)) = native {
        (tracing_subscriber::registry().with(filter).with(journal).try_init(), Some(rest))
    } else {
        // Its own complaint about a failed write would panic where that cannot be written, either.
        let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
        let begun = if is_journal {
            builder.with_ansi(false).event_format(Journal).with_writer(standard_error("<4>")).finish().try_init()
        } else {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && super::terminal::is_colour_wanted();
            let builder = builder.with_ansi(colour).with_target(false);
            builder.with_writer(standard_error("vipair: ")).finish().try_init()
        };
        (begun, None)
    };
    // The only error is that logging has begun already.
    let _already_begun = begun;
    rest
}

/// Standard error as the log writes to it. A line about lost lines begins with `prefix`.
fn standard_error(prefix: &'static str) -> Mutex<Lossy<Prompt<Stderr>>> {
    Mutex::new(Lossy::new(Prompt::new(std::io::stderr()), prefix))
}

/// Whether standard error is the file that `stream` names as `device:inode`.
fn is_standard_error(stream: &str) -> bool {
    fstat(std::io::stderr()).is_ok_and(|status| stream == format!("{}:{}", status.st_dev, status.st_ino))
}

/// The form of a line on standard error that systemd hands to the journal:
/// `<priority>message field=value`, one line for each record.
pub(super) struct Journal;

/// Writes the priority, then the spans around the record with their fields, then message and
/// fields.
impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            write!(writer, "{}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|f| !f.is_empty()) {
                write!(writer, "{{{fields}}}")?;
            }
            write!(writer, ": ")?;
        }
        format::DefaultFields::new().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Priorities of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
