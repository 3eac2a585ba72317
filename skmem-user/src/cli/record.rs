//! `skmem record`: everything that a trace sees, into a file, to be looked at
//! later in every way.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use disk::{Disk, Limits};
use files::Files;
use progress::Progress;
use tokio::{
    process::Child,
    signal::unix::{Signal, SignalKind, signal},
};

use super::{
    Usage, command, duration, interrupted, live, screen, tracing_args::TracingArgs, verify::Verify,
};
use crate::{
    kernel::{rights::Rights, tracer},
    model::{end::WRITE_FAILED, record::Record, replay::Replay},
    quantity,
    recording::Meta,
    trace::{
        Session, about, flight::Flight, recording_session::RecordingSession, trigger::Trigger,
        writer_thread::Sink,
    },
};

mod disk;
mod files;
mod progress;

/// How often accounts go into a recording: what a SIGKILL costs where records
/// were lost.
const CHECKPOINT: Duration = Duration::from_secs(5);

/// How often conditions, sizes and the progress line are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Memory of a black box by default, in bytes.
const FLIGHT_MEMORY: u64 = 256 << 20;

/// Record everything about matching sockets into a file, for report, diff and more
#[derive(Debug, Args)]
#[command(after_help = "\
Records until Ctrl-C, until the time is up, or until CMD ends. `skmem report FILE` explains what was
recorded just as `skmem explain` would have, on any machine, without root. FILE is readable by its
owner only. A recording that was cut off (SIGKILL) is good up to its last second. If the disk fills
up, the last records are dropped to make room for the data that verdicts need.

With --flight nothing is written until a condition of --when holds or SIGUSR1 comes: then FILE gets
the last seconds. A condition also ends the recording. SIGUSR1 does not: send it as often as needed
(FILE, then FILE.2, FILE.3 before the extension, as with --rotate).

Examples:
  skmem record -o run.skm -p 4711 --duration 30s
  skmem record -o run.skm -- ./my-sender
  skmem record -o day.skm --dport 443 --rotate 100M --max-size 2G
  skmem record -o box.skm --flight 30s --when 'excess>64K' --when 'blocked>100ms'
  skmem report run.skm

Exit status: 0, 1 for a failure, 2 for wrong usage; with CMD, that of CMD.")]
pub struct Options {
    #[command(flatten)]
    tracing: TracingArgs,
    /// Write to this file; - is stdout
    #[arg(short, long, value_name = "FILE", help_heading = "Where to")]
    output: PathBuf,
    /// Replace files that are there
    #[arg(long, help_heading = "Where to")]
    force: bool,
    /// Start a new file when this one reaches SIZE, e.g. 100M
    #[arg(long, value_name = "SIZE", value_parser = quantity::file_size, help_heading = "Where to",
          conflicts_with = "flight")]
    rotate: Option<u64>,
    /// Stop at this size. With --rotate: delete the oldest files. With --flight: memory to use
    /// [default: 256M]
    #[arg(long, value_name = "SIZE", value_parser = quantity::file_size, help_heading = "Where to")]
    max_size: Option<u64>,
    /// Keep the last TIME in memory; write it on a trigger
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Black box")]
    flight: Option<Duration>,
    /// Write when a socket meets this condition: excess>SIZE or blocked>TIME
    #[arg(
        long,
        value_name = "CONDITION",
        requires = "flight",
        help_heading = "Black box"
    )]
    when: Vec<Trigger>,
    /// Record for this long, e.g. 500ms, 90s, 5m, 1h, 2d
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    verify: Verify,
    /// Run this command, and record its sockets and its children's
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Why a recording ends.
enum End {
    Asked,
    /// CMD has ended.
    Command(std::process::ExitStatus),
    /// `--max-size`.
    Full,
    /// The file cannot be written.
    Failed,
    Trigger(Trigger),
}

impl End {
    /// As the recording's last block says it.
    fn reason(&self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Command(_) => "command-ended",
            Self::Full => "max-size",
            Self::Failed => WRITE_FAILED,
            Self::Trigger(_) => "triggered",
        }
    }
}

/// Runs it.
///
/// # Errors
/// Where tracing is not possible, CMD cannot be started, or FILE cannot be
/// written.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    if let (Some(rotate), Some(most)) = (options.rotate, options.max_size)
        && most < 2 * rotate
    {
        let text = "--max-size must be at least twice --rotate: one file is being written, and one is kept";
        return Err(Usage(anyhow::anyhow!(text)).into());
    }
    let (selection, mut tracing) = options.tracing.options()?;
    tracing.verbose = verbose;
    command::look_up(&options.command)?;
    if !options.command.is_empty() {
        command::follow_children(&mut tracing);
    }
    let files = Files::new(&options.output, options.force)?;
    options.fits(&files).map_err(Usage)?;
    let name = files.target().to_string();
    // Before the programs are loaded, which takes a while: it would end skmem.
    let mut asked = signal(SignalKind::user_defined1())?;
    // Before there is a command, which must not outlive skmem.
    let mut stop = std::pin::pin!(interrupted()?);
    let mut session = tokio::select! {
        session = live::start(&selection, &tracing) => session?,
        () = &mut stop => return Ok(live::gave_up()),
    };
    if let Some(note) = session.left_out_note() {
        eprintln!("skmem: {note}");
    }
    let meta = about::meta(&session, &tracing, options.tracing.which.sockets.named());
    let sink = sink(&options, files, &meta)?;
    let mut child = command::start(&options.command)?;
    session.drop_rights(command::rights(&options.command) | options.rights())?;
    let replays = options.when.iter().any(|trigger| trigger.replays());
    options.verify.prepare(&mut session, replays);
    let mut tape = begin(&options, &mut session, sink, meta)?;
    // A command writes to the same terminal.
    let beside = child.is_some() && screen::lines().is_some();
    let mut progress = Progress::new(!beside);
    if child.is_none() && options.duration.is_none() && !progress.is_shown() {
        eprintln!("skmem: recording until Ctrl-C");
    }
    let child_too = child.as_mut();
    let ended = watch(
        &mut session,
        &mut tape,
        &options,
        child_too,
        stop.as_mut(),
        &mut asked,
        &mut progress,
    );
    let ended = ended.await?;
    let mut trigger = match &ended {
        End::Trigger(trigger) => Some(*trigger),
        _ => None,
    };
    // What comes last may show one, too.
    tape.finish(&mut session, |record, replay| {
        trigger = trigger.or_else(|| options.shown_by(record, replay));
    });
    live::say(&mut session);
    let trigger = trigger.or_else(|| options.shown_in(&session));
    let end = session.end(ended.reason())?;
    let totals = end.totals.clone();
    let written = tape.end(end, trigger.map(|trigger| trigger.to_string()));
    progress.done();
    match (&written, &ended) {
        (Err(e), _) => {
            eprintln!("skmem: cannot write {name}: {e}; what came before that can be read");
        }
        (Ok(_), End::Asked | End::Command(_)) if options.flight.is_some() && trigger.is_none() => {
            eprintln!("skmem: the recording ended without a trigger: nothing (more) was written");
        }
        (Ok(bytes), _) => progress.tell(&name, &totals, session.seen(), *bytes),
    }
    if let Some(trigger) = trigger {
        eprintln!("skmem: {trigger} holds");
    }
    if matches!(ended, End::Full) {
        eprintln!("skmem: --max-size is reached; what comes later is not recorded");
    }
    let verified = options.verify.tell(&session);
    live::detach(session).done().await;
    let status = match (ended, child) {
        (End::Command(status), _) => command::code(status),
        // A command is not ended because its recording is.
        (End::Full | End::Failed | End::Trigger(_), Some(mut child)) => tokio::select! {
            status = child.wait() => command::code(status?),
            () = stop => ExitCode::SUCCESS,
        },
        _ => ExitCode::SUCCESS,
    };
    Ok(match written {
        Ok(_) if verified => status,
        _ => ExitCode::FAILURE,
    })
}

impl Options {
    /// Whether what was asked for can be written there.
    fn fits(&self, files: &Files) -> Result<()> {
        let target = files.target();
        if (self.rotate.is_some() || self.flight.is_some()) && target.file().is_none() {
            bail!("--rotate and --flight write several files, but {target} is not a regular file");
        }
        if target.is_stdout() && !self.command.is_empty() {
            bail!("-o - writes the recording to stdout, and CMD writes there, too: give -o a file");
        }
        if target.is_stdout() && std::io::stdout().is_terminal() {
            bail!("a recording is not for a terminal: -o FILE writes a file");
        }
        Ok(())
    }

    /// What writing needs later: files that are made while it goes on may lie where root may not
    /// write without.
    fn rights(&self) -> Rights {
        match self.rotate.is_some() || self.flight.is_some() {
            true => Rights::DAC_OVERRIDE,
            false => Rights::empty(),
        }
    }

    /// The condition of `--when` that a record shows.
    fn shown_by(&self, record: &Record, replay: &Replay) -> Option<Trigger> {
        let mut all = self.when.iter().copied();
        all.find(|trigger| trigger.shown_by(record, replay))
    }

    /// The condition of `--when` that the accounts show.
    fn shown_in(&self, session: &Session) -> Option<Trigger> {
        let mut all = self.when.iter().copied();
        all.find(|trigger| trigger.shown_in(session))
    }
}

/// Where the recording goes: its first file is there then.
fn sink(options: &Options, files: Files, meta: &Meta) -> Result<Box<dyn Sink>> {
    if let Some(keep) = options.flight {
        let most = options.max_size.unwrap_or(FLIGHT_MEMORY);
        return Ok(Box::new(Flight::new(Box::new(files), keep, most)));
    }
    let limits = Limits {
        rotate: options.rotate,
        most: options.max_size,
    };
    let target = files.target().clone();
    match Disk::create(files, meta, limits) {
        Ok(disk) => Ok(Box::new(disk)),
        Err(e) => Err(target.failed(e)),
    }
}

/// The recording that was asked for: starts the thread that writes.
fn begin(
    options: &Options,
    session: &mut Session,
    sink: Box<dyn Sink>,
    mut meta: Meta,
) -> Result<RecordingSession> {
    let (every, changed_only) = match options.flight {
        Some(keep) => {
            meta.flight_ns = u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX);
            (Flight::segment(keep), false)
        }
        None => (CHECKPOINT, true),
    };
    RecordingSession::start(session, sink, meta, every, changed_only)
        .with_context(|| format!("cannot write {}", options.output.display()))
}

/// Where `demo` records.
pub(super) struct DemoFile(Files);

impl DemoFile {
    /// Looks whether it may be written.
    ///
    /// # Errors
    /// Where it may not.
    pub(super) fn new(output: &Path, force: bool) -> Result<Self> {
        Files::new(output, force).map(Self)
    }

    /// Records a session into it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn tape(
        self,
        session: &mut Session,
        tracing: &tracer::Options,
    ) -> Result<RecordingSession> {
        let meta = about::meta(session, tracing, Vec::new());
        let limits = Limits {
            rotate: None,
            most: None,
        };
        let target = self.0.target().clone();
        Disk::create(self.0, &meta, limits)
            .and_then(|disk| {
                RecordingSession::start(session, Box::new(disk), meta, CHECKPOINT, true)
            })
            .map_err(|e| target.failed(e))
    }
}

/// Records until one of the ends.
async fn watch(
    session: &mut Session,
    tape: &mut RecordingSession,
    options: &Options,
    child: Option<&mut Child>,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    asked: &mut Signal,
    progress: &mut Progress,
) -> Result<End> {
    let end = async {
        match options.duration {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let exit = command::ended(child);
    tokio::pin!(end, exit);
    let mut look = tokio::time::interval(LOOK);
    let mut fired = None;
    loop {
        tokio::select! {
            () = &mut end => return Ok(End::Asked),
            () = &mut stop => return Ok(End::Asked),
            status = &mut exit => return Ok(End::Command(status?)),
            _ = asked.recv(), if options.flight.is_some() => {
                tape.next(session, "triggered", Some("SIGUSR1".into()))?;
            }
            _ = look.tick() => {
                if let Some(over) = looked(session, tape, options)? {
                    return Ok(over);
                }
                progress.show(session, tape);
            }
            step = tape.step(session, |record, replay| {
                fired = fired.or_else(|| options.shown_by(record, replay));
            }) => step?,
        }
        if let Some(trigger) = fired {
            return Ok(End::Trigger(trigger));
        }
    }
}

/// What is to be looked at from time to time.
fn looked(
    session: &Session,
    tape: &mut RecordingSession,
    options: &Options,
) -> Result<Option<End>> {
    if tape.stats().failed.load(Relaxed) {
        return Ok(Some(End::Failed));
    }
    if options.flight.is_some() {
        tape.make_room(session);
        return Ok(options.shown_in(session).map(End::Trigger));
    }
    if tape.stats().full.load(Relaxed) {
        return Ok(Some(End::Full));
    }
    if options.rotate.is_some_and(|rotate| tape.has(rotate)) {
        tape.next(session, "rotated", None)?;
    }
    Ok(None)
}
