//! `--flight`: the calls of the last minutes, in memory, until the key `e` asks for some of them.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufReader, Seek as _},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    cli::output::{Access, Output, Target},
    explain::numbers::grouped,
    kernel::system,
    model::end::End,
    recording::{
        Medium, Meta, Recording, Writer,
        choice::{Choice, Window},
        copy,
        parts::Parts,
    },
    render,
    top::{Chosen, Message},
    trace::{
        Session,
        flight::{Fill, Flight, Outlet},
        tape::Tape,
    },
};

/// Most memory that is used, in bytes.
pub(super) const MOST: u64 = 64 << 20;

/// Files of one second.
const NAMES: u32 = 100;

/// The records, and what is heard of those that were asked for.
pub(super) struct Kept {
    tape: Tape,
    ask: mpsc::Sender<Wanted>,
    said: UnboundedReceiver<Message>,
}

/// What is to be written.
struct Wanted {
    /// By their numbers in records.
    sockets: HashSet<u64>,
    chosen: Chosen,
    keep: Duration,
    name: String,
}

impl Kept {
    /// Begins to keep the last `keep` of what happens.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(session: &mut Session, mut meta: Meta, keep: Duration) -> io::Result<Self> {
        let (ask, asked) = mpsc::channel();
        let (say, said) = unbounded_channel();
        let shelf = Shelf {
            asked,
            say,
            writers: Vec::new(),
        };
        meta.flight_ns = u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX);
        let flight = Box::new(Flight::new(Box::new(shelf), keep, MOST));
        let tape = Tape::start(session, flight, meta, Flight::segment(keep), false)?;
        Ok(Self { tape, ask, said })
    }

    /// A step of the session; what there is to say of what was written, where there is something.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub async fn step(&mut self, session: &mut Session) -> Result<Option<Message>> {
        tokio::select! {
            Some(said) = self.said.recv() => return Ok(Some(said)),
            step = self.tape.step(session, |_, _| {}) => step?,
        }
        self.tape.make_room(session);
        Ok(None)
    }

    /// Has the records of some sockets written; [`Kept::step`] says how that went.
    ///
    /// # Errors
    /// Where the kernel refuses its counters.
    pub fn write(
        &mut self,
        session: &Session,
        chosen: Chosen,
        sockets: HashSet<u64>,
        keep: Duration,
    ) -> Result<()> {
        let wanted = Wanted {
            sockets,
            chosen,
            keep,
            name: name(system::wall_ns()),
        };
        // The thread that takes it ends after us.
        let _ = self.ask.send(wanted);
        self.tape
            .next(session, "triggered", Some("the key e".to_owned()))
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        self.tape.bytes()
    }

    /// Waits until all that was asked for is written; what there was to say of it.
    pub fn end(mut self, end: End) -> Vec<Message> {
        let _ = self.tape.end(end, None);
        std::iter::from_fn(|| self.said.try_recv().ok()).collect()
    }
}

/// `skmem-20261129-021530`, of ns since 1970.
fn name(wall_ns: u64) -> String {
    let digits: String = render::utc(wall_ns)
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let (day, time) = digits.split_at(8);
    format!("skmem-{day}-{time}")
}

/// Where the black box writes: whole into a file without a name, from which another thread takes
/// what is wanted. Records go on to be taken in meanwhile.
struct Shelf {
    asked: mpsc::Receiver<Wanted>,
    say: UnboundedSender<Message>,
    writers: Vec<JoinHandle<()>>,
}

impl Outlet for Shelf {
    fn write(&mut self, _n: u32, meta: &Meta, fill: &Fill) -> io::Result<()> {
        let Ok(wanted) = self.asked.try_recv() else {
            return Ok(());
        };
        let whole = whole(meta, fill);
        let say = self.say.clone();
        let writer = thread::Builder::new().name("skmem-export".into());
        self.writers.retain(|writer| !writer.is_finished());
        self.writers.push(writer.spawn(move || {
            let written = whole
                .with_context(|| format!("cannot write {}.skm", wanted.name))
                .and_then(|whole| wanted.written(whole));
            let said = match written {
                Ok(text) => Message { text, alarm: false },
                Err(why) => Message {
                    text: format!("Nothing is exported: {why:#}"),
                    alarm: true,
                },
            };
            // Nobody listens: skmem ends, by a failure that it tells.
            let _ = say.send(said);
        })?);
        // A failure is said, and does not end the recording.
        Ok(())
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        for writer in self.writers.drain(..) {
            let _ = writer.join();
        }
    }
}

fn whole(meta: &Meta, fill: &Fill) -> io::Result<File> {
    let file = tempfile::tempfile_in(".")?;
    let mut writer = Writer::new(Medium::File(file.try_clone()?), meta)?;
    fill(&mut writer)?;
    Ok(file)
}

fn again(whole: &mut File) -> Result<Recording<BufReader<File>>> {
    whole.rewind()?;
    let input = BufReader::with_capacity(1 << 16, whole.try_clone()?);
    Ok(Recording::new(input)?)
}

impl Wanted {
    /// Writes what is wanted of the whole.
    fn written(self, mut whole: File) -> Result<String> {
        let what = self.chosen.what;
        let wanted = |id, _: &dyn crate::selection::Subject| self.sockets.contains(&id);
        let words = self.chosen.options;
        let choice = Choice::of(again(&mut whole)?, wanted, Window::default(), words);
        if choice.kept() == 0 {
            bail!("no call on {what} was seen yet");
        }
        let part = again(&mut whole)?.only(Arc::new(choice));
        let path = free(&self.name)?;
        Output::new(Target::new(&path, false)?, Access::Owner)?
            .quiet()
            .write(|out| Ok(copy(part, out)?))?;
        let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
        let path = path.display();
        Ok(format!(
            "{path} written: {what}, the last {} or what was seen of them, {} bytes. skmem report {path} explains it.",
            render::time_span(u64::try_from(self.keep.as_nanos()).unwrap_or(u64::MAX)),
            grouped(i64::try_from(bytes).unwrap_or(i64::MAX))
        ))
    }
}

/// A name that no file has.
fn free(name: &str) -> Result<PathBuf> {
    let parts = Parts::new(format!("{name}.skm").as_ref());
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
    }
}
