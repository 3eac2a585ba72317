//! `--flight`: the calls of the last minutes, in memory, until the key `e` asks for some of them.

use std::{collections::HashSet, fs, io, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    cli::{
        output::{Access, Output, Target},
        recent::{Part, Recent, Request, free, name},
    },
    explain::numbers::grouped,
    kernel::system,
    model::end::End,
    recording::{Meta, copy},
    render,
    top::{Chosen, Message},
    trace::Session,
};

/// Most memory that is used, in bytes.
pub(super) const MOST: u64 = 64 << 20;

/// The records, and what is heard of those that were asked for.
pub(super) struct Kept {
    recent: Recent,
    say: UnboundedSender<Message>,
    said: UnboundedReceiver<Message>,
}

impl Kept {
    /// Begins to keep the last `keep` of what happens.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(session: &mut Session, meta: Meta, keep: Duration) -> io::Result<Self> {
        let (say, said) = unbounded_channel();
        let recent = Recent::start(session, meta, keep, MOST, PathBuf::from("."))?;
        Ok(Self { recent, say, said })
    }

    /// A step of the session; what there is to say of what was written, where there is something.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub async fn step(&mut self, session: &mut Session) -> Result<Option<Message>> {
        tokio::select! {
            Some(said) = self.said.recv() => return Ok(Some(said)),
            step = self.recent.step(session, |_, _| {}, |_| {}) => step?,
        }
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
        let say = self.say.clone();
        let name = name(system::wall_ns());
        let what = chosen.what;
        let wanted = Request {
            sockets,
            options: chosen.options,
            work: Box::new(move |part| {
                let written = part
                    .with_context(|| format!("cannot write {name}.skm"))
                    .and_then(|part| written(part, &name, what, keep));
                let said = match written {
                    Ok(text) => Message { text, alarm: false },
                    Err(why) => Message {
                        text: format!("Nothing is exported: {why:#}"),
                        alarm: true,
                    },
                };
                // Nobody listens: skmem ends, by a failure that it tells.
                let _ = say.send(said);
            }),
        };
        self.recent.ask(session, wanted, "the key e".to_owned())
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> u64 {
        self.recent.bytes()
    }

    /// Waits until all that was asked for is written; what there was to say of it.
    pub fn end(mut self, end: End) -> Vec<Message> {
        self.recent.end(end);
        std::iter::from_fn(|| self.said.try_recv().ok()).collect()
    }
}

/// Writes them.
fn written(part: Option<Part>, name: &str, what: &str, keep: Duration) -> Result<String> {
    let Some(part) = part else {
        bail!("no call on {what} was seen yet");
    };
    let path = free(".".as_ref(), name)?;
    Output::new(Target::new(&path, false)?, Access::Owner)?
        .quiet()
        .write(|out| Ok(copy(part, out)?))?;
    let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
    let path = path.display();
    Ok(format!(
        "{path} written: {what}, the last {} or what was seen of them, {} bytes. skmem report {path} explains it.",
        render::time_span(u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX)),
        grouped(i64::try_from(bytes).unwrap_or(i64::MAX))
    ))
}
