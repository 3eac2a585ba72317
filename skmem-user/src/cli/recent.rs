//! The calls of the last minutes, in memory, until something asks for those of some sockets.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufReader, Seek as _},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    model::{
        end::{End, SavedAccount},
        record::Record,
        replay::Replay,
    },
    recording::{
        Medium, Meta, Recording, Writer,
        choice::{Choice, Window},
        parts::Parts,
    },
    render,
    trace::{
        Session,
        flight::{Fill, Flight, Outlet},
        recording_session::RecordingSession,
    },
};

/// Files of one second.
const NAMES: u32 = 100;

/// Calls of some sockets, as a recording.
pub(super) type Part = Recording<BufReader<File>>;

/// What is done with them, in a thread of its own; None: nothing is known of these sockets.
pub(super) type Work = Box<dyn FnOnce(Result<Option<Part>>) + Send>;

/// The records of all sockets.
pub(super) struct Recent {
    tape: RecordingSession,
    ask: mpsc::Sender<Request>,
}

/// What is asked for.
pub(super) struct Request {
    /// By their numbers in records.
    pub sockets: HashSet<u64>,
    /// The options that choose the same ones, for who reads the recording.
    pub options: Vec<(String, String)>,
    /// What is done with them.
    pub work: Work,
}

impl Recent {
    /// Begins to keep the last `keep` of what happens, in `most` bytes of memory at most. What is
    /// asked for goes through a file without a name in `room`.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(
        session: &mut Session,
        mut meta: Meta,
        keep: Duration,
        most: u64,
        room: PathBuf,
    ) -> io::Result<Self> {
        let (ask, asked) = mpsc::channel();
        let shelf = Shelf {
            room,
            asked,
            workers: Vec::new(),
        };
        meta.flight_ns = u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX);
        let flight = Box::new(Flight::new(Box::new(shelf), keep, most));
        let tape = RecordingSession::start(session, flight, meta, Flight::segment(keep), false)?;
        Ok(Self { tape, ask })
    }

    /// A step of the session; `each` hears of its records, `gone` of the accounts of sockets that
    /// have ended.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub async fn step(
        &mut self,
        session: &mut Session,
        each: impl FnMut(&Record, &Replay),
        gone: impl FnMut(&SavedAccount),
    ) -> Result<()> {
        self.tape.step_telling(session, each, gone).await?;
        self.tape.make_room(session);
        Ok(())
    }

    /// Has something done with the calls of some sockets; `why` is noted in the recording.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn ask(&mut self, session: &Session, wanted: Request, why: String) -> Result<()> {
        let end = session.end_of("triggered", &wanted.sockets)?;
        // The thread that takes it ends after us.
        let _ = self.ask.send(wanted);
        self.tape.next_with(end, Some(why));
        Ok(())
    }

    /// Whether nothing is kept any more, and nothing that is asked for is done.
    pub fn has_failed(&self) -> bool {
        self.tape.has_failed()
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        self.tape.bytes()
    }

    /// Waits until all that was asked for is done.
    pub fn end(self, end: End) {
        // Nothing is written at the end, which nobody asked for.
        let _ = self.tape.end(end, None);
    }
}

/// Where the black box writes: whole into a file without a name, from which another thread takes
/// what is wanted. Records go on to be taken in meanwhile.
struct Shelf {
    room: PathBuf,
    asked: mpsc::Receiver<Request>,
    workers: Vec<JoinHandle<()>>,
}

impl Outlet for Shelf {
    fn write(&mut self, _n: u32, meta: &Meta, fill: &Fill) -> io::Result<()> {
        let Ok(wanted) = self.asked.try_recv() else {
            return Ok(());
        };
        let whole = self.whole(meta, fill);
        let worker = thread::Builder::new().name("skmem-export".into());
        self.workers.retain(|worker| !worker.is_finished());
        self.workers.push(worker.spawn(move || {
            let part = whole
                .map_err(Into::into)
                .and_then(|whole| part(whole, &wanted.sockets, wanted.options));
            (wanted.work)(part);
        })?);
        // A failure is reported by who asked, and does not end the recording.
        Ok(())
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Shelf {
    fn whole(&self, meta: &Meta, fill: &Fill) -> io::Result<File> {
        let file = tempfile::tempfile_in(&self.room)?;
        let mut writer = Writer::new(Medium::File(file.try_clone()?), meta)?;
        fill(&mut writer)?;
        Ok(file)
    }
}

fn again(whole: &mut File) -> Result<Part> {
    whole.rewind()?;
    let input = BufReader::with_capacity(1 << 16, whole.try_clone()?);
    Ok(Recording::new(input)?)
}

/// What of the whole is wanted.
fn part(
    mut whole: File,
    sockets: &HashSet<u64>,
    options: Vec<(String, String)>,
) -> Result<Option<Part>> {
    let wanted = |id, _: &dyn crate::selection::Subject| sockets.contains(&id);
    let choice = Choice::of(again(&mut whole)?, wanted, Window::default(), options);
    if choice.kept() == 0 {
        return Ok(None);
    }
    Ok(Some(again(&mut whole)?.only(Arc::new(choice))))
}

/// `skmem-20261129-021530`, of ns since 1970.
pub(super) fn name(wall_ns: u64) -> String {
    let digits: String = render::utc(wall_ns)
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let (day, time) = digits.split_at(8);
    format!("skmem-{day}-{time}")
}

/// A name that no file in `room` has: `NAME.skm`, `NAME.2.skm`.
///
/// # Errors
/// Where there are too many.
pub(super) fn free(room: &Path, name: &str) -> Result<PathBuf> {
    let room = if room == Path::new(".") {
        Path::new("")
    } else {
        room
    };
    let parts = Parts::new(&room.join(format!("{name}.skm")));
    let mut paths = (1..=NAMES).map(|n| parts.path(n));
    let free = paths.find(|path| fs::symlink_metadata(path).is_err());
    free.with_context(|| format!("{name}.skm and {NAMES} more like it are there already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_their_second() {
        assert_eq!(name(1_795_450_070_395_000_000), "skmem-20261123-160750");
        let room = tempfile::tempdir().expect("a directory");
        let first = free(room.path(), "skmem-x").expect("a name");
        fs::write(&first, "").expect("a file");
        let second = free(room.path(), "skmem-x").expect("a name");
        assert_eq!(second, room.path().join("skmem-x.2.skm"));
    }
}
