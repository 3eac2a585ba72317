//! `--flight`: the last seconds of records in memory, written when a socket meets a condition.

use std::{
    collections::HashSet,
    fs,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use super::super::{
    duration,
    output::{Access, Output, Target},
    recent::{Part, Recent, Request, free, name},
};
use crate::{
    explain::{Verdict, numbers::grouped},
    kernel::system,
    model::end::{End, SavedAccount},
    quantity,
    recording::{Meta, copy},
    render,
    serve::{
        drawn, families,
        flight::{Bounds, Files},
        pages::Page,
    },
    trace::{Session, alarms::Alarms, pace::Pace, trigger::Trigger},
};

/// Most memory that records take, bytes.
const MOST: u64 = 32 << 20;
/// How often senders are looked at that may wait, at most.
const LOOK: Duration = Duration::from_millis(250);
/// Sockets that a file names; it may hold more.
const NAMED: usize = 20;
/// A sender that waits so long is written down, where nobody says what is.
const BLOCKED: Duration = Duration::from_secs(1);
/// The same of a queue that goes so far over its limit, bytes.
const EXCESS: i32 = 1 << 20;

/// What is kept, and how much of it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Black box")]
pub(super) struct FlightArgs {
    /// Keep the last seconds of records in memory, and write those of sockets that meet a condition
    /// into this directory: /flight/ lists the files
    #[arg(long, value_name = "DIR")]
    flight: Option<PathBuf>,
    /// Write when a socket meets this condition: excess>SIZE or blocked>TIME [default: blocked>1s
    /// and excess>1M]
    #[arg(long, value_name = "CONDITION", requires = "flight")]
    when: Vec<Trigger>,
    /// How much of the past a file holds
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s", requires = "flight")]
    last: Duration,
    /// Shortest time from one file to the next; what meets a condition meanwhile goes into the next
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s", requires = "flight")]
    pause: Duration,
    /// Most bytes of all files; the oldest are deleted
    #[arg(long, value_name = "SIZE", value_parser = quantity::file_size, default_value = "256M", requires = "flight")]
    max_size: u64,
    /// Most files; the oldest are deleted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), default_value_t = 100,
          requires = "flight")]
    max_files: u32,
}

impl FlightArgs {
    /// Whether there is to be a black box.
    pub fn is_wanted(&self) -> bool {
        self.flight.is_some()
    }

    /// The directory, made where there is none; None: nothing is kept.
    ///
    /// # Errors
    /// Where it cannot be made or written to.
    pub fn files(&self) -> Result<Option<Files>> {
        let Some(path) = &self.flight else {
            return Ok(None);
        };
        let named = || format!("cannot keep a black box in {}", path.display());
        match fs::create_dir(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(e).with_context(named);
            }
            _ => {}
        }
        let bounds = Bounds {
            bytes: self.max_size,
            files: self.max_files as usize,
        };
        let files = Files::open(path, bounds).with_context(named)?;
        tempfile::tempfile_in(path).with_context(named)?;
        Ok(Some(files))
    }

    fn alarms(&self) -> Alarms {
        match &self.when[..] {
            [] => Alarms::new(&[Trigger::Blocked(BLOCKED), Trigger::Excess(EXCESS)]),
            when => Alarms::new(when),
        }
    }
}

/// What there is to say of a file.
type Said = Result<String, String>;

/// The black box.
pub(super) struct BlackBox {
    recent: Recent,
    alarms: Alarms,
    files: Files,
    pause: Duration,
    /// When senders are looked at.
    looks: Pace,
    /// When a file was asked for; None: none was yet.
    asked: Option<Instant>,
    /// A file is being written.
    writes: bool,
    /// It was said that nothing is kept any more.
    ended: bool,
    /// A page is being drawn: one at a time, each goes through all that is kept.
    draws: Arc<AtomicBool>,
    say: UnboundedSender<Said>,
    said: UnboundedReceiver<Said>,
    written: u64,
    failed: u64,
}

impl BlackBox {
    /// Begins to keep.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(
        session: &mut Session,
        meta: Meta,
        args: &FlightArgs,
        files: Files,
    ) -> Result<Self> {
        let room = files.path().to_owned();
        let recent = Recent::start(session, meta, args.last, MOST, room)
            .context("cannot keep a black box")?;
        let (say, said) = unbounded_channel();
        Ok(Self {
            recent,
            alarms: args.alarms(),
            files,
            pause: args.pause,
            looks: Pace::new(LOOK),
            asked: None,
            writes: false,
            ended: false,
            draws: Arc::default(),
            say,
            said,
            written: 0,
            failed: 0,
        })
    }

    /// A step of the session: writes where a condition is met; the accounts of sockets that have
    /// ended.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub async fn step(&mut self, session: &mut Session) -> Result<Vec<SavedAccount>> {
        let alarms = &mut self.alarms;
        let mut closed = Vec::new();
        let step = self.recent.step(
            session,
            |record, _| alarms.record(record),
            |kept| closed.push(kept.clone()),
        );
        step.await?;
        if self.looks.is_due() {
            let begun = Instant::now();
            self.alarms.look(session);
            self.looks.looked(begun);
        }
        for kept in &closed {
            self.alarms.forget(kept.account.ident.id);
        }
        let rests = self.asked.is_some_and(|at| at.elapsed() < self.pause);
        let may_write = !rests && !self.writes && !self.recent.has_failed();
        if self.alarms.are_met() && may_write {
            self.write(session)?;
        }
        Ok(closed)
    }

    fn write(&mut self, session: &Session) -> Result<()> {
        let met = self.alarms.take();
        let mut conditions: Vec<String> = met.values().map(ToString::to_string).collect();
        conditions.sort_unstable();
        conditions.dedup();
        let why = conditions.join(", ");
        let sockets: HashSet<u64> = met.into_keys().collect();
        let named = session.each_account(|account| {
            let ident = &account.ident;
            sockets.contains(&ident.id).then(|| render::ends(ident))
        });
        let option = |ends: String| ("socket".to_owned(), ends);
        let options = named
            .into_iter()
            .flatten()
            .take(NAMED)
            .map(option)
            .collect();
        let name = name(system::wall_ns());
        let (files, say, reason) = (self.files.clone(), self.say.clone(), why.clone());
        let wanted = Request {
            sockets,
            options,
            work: Box::new(move |part| {
                let written = part.and_then(|part| written(part, &files, &name, &reason));
                let said = written.map_err(|why| format!("cannot write {name}.skm: {why:#}"));
                // Nobody listens: skmem ends, by a failure that it tells.
                let _ = say.send(said);
            }),
        };
        self.writes = true;
        self.asked = Some(Instant::now());
        self.recent.ask(session, wanted, why)
    }

    /// Draws a page of a socket whose number and verdict these are.
    pub fn draw(
        &mut self,
        session: &Session,
        verdict: Verdict,
        reply: oneshot::Sender<Result<String, Page>>,
    ) {
        if self.recent.has_failed() {
            let _ = reply.send(Ok(drawn::text(&verdict, drawn::FAILED)));
            return;
        }
        let Some(place) = Place::take(&self.draws) else {
            let busy = Page::error(503, "another page is being drawn: try again");
            let _ = reply.send(Err(busy));
            return;
        };
        let now_ns = system::monotonic_ns();
        let wanted = Request {
            sockets: HashSet::from([verdict.socket.id]),
            options: Vec::new(),
            work: Box::new(move |part| {
                let page = match part {
                    Ok(Some(part)) => Ok(drawn::page(part, &verdict, now_ns)),
                    Ok(None) => Ok(drawn::text(&verdict, drawn::QUIET)),
                    Err(why) => Err(Page::error(500, &format!("cannot draw it: {why:#}"))),
                };
                drop(place);
                // Who asked may have gone.
                let _ = reply.send(page);
            }),
        };
        // Without it the reply is dropped, which is an answer, too.
        let _ = self.recent.ask(session, wanted, "asked for".to_owned());
    }

    /// What there is to say of files.
    pub fn take_notes(&mut self) -> Vec<String> {
        let said: Vec<Said> = std::iter::from_fn(|| self.said.try_recv().ok()).collect();
        for one in &said {
            self.writes = false;
            match one {
                Ok(_) => self.written += 1,
                Err(_) => self.failed += 1,
            }
        }
        let text = |said: Said| said.unwrap_or_else(|why| why);
        let mut notes: Vec<String> = said.into_iter().map(text).collect();
        if self.recent.has_failed() && !std::mem::replace(&mut self.ended, true) {
            notes.push(
                "the black box has failed: it keeps nothing until skmem serve is started again"
                    .to_owned(),
            );
        }
        notes
    }

    /// As metrics.
    pub fn counted(&self) -> families::Flight {
        families::Flight {
            written: self.written,
            failed: self.failed,
            bytes: self.recent.bytes(),
            keeps: !self.recent.has_failed(),
        }
    }

    /// Waits until what was asked for is written; what there is to say of it.
    pub fn end(mut self, end: End) -> Vec<String> {
        let recent = self.recent;
        recent.end(end);
        let said = std::iter::from_fn(|| self.said.try_recv().ok());
        said.map(|said| said.unwrap_or_else(|why| why)).collect()
    }
}

/// The one place of who draws; free again when it is dropped.
struct Place(Arc<AtomicBool>);

impl Place {
    fn take(taken: &Arc<AtomicBool>) -> Option<Self> {
        let was = taken.swap(true, Relaxed);
        (!was).then(|| Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

/// Writes a file; what there is to say of it.
fn written(part: Option<Part>, files: &Files, name: &str, why: &str) -> Result<String> {
    let Some(part) = part else {
        bail!("the sockets have ended, and nothing of them is kept");
    };
    let path = free(files.path(), name)?;
    let output = Output::new(Target::new(&path, false)?, Access::Owner)?.quiet();
    let mut counted = Counted {
        out: output.writer()?,
        bytes: 0,
    };
    let copied = copy(part, &mut counted);
    let bytes = counted.bytes;
    drop(counted);
    output.named(copied.map_err(Into::into))?;
    files.make_room(bytes)?;
    output.keep()?;
    let path = path.display();
    Ok(format!(
        "{path} written: {why}; {} bytes. skmem report {path} explains it",
        grouped(i64::try_from(bytes).unwrap_or(i64::MAX))
    ))
}

/// Counts what is written.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
