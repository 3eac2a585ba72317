//! The forms that are one stream: traces, lines of JSON, CSV.

use std::io::{self, Write};

use anyhow::Result;

use super::{Export, Format, Options, TableKind, walk::Exported};
use crate::{
    recording::{Item, Role},
    render::{
        self, LineBuffer,
        export::{
            chrome::Chrome,
            csv::Csv,
            events::EVENTS,
            json,
            perfetto::Perfetto,
            receives::RECEIVES,
            sockets::SOCKETS,
            spans::{Shown, Spans},
        },
    },
};

impl Export {
    /// Writes it in the form that was asked for.
    pub(super) fn form(&self, options: &Options, out: impl Write) -> Result<()> {
        match options.format {
            Format::Perfetto => self.perfetto(!options.uncompressed, out),
            Format::Chrome => self.chrome(out),
            Format::Json => self.json(out),
            _ => self.csv(options.table, out),
        }
    }

    fn perfetto(&self, deflated: bool, out: impl Write) -> Result<()> {
        let clock = &self.recorded.meta.clock;
        let trace = Perfetto::new(out, deflated, clock.monotonic_ns, clock.wall_ns)?;
        let mut trace = FirstError(trace, Ok(()));
        self.spans(|id, shown| {
            let name = || self.group(id);
            trace.with(|t| t.show(id, &name, &shown));
        })?;
        Ok(trace.done()?.finish()?)
    }

    fn chrome(&self, out: impl Write) -> Result<()> {
        // A sleep may have begun before the file, and not before the run. Times before 0 are
        // dropped by Perfetto.
        let began = self.recorded.meta.clock.monotonic_ns;
        let from = self.recorded.span().0;
        let zero = if began == 0 { from } else { from.min(began) };
        let trace = Chrome::new(out, zero)?;
        let mut trace = FirstError(trace, Ok(()));
        self.spans(|id, shown| {
            let name = || self.group(id);
            trace.with(|t| t.show(id, &name, &shown));
        })?;
        Ok(trace.done()?.finish()?)
    }

    fn json(&self, mut out: impl Write) -> Result<()> {
        let meta = &self.recorded.meta;
        let head = json::Head {
            schema: 1,
            kind_of: "recording",
            recording: &self.origin.recording,
            run: &self.origin.run,
            part: self.origin.part,
            host: &self.origin.host,
            kernel: &meta.kernel,
            monotonic_ns: meta.clock.monotonic_ns,
            wall_ns: meta.clock.wall_ns,
            selected: &meta.selected,
        };
        json::head(&mut out, &head)?;
        let mut line = LineBuffer::default();
        let verdicts = self.records(|exported| {
            line.clear();
            match exported {
                Exported::Event(row, _) => {
                    render::put_event_json(&mut line, row.record, row.who, row.comm, None);
                }
                Exported::Receive(row) => {
                    render::put_receive_json(&mut line, row.record, row.who, row.comm, None);
                }
            }
            out.write_all(line.as_bytes())?;
            Ok(out.write_all(b"\n")?)
        })?;
        for (verdict, _) in verdicts.list()? {
            json::socket(&mut out, &verdict)?;
        }
        Ok(out.flush()?)
    }

    fn csv(&self, which: TableKind, out: impl Write) -> Result<()> {
        let table = match which {
            TableKind::Events => &EVENTS,
            TableKind::Receives => &RECEIVES,
            TableKind::Sockets => &SOCKETS,
        };
        let mut csv = Csv::new(table, out)?;
        let mut receives = 0_u64;
        let verdicts = self.records(|exported| match (exported, which) {
            (Exported::Event(row, wait), TableKind::Events) => {
                Ok(csv.row(|line| row.put(&self.origin, *wait, line))?)
            }
            (Exported::Receive(row), TableKind::Receives) => {
                Ok(csv.row(|line| row.put(&self.origin, line))?)
            }
            (Exported::Receive(_), TableKind::Events) => {
                receives += 1;
                Ok(())
            }
            _ => Ok(()),
        })?;
        if which == TableKind::Sockets {
            for (verdict, cgroup) in verdicts.list()? {
                let row = self.socket_row(&verdict, cgroup);
                csv.row(|line| row.put(&self.origin, line))?;
            }
        }
        csv.finish()?;
        if receives > 0 {
            eprintln!(
                "skmem: {receives} records of the receive side are not in this table: --table \
                 receives writes them"
            );
        }
        Ok(())
    }

    /// What a socket's tracks are called.
    fn group(&self, id: u64) -> String {
        let socket = self.recorded.survey.socket(id);
        let who = socket.and_then(|s| s.ident.as_ref());
        who.map_or_else(|| format!("socket {id}"), render::whose)
    }

    /// What a viewer of traces shows of all sockets.
    fn spans(&self, mut show: impl FnMut(u64, Shown)) -> Result<()> {
        let mut spans = Spans::default();
        self.recorded.again(|item| {
            match item {
                Item::Record(record) => spans.feed(&record, &mut show),
                Item::Accounts(accounts) if accounts.role == Role::Checkpoint => {
                    for kept in &accounts.accounts {
                        spans.account(&kept.account, &kept.sleepers);
                    }
                }
                Item::Accounts(_) => {}
            }
            Ok(())
        })?;
        spans.finish(self.recorded.span().1, show);
        if spans.omitted() != 0 {
            eprintln!(
                "skmem: the recording has more sockets than a trace can show: {} records of \
                 others are left out (--socket chooses one)",
                spans.omitted()
            );
        }
        Ok(())
    }
}

/// Something that is written to until that fails.
struct FirstError<T>(T, io::Result<()>);

impl<T> FirstError<T> {
    fn with(&mut self, write: impl FnOnce(&mut T) -> io::Result<()>) {
        if self.1.is_ok() {
            self.1 = write(&mut self.0);
        }
    }

    fn done(self) -> io::Result<T> {
        self.1.map(|()| self.0)
    }
}
