//! Lines of records, made and written by a thread of their own: the thread that reads the ring
//! must not wait for a terminal.

use std::{
    collections::HashMap,
    io::{self, BufWriter, Write},
    thread::{self, JoinHandle},
};

use anyhow::{Result, anyhow};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::{
    model::record::Record,
    render::{self, EventLines, LineBuffer, Named, Names},
};

/// Batches that may wait; each is what one look into the ring found. Where the
/// lines are read too slowly, records wait in the ring then, and are counted
/// where it overflows.
const QUEUE: usize = 64;

/// Threads of a socket whose names are kept: those of a long trace may be any
/// number.
const MOST_TASKS: usize = 1024;

/// The side of the thread that reads the ring.
pub struct Printer {
    to: Sender<Batch>,
    thread: JoinHandle<(Printed, io::Result<()>)>,
    batch: Batch,
    left: u64,
}

/// What was printed.
pub struct Printed {
    /// Lines.
    pub lines: u64,
    /// The wall clock at the first; None: there was none.
    pub began: Option<String>,
}

/// Records to print, and the sockets that have none after them.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    gone: Vec<u64>,
}

impl Printer {
    /// Starts the thread; it prints at most `limit` lines, as JSON or below a
    /// header.
    ///
    /// # Errors
    /// Where the system has no thread, or the header cannot be written.
    pub fn start(json: bool, most: u64, form: EventLines) -> Result<Self> {
        let (to, from) = mpsc::channel(QUEUE);
        let mut lines = Lines::new(io::stdout(), json, form)?;
        let thread = thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || {
                let result = lines.print(from);
                (lines.summary(), result)
            })?;
        Ok(Self {
            to,
            thread,
            batch: Batch::default(),
            left: most,
        })
    }

    /// Adds a record to the batch.
    pub fn take(&mut self, record: &Record) {
        if self.left == 0 {
            return;
        }
        if is_line(record) {
            self.left -= 1;
        }
        self.batch.records.push(*record);
    }

    /// Notes that a socket has no records any more.
    pub fn forget(&mut self, id: u64) {
        self.batch.gone.push(id);
    }

    /// Hands the batch on, and waits while too many do; if that is given up,
    /// the batch is still there. False when no more are wanted.
    pub async fn hand_on(&mut self) -> bool {
        if self.batch.records.is_empty() && self.batch.gone.is_empty() {
            return self.goes_on();
        }
        let Ok(room) = self.to.reserve().await else {
            return false;
        };
        room.send(std::mem::take(&mut self.batch));
        self.goes_on()
    }

    /// Whether lines are still wanted, and somebody reads them.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.left > 0 && !self.to.is_closed()
    }

    /// Waits until all is written; what was, and whether stdout could be
    /// written to the end.
    ///
    /// # Errors
    /// Where the thread panicked.
    pub fn finish(self) -> Result<(Printed, io::Result<()>)> {
        drop(self.to);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow!("the printing thread panicked"))
    }
}

fn is_line(record: &Record) -> bool {
    matches!(record, Record::Event(_) | Record::Receive(_))
}

/// The printing thread.
struct Lines<W: Write> {
    out: BufWriter<W>,
    json: bool,
    form: EventLines,
    sockets: HashMap<u64, Socket>,
    line: LineBuffer,
    printed: u64,
}

/// What lines say of a socket.
#[derive(Default)]
struct Socket {
    named: Option<Named>,
    ends: Option<String>,
    /// Names of threads, as JSON has them, and safe for a terminal.
    tasks: HashMap<u32, Task>,
}

struct Task {
    name: String,
    escaped: String,
}

impl Socket {
    fn name(&mut self, tid: u32, comm: &[u8; 16]) {
        if self.tasks.len() >= MOST_TASKS {
            self.tasks.clear();
        }
        self.tasks.insert(tid, Task::of(comm));
    }
}

impl Task {
    fn of(comm: &[u8; 16]) -> Self {
        Self {
            name: render::comm(comm),
            escaped: render::event_task(comm),
        }
    }
}

impl<W: Write> Lines<W> {
    fn new(out: W, json: bool, form: EventLines) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        if !json {
            writeln!(out, "{}", form.header())?;
            out.flush()?;
        }
        Ok(Self {
            out,
            json,
            form,
            sockets: HashMap::new(),
            line: LineBuffer::default(),
            printed: 0,
        })
    }

    fn summary(&self) -> Printed {
        Printed {
            lines: self.printed,
            began: self.form.began(),
        }
    }

    fn print(&mut self, mut from: Receiver<Batch>) -> io::Result<()> {
        while let Some(batch) = from.blocking_recv() {
            for record in &batch.records {
                self.record(record)?;
            }
            for id in batch.gone {
                self.sockets.remove(&id);
            }
            if from.is_empty() {
                self.out.flush()?;
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        match record {
            Record::Open(open) => {
                let socket = self.sockets.entry(open.ident.id).or_default();
                socket.ends = Some(render::ends(&open.ident));
                socket.named = Some(Named::of(&open.ident));
                socket.name(open.ident.tid, &open.ident.comm);
                return Ok(());
            }
            Record::Task(task) => {
                let socket = self.sockets.entry(task.socket).or_default();
                socket.name(task.tid, &task.comm);
                return Ok(());
            }
            Record::Event(_) | Record::Receive(_) => {}
        }
        self.printed += 1;
        self.write(record)?;
        self.out.write_all(b"\n")
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        let (id, pid, tid) = match record {
            Record::Event(event) => (event.socket, event.pid, event.tid),
            Record::Receive(receive) => (receive.socket, receive.pid, receive.tid),
            Record::Open(_) | Record::Task(_) => return Ok(()),
        };
        let socket = self.sockets.get(&id);
        let who = socket.and_then(|s| s.named.as_ref());
        let task = socket.and_then(|s| {
            // Another thread of the process that opened it, whose own name was lost.
            let first = || {
                let ident = &s.named.as_ref()?.ident;
                s.tasks.get(&ident.tid).filter(|_| ident.pid == pid)
            };
            s.tasks.get(&tid).or_else(first)
        });
        let name = task.map(|task| task.name.as_str());
        self.line.clear();
        if self.json {
            let wall_ns = Some(self.form.wall_ns(record.time_ns()));
            let out = &mut self.line;
            match record {
                Record::Event(event) => render::put_event_json(out, event, who, name, wall_ns),
                Record::Receive(received) => {
                    render::put_receive_json(out, received, who, name, wall_ns);
                }
                Record::Open(_) | Record::Task(_) => {}
            }
            return self.out.write_all(out.as_bytes());
        }
        let names = Names {
            ends: socket.and_then(|s| s.ends.as_deref()),
            task: task.map_or("", |task| &task.escaped),
        };
        match record {
            Record::Event(event) => self.form.write_event(&mut self.line, event, names),
            Record::Receive(received) => self.form.write_receive(&mut self.line, received, names),
            Record::Open(_) | Record::Task(_) => {}
        }
        self.out.write_all(self.line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use skmem_common::{
        hook::Hook,
        record::{Event, FLAG_TASK, Open, Task as TaskRecord},
    };

    use super::*;
    use crate::render::Style;

    const SOCKET: u64 = 17;

    fn comm(name: &[u8]) -> [u8; 16] {
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(name);
        comm
    }

    fn open() -> Record {
        let mut open = Open::default();
        let who = &mut open.ident;
        (who.id, who.pid, who.tid, who.comm) = (SOCKET, 5, 5, comm(b"first"));
        (who.family, who.sport, who.dport) = (2, 40_000, 443);
        Record::Open(open)
    }

    fn task() -> Record {
        Record::Task(TaskRecord {
            socket: SOCKET,
            pid: 5,
            tid: 6,
            comm: comm(b"\x1bother"),
            ..TaskRecord::default()
        })
    }

    fn event(time_ns: u64, tid: u32) -> Record {
        let mut event = Event {
            time_ns,
            socket: SOCKET,
            pid: 5,
            tid,
            ..Event::default()
        };
        event.header.hook = Hook::Ack as u8;
        event.header.flags = FLAG_TASK;
        Record::Event(event)
    }

    /// What is printed of these batches.
    fn printed(json: bool, batches: Vec<Batch>) -> Vec<String> {
        let mut out = Vec::new();
        let (to, from) = mpsc::channel(QUEUE);
        for batch in batches {
            assert!(to.try_send(batch).is_ok());
        }
        drop(to);
        let form = EventLines::plain(&Style::PLAIN).with_clock(0, 7_000_000);
        let mut lines = Lines::new(&mut out, json, form).unwrap();
        lines.print(from).unwrap();
        drop(lines);
        let text = String::from_utf8(out).unwrap();
        text.lines()
            .skip(usize::from(!json))
            .map(str::to_owned)
            .collect()
    }

    fn batches() -> Vec<Batch> {
        let of = |records: Vec<Record>, gone: Vec<u64>| Batch { records, gone };
        vec![
            of(vec![open(), event(1_000, 5)], vec![]),
            of(vec![task(), event(3_000, 6), event(4_000, 7)], vec![SOCKET]),
            of(vec![event(5_000, 5)], vec![]),
        ]
    }

    #[test]
    fn lines_name_the_socket_and_the_thread_until_the_socket_is_gone() {
        let lines = printed(false, batches());
        let words = |n: usize| -> Vec<&str> { lines[n].split_whitespace().take(4).collect() };
        let ends = "0.0.0.0:40000>0.0.0.0:443";
        assert_eq!(words(0), ["0.000000", "0", "first/5", ends]);
        assert_eq!(words(1), ["0.000002", "0", "\\u{1b}other/5:6", ends]);
        // Of the same process, by a thread that no record names.
        assert_eq!(words(2)[2..], ["first/5:7", ends]);
        assert_eq!(words(3)[2..], ["?/5", "0x11"]);
    }

    #[test]
    fn json_has_the_names_as_they_are() {
        let lines = printed(true, batches());
        let comm = |n: usize| {
            let line: serde_json::Value = serde_json::from_str(&lines[n]).unwrap();
            line["comm"].clone()
        };
        let wall: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(
            (&wall["time_ns"], &wall["wall_ns"]),
            (&1_000.into(), &7_001_000.into())
        );
        assert_eq!(comm(0), "first");
        assert_eq!(comm(1), "\u{1b}other");
        assert_eq!(comm(3), serde_json::Value::Null);
    }
}
