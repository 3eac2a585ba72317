//! The trace events of Chrome, as JSON: for viewers that know no other form.
//! A process for each socket.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use serde_json::{Map, Value, json};

use super::spans::{Arg, Counter, Rail, Shown};

/// The number of the first rail: there are 2¹⁶ sockets at most.
const FIRST_RAIL: u64 = 1 << 20;

/// A trace under way.
pub struct Chrome<W: Write> {
    out: W,
    /// A number for each socket and for each of its rails: Perfetto keeps 32 bits
    /// of "pid" and of "tid", and has slices that overlap on one "tid" dropped.
    sockets: HashMap<u64, u64>,
    rails: HashMap<(u64, Rail), u64>,
    zero_ns: u64,
    first: bool,
}

impl<W: Write> Chrome<W> {
    /// Times count from `zero_ns` of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    /// Where `out` cannot be written.
    pub fn new(mut out: W, zero_ns: u64) -> io::Result<Self> {
        out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
        Ok(Self {
            out,
            sockets: HashMap::new(),
            rails: HashMap::new(),
            zero_ns,
            first: true,
        })
    }

    /// Something of a socket; `name` says what its process is called.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn show(
        &mut self,
        socket: u64,
        name: &dyn Fn() -> String,
        shown: &Shown,
    ) -> io::Result<()> {
        let pid = self.process(socket, name)?;
        match shown {
            Shown::Counts { at_ns, moved } => {
                for (counter, value) in Counter::ALL.into_iter().zip(moved) {
                    let Some(value) = value else { continue };
                    self.write(&json!({
                        "ph": "C", "pid": pid, "ts": self.us(*at_ns), "name": counter.name(),
                        "args": {"bytes": value},
                    }))?;
                }
                Ok(())
            }
            Shown::Slice {
                rail,
                from_ns,
                to_ns,
                name,
                args,
            } => {
                let tid = self.thread(pid, *rail)?;
                let dur = (to_ns.saturating_sub(*from_ns)) as f64 / 1e3;
                self.write(&json!({
                    "ph": "X", "pid": pid, "tid": tid, "ts": self.us(*from_ns), "dur": dur,
                    "name": name, "args": arguments(args),
                }))
            }
            Shown::Instant {
                rail,
                at_ns,
                name,
                args,
            } => {
                let tid = self.thread(pid, *rail)?;
                self.write(&json!({
                    "ph": "i", "s": "t", "pid": pid, "tid": tid, "ts": self.us(*at_ns),
                    "name": name, "args": arguments(args),
                }))
            }
        }
    }

    /// The end.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()
    }

    fn process(&mut self, socket: u64, name: &dyn Fn() -> String) -> io::Result<u64> {
        if let Some(pid) = self.sockets.get(&socket) {
            return Ok(*pid);
        }
        let pid = self.sockets.len() as u64 + 1;
        self.sockets.insert(socket, pid);
        self.write(&json!({
            "ph": "M", "pid": pid, "name": "process_name", "args": {"name": name()},
        }))?;
        Ok(pid)
    }

    fn thread(&mut self, pid: u64, rail: Rail) -> io::Result<u64> {
        if let Some(tid) = self.rails.get(&(pid, rail)) {
            return Ok(*tid);
        }
        // Numbers of threads are of the whole trace, and a process's main thread
        // has that of the process: these come after all of them.
        let tid = FIRST_RAIL + self.rails.len() as u64;
        self.rails.insert((pid, rail), tid);
        let name = match rail {
            Rail::Blocked(thread) => format!("blocked, thread {thread}"),
            Rail::Skbs(_) => "skbs, from admission to ACK".to_owned(),
            Rail::Marks => "limit moves, EAGAIN, losses".to_owned(),
        };
        self.write(&json!({
            "ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": name},
        }))?;
        Ok(tid)
    }

    fn us(&self, at_ns: u64) -> f64 {
        at_ns.wrapping_sub(self.zero_ns).cast_signed() as f64 / 1e3
    }

    fn write(&mut self, event: &Value) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.out.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut self.out, event).map_err(io::Error::from)
    }
}

fn arguments(args: &[(&'static str, Arg)]) -> Value {
    let args = args.iter().map(|(name, arg)| {
        let value = match arg {
            Arg::Number(n) => Value::from(*n),
            Arg::Words(words) => Value::from(*words),
        };
        ((*name).to_owned(), value)
    });
    Value::Object(args.collect::<Map<_, _>>())
}
