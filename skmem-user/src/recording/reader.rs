//! Reads recordings, block by block, up to the end or to the first damage.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    sync::Arc,
};

use super::{
    FORMAT, MAGIC, MOST_ACCOUNTS,
    account::{Accounts, Role},
    block::{self, Kind},
    choice::{Choice, Cursor},
    error::{Damage, FormatError, RecordingError},
    events,
    meta::Meta,
    packed,
};
use crate::model::{
    end::{End, KEEP_CLOSED, TopAccounts, Totals, WRITE_FAILED},
    record::Record,
};

/// Length of what comes before the first block, in bytes.
const START: usize = 16;

/// The first version of the format that has blocks of packed records.
const PACKED: u32 = 3;

/// A recording that is being read.
#[derive(Debug)]
pub struct Recording<R> {
    input: R,
    format: u32,
    meta: Meta,
    /// Offset of the next block.
    next: u64,
    /// Offset of the block that `events` is.
    here: u64,
    events: Option<Events>,
    records: u64,
    open: TopAccounts,
    closed: TopAccounts,
    totals: Option<Totals>,
    damage: Option<Damage>,
    accounts_only: bool,
    skimmed: bool,
    part: Option<Part>,
}

/// A block of records, as a version of the format has them.
#[derive(Debug)]
enum Events {
    Columns(Box<events::Decoder>),
    Packed(Box<packed::Decoder>),
}

impl Events {
    fn new(kind: Kind, payload: Vec<u8>) -> Result<Self, FormatError> {
        Ok(match kind {
            Kind::Packed => Self::Packed(Box::new(packed::Decoder::new(payload)?)),
            _ => Self::Columns(Box::new(events::Decoder::new(payload)?)),
        })
    }

    fn left(&self) -> u64 {
        match self {
            Self::Columns(block) => block.left(),
            Self::Packed(block) => block.left(),
        }
    }

    fn record(&self) -> &Record {
        match self {
            Self::Columns(block) => block.record(),
            Self::Packed(block) => block.record(),
        }
    }

    #[inline]
    fn next(&mut self, skimmed: bool) -> Result<Option<&Record>, FormatError> {
        match self {
            Self::Columns(block) => match skimmed {
                true => block.skim(),
                false => block.next(),
            },
            Self::Packed(block) => block.next(),
        }
    }
}

/// What of it is wanted, and how far reading that is.
#[derive(Debug)]
struct Part {
    choice: Arc<Choice>,
    cursor: Cursor,
    opening: Option<Accounts>,
}

/// What a recording holds, in its order.
#[derive(Debug)]
pub enum Item {
    /// What happened.
    Record(Record),
    /// The kernel's accounts.
    Accounts(Accounts),
}

/// What [`WRITE_FAILED`] means to a reader.
const RECORDS_MISSING: &str = "could not be written whole (was the disk full?): its last \
    records are missing, the kernel's accounts at its end are there";

impl Recording<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// Where it cannot be read, or is not a recording that this skmem knows.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        Self::new(BufReader::with_capacity(1 << 16, File::open(path)?))
    }
}

impl<R: Read> Recording<R> {
    /// Starts to read.
    ///
    /// # Errors
    /// Where there is no recording that this skmem knows.
    pub fn new(mut input: R) -> Result<Self, RecordingError> {
        let mut start = Vec::with_capacity(START);
        (&mut input).take(START as u64).read_to_end(&mut start)?;
        let whole = <[u8; START]>::try_from(&start[..]);
        let Some(start) = whole.ok().filter(|s| s.starts_with(&MAGIC)) else {
            return Err(RecordingError::NoRecording);
        };
        let format = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        if format == 0 {
            return Err(RecordingError::NoRecording);
        }
        if format > FORMAT {
            return Err(RecordingError::Future(format));
        }
        let at = START as u64;
        let first = block::read(&mut input).and_then(|block| {
            let block = block.filter(|b| b.kind == Kind::Meta);
            let block = block.ok_or(FormatError::Content(
                "no first block that says what it is of",
            ))?;
            let length = block.length;
            let meta: Meta = serde_json::from_slice(&block.payload()?)
                .map_err(|e| FormatError::json("the first block is not as it should be", &e))?;
            Ok((meta.sanitized(), length))
        });
        let (meta, length) = first.map_err(|why| {
            RecordingError::Damaged(Damage {
                at,
                why,
                records: 0,
            })
        })?;
        Ok(Self {
            input,
            format,
            meta,
            next: at + length,
            here: at,
            events: None,
            records: 0,
            open: TopAccounts::new(MOST_ACCOUNTS),
            closed: TopAccounts::new(KEEP_CLOSED),
            totals: None,
            damage: None,
            accounts_only: false,
            skimmed: false,
            part: None,
        })
    }

    /// Reads a part of it only. To be called before the first item is read.
    #[must_use]
    pub fn only(mut self, choice: Arc<Choice>) -> Self {
        self.meta.selected.push(choice.selected().clone());
        self.part = Some(Part {
            cursor: Cursor::default(),
            opening: choice.opening(),
            choice,
        });
        self
    }

    /// What it is of.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// From here on records are counted, and passed over: what is damaged in them is not seen.
    pub fn accounts_only(&mut self) {
        self.accounts_only = true;
    }

    /// From here on events need to hold only what a survey asks for: hook, socket, time, flags,
    /// `wmem_queued`, `sndbuf` and operations. In formats 1 and 2 all else is 0, and what is
    /// damaged there is not seen. A part of a recording is read whole: what it is a part by may be
    /// anything.
    pub fn skim(&mut self) {
        self.skimmed = self.part.is_none();
    }

    /// The next of what it holds; None after the last, and where reading had
    /// to stop ([`Recording::damage`] says why).
    pub fn next_item(&mut self) -> Option<Item> {
        Some(match self.step()? {
            Step::Record => Item::Record(*self.record()?),
            Step::Accounts(accounts) => Item::Accounts(accounts),
        })
    }

    /// Goes to the next item.
    fn step(&mut self) -> Option<Step> {
        if let Some(opening) = self.part.as_mut().and_then(|part| part.opening.take()) {
            return Some(Step::Accounts(opening));
        }
        while self.damage.is_none() {
            if let Some(events) = &mut self.events {
                match events.next(self.skimmed) {
                    Ok(Some(record)) => {
                        let part = self.part.as_mut();
                        if part.is_some_and(|p| !p.choice.keeps(record, &mut p.cursor)) {
                            continue;
                        }
                        self.records += 1;
                        return Some(Step::Record);
                    }
                    Ok(None) => self.events = None,
                    Err(why) => self.stop(self.here, why),
                }
                continue;
            }
            match self.next_block() {
                Ok(Next::Accounts(accounts)) => return Some(Step::Accounts(accounts)),
                Ok(Next::On) => {}
                Ok(Next::End) => return None,
                Err(why) => self.stop(self.here, why),
            }
        }
        None
    }

    /// All records, in the file's order. Accounts are passed over, but those
    /// of the end are kept.
    pub fn records(&mut self) -> impl Iterator<Item = Record> + '_ {
        std::iter::from_fn(move || {
            loop {
                match self.step()? {
                    Step::Record => return self.record().copied(),
                    Step::Accounts(_) => {}
                }
            }
        })
    }

    /// The record that was read last: it is copied once, to who asks for it.
    fn record(&self) -> Option<&Record> {
        self.events.as_ref().map(Events::record)
    }

    /// The end, once everything before it was read; None where the recording
    /// has none: skmem was killed, the disk was full, or it is cut or damaged.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        let whole = self.totals.clone().map(|totals| End {
            totals,
            open: self.open.list(),
            closed: self.closed.list(),
        });
        match &self.part {
            Some(part) => part.choice.end(whole, self.records),
            None => whole,
        }
    }

    /// Whether it is a part that ends before the recording did: the accounts at its end are
    /// replayed then.
    #[must_use]
    pub fn ends_early(&self) -> bool {
        let mut selected = self.meta.selected.iter();
        selected.any(|selected| selected.to_ns.is_some())
    }

    /// Closed sockets so far: those with the worst excess, and how many there
    /// were.
    #[must_use]
    pub fn closed(&self) -> &TopAccounts {
        &self.closed
    }

    /// The worst of the sockets that were open at the end.
    #[must_use]
    pub fn open_at_end(&self) -> &TopAccounts {
        &self.open
    }

    /// Why reading stopped before the end of the file.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// What everybody who looks at it should know: that reading had to stop,
    /// or that records are missing.
    #[must_use]
    pub fn shortcoming(&self) -> Option<String> {
        if let Some(damage) = &self.damage {
            return Some(damage.to_string());
        }
        let totals = self.totals.as_ref();
        totals
            .is_some_and(|t| t.reason == WRITE_FAILED)
            .then(|| RECORDS_MISSING.to_owned())
    }

    /// Records read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.records
    }

    fn next_block(&mut self) -> Result<Next, FormatError> {
        self.here = self.next;
        let Some(block) = block::read(&mut self.input)? else {
            return Ok(Next::End);
        };
        if self.totals.is_some() {
            return Err(FormatError::Content("something follows the end"));
        }
        self.next += block.length;
        match block.kind {
            Kind::Meta => Err(FormatError::Content("a second first block")),
            Kind::Packed if self.format < PACKED => Err(FormatError::Kind(Kind::Packed as u8)),
            kind @ (Kind::Events | Kind::Packed) => {
                // Of a part, records have to be looked at to be counted.
                let counted = self.accounts_only && self.part.is_none();
                if counted && let Some(records) = events::count(block.front()) {
                    self.records += records;
                    return Ok(Next::On);
                }
                let events = Events::new(kind, block.payload()?)?;
                if counted {
                    self.records += events.left();
                } else {
                    self.events = Some(events);
                }
                Ok(Next::On)
            }
            Kind::Accounts => {
                let mut accounts = Accounts::from_payload(&block.payload()?)?;
                if let Some(part) = &self.part {
                    match part.choice.kept_of(accounts) {
                        Some(kept) => accounts = kept,
                        None => return Ok(Next::On),
                    }
                }
                let keep = match accounts.role {
                    Role::Checkpoint => None,
                    Role::Closed => Some(&mut self.closed),
                    Role::Final => Some(&mut self.open),
                };
                if let Some(keep) = keep {
                    accounts.accounts.iter().cloned().for_each(|a| keep.push(a));
                }
                Ok(Next::Accounts(accounts))
            }
            Kind::End => {
                let totals: Totals = serde_json::from_slice(&block.payload()?)
                    .map_err(|e| FormatError::json("the last block is not as it should be", &e))?;
                self.totals = Some(totals.sanitized());
                Ok(Next::On)
            }
        }
    }

    fn stop(&mut self, at: u64, why: FormatError) {
        self.events = None;
        self.damage = Some(Damage {
            at,
            why,
            records: self.records,
        });
    }
}

/// What comes next: the record lies in its block.
enum Step {
    Record,
    Accounts(Accounts),
}

/// What a block was.
enum Next {
    Accounts(Accounts),
    /// It holds records, or nothing for those who read.
    On,
    End,
}
