//! Writes recordings, block by block.

use std::io;

use bytes::Bytes;

use super::{
    FORMAT, MAGIC,
    account::{Accounts, Role},
    block::{self, Kind},
    meta::Meta,
    packed::Encoder,
    storage::{self, Last, Storage, Tail},
};
use crate::model::{
    end::{SavedAccount, Totals, WRITE_FAILED},
    record::Record,
};

/// Accounts in a block: few enough that a damaged block loses little.
const ACCOUNTS: usize = 256;

/// A block as it goes into a file, complete.
#[derive(Debug, Clone)]
pub struct EncodedBlock {
    /// Shared by those that keep it: a black box, the writer, which may have to write it again.
    bytes: Bytes,
    records: u64,
    /// No later block says the same.
    only: bool,
}

/// Makes blocks of records.
#[derive(Debug, Default)]
pub struct BlockEncoder(Encoder);

/// Writes a recording. What it writes it writes in whole blocks, each with one
/// call of `write_all`; of one that could not be written, nothing stays.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    events: BlockEncoder,
    bytes: u64,
    records: u64,
    tail: Tail,
    /// A block could not be written.
    failed: bool,
}

impl EncodedBlock {
    /// Its length in the file, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Accounts, as blocks.
    #[must_use]
    pub fn accounts(role: Role, now_ns: u64, accounts: &[SavedAccount]) -> Vec<Self> {
        accounts
            .chunks(ACCOUNTS)
            .map(|some| {
                let payload = Accounts::to_payload(role, now_ns, some);
                Self {
                    bytes: block::sealed(Kind::Accounts, &payload).into(),
                    records: 0,
                    // A socket that stays open is in the end again.
                    only: role == Role::Closed,
                }
            })
            .collect()
    }
}

impl BlockEncoder {
    /// Takes in a record; gives a block where one is full.
    #[inline]
    pub fn push(&mut self, record: &Record) -> Option<EncodedBlock> {
        self.0.push(record);
        if self.0.is_full() { self.flush() } else { None }
    }

    /// A block of what was taken in since the last one, if anything was.
    pub fn flush(&mut self) -> Option<EncodedBlock> {
        let records = u64::from(self.0.records());
        (records != 0).then(|| EncodedBlock {
            bytes: block::sealed(Kind::Packed, &self.0.take()).into(),
            records,
            only: false,
        })
    }
}

impl<W: Storage> Writer<W> {
    /// Starts a recording.
    ///
    /// # Errors
    /// Where `out` cannot be written, as everywhere below.
    pub fn new(mut out: W, meta: &Meta) -> io::Result<Self> {
        let mut start = MAGIC.to_vec();
        start.extend_from_slice(&FORMAT.to_le_bytes());
        start.extend_from_slice(&[0; 4]);
        start.append(&mut block::sealed(Kind::Meta, &serde_json::to_vec(meta)?));
        out.write_all(&start)?;
        Ok(Self {
            out,
            events: BlockEncoder::default(),
            bytes: start.len() as u64,
            records: 0,
            tail: Tail::default(),
            failed: false,
        })
    }

    /// Takes in a record; writes a block where one is full.
    ///
    /// # Errors
    /// See [`Writer::new`].
    #[inline]
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        match self.events.push(record) {
            Some(block) => self.write(&block),
            None => Ok(()),
        }
    }

    /// Writes what was taken in so far.
    ///
    /// # Errors
    /// See [`Writer::new`].
    pub fn flush(&mut self) -> io::Result<()> {
        match self.events.flush() {
            Some(block) => self.write(&block),
            None => Ok(()),
        }
    }

    /// Writes accounts.
    ///
    /// # Errors
    /// See [`Writer::new`].
    pub fn accounts(
        &mut self,
        role: Role,
        now_ns: u64,
        accounts: &[SavedAccount],
    ) -> io::Result<()> {
        self.flush()?;
        for block in EncodedBlock::accounts(role, now_ns, accounts) {
            self.write(&block)?;
        }
        Ok(())
    }

    /// Writes a block that was made before.
    ///
    /// # Errors
    /// See [`Writer::new`].
    pub fn sealed(&mut self, block: &EncodedBlock) -> io::Result<()> {
        self.flush()?;
        self.write(block)
    }

    /// Ends the recording: the accounts of open sockets, and the totals.
    /// Nothing may follow. Where there is no room for them, the last records
    /// give way; the totals then say `write-failed`, as they do where a block
    /// could not be written before.
    ///
    /// # Errors
    /// See [`Writer::new`]. Where only records had to give way, the end is
    /// there in spite of it.
    pub fn end(&mut self, open: &[SavedAccount], totals: &Totals) -> io::Result<()> {
        let mut result = self.flush();
        let mut accounts = EncodedBlock::accounts(Role::Final, totals.now_ns, open);
        loop {
            let whole = self.bytes;
            let Err(error) = self.write_end(&accounts, totals) else {
                return result;
            };
            self.back_to(whole);
            let full = storage::is_full(&error);
            result = result.and(Err(error));
            let last = if full { self.tail.pop() } else { None };
            let Some(last) = last else {
                // Even without an end, the accounts that are stored nowhere else are written.
                let mut keep = accounts.iter().filter(|block| block.only);
                let _ = keep.try_for_each(|block| self.write(block));
                return result;
            };
            self.back_to(whole - last.bytes);
            self.records -= last.records;
            accounts.splice(0..0, last.keep);
        }
    }

    fn write_end(&mut self, accounts: &[EncodedBlock], totals: &Totals) -> io::Result<()> {
        for block in accounts {
            self.put(block)?;
        }
        let mut totals = totals.clone();
        totals.records = self.records;
        if self.failed {
            WRITE_FAILED.clone_into(&mut totals.reason);
        }
        self.put(&EncodedBlock {
            bytes: block::sealed(Kind::End, &serde_json::to_vec(&totals)?).into(),
            records: 0,
            only: false,
        })?;
        self.out.flush()
    }

    /// Bytes written so far, in whole blocks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records written so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What it writes to.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    fn write(&mut self, block: &EncodedBlock) -> io::Result<()> {
        self.put(block)?;
        self.records += block.records;
        self.tail.push(Last {
            bytes: block.bytes(),
            records: block.records,
            keep: block.only.then(|| block.clone()),
        });
        Ok(())
    }

    fn put(&mut self, block: &EncodedBlock) -> io::Result<()> {
        if let Err(e) = self.out.write_all(&block.bytes) {
            self.failed = true;
            self.back_to(self.bytes);
            return Err(e);
        }
        self.bytes += block.bytes();
        Ok(())
    }

    fn back_to(&mut self, length: u64) {
        // Where this fails too, a reader finds the cut block by its checksum.
        let _ = self.out.cut(length);
        self.bytes = length;
    }
}
