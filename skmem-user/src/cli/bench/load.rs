//! The traffic that is traced. Sockets are made before the clock starts, and
//! closed after it stops.

use std::{
    fmt,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    net::sockopt::set_tcp_quickack,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use crate::workload::BenchLink;

/// Connections of the load `sockets`: each has two ends.
const CONNECTIONS: usize = 1000;

/// Largest write, in bytes: a thread sends it to itself before it reads.
const MOST: usize = 256 << 10;

/// A pattern of sends and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Load {
    /// A thread sends to itself and reads what it sent
    Lockstep,
    /// A thread sends, another one reads
    Reader,
    /// Lockstep, and each segment is acknowledged at once
    Acks,
    /// Lockstep on 1,000 connections (2,000 sockets) in turn
    Sockets,
    /// Lockstep over a veth pair between two network namespaces
    Veth,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lockstep => "lockstep",
            Self::Reader => "reader",
            Self::Acks => "acks",
            Self::Sockets => "sockets",
            Self::Veth => "veth",
        })
    }
}

/// A load, with its own size of a write or with those of `--write-size`:
/// `LOAD[:BYTES]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizedLoad {
    /// The load.
    pub load: Load,
    /// Bytes in each write.
    pub size: Option<usize>,
}

impl FromStr for SizedLoad {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, size) = match text.split_once(':') {
            Some((name, size)) => (name, Some(write_size(size)?)),
            None => (text, None),
        };
        let load = <Load as clap::ValueEnum>::from_str(name, false)
            .map_err(|_| "a load is lockstep, reader, acks, sockets or veth".to_owned())?;
        Ok(Self { load, size })
    }
}

/// Bytes in a write.
pub fn write_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if (1..=MOST).contains(&size) => Ok(size),
        _ => Err(format!("a write has 1 to {MOST} bytes")),
    }
}

/// What ran, with its sockets still open.
pub struct Ran {
    /// How long it took.
    pub took: Duration,
    /// Sends in that time.
    pub sends: u32,
    /// Sends before.
    pub warm: u32,
    _pairs: Vec<Pair>,
}

struct Pair {
    sender: TcpStream,
    reader: TcpStream,
    /// Goes after them.
    _link: Option<BenchLink>,
}

/// Runs `load` with at least `sends` sends of `size` bytes each; `started` is
/// called when the sockets are there and warm.
pub fn run(load: Load, size: usize, sends: u32, started: impl FnOnce()) -> Result<Ran> {
    let mut pairs = match load {
        Load::Sockets => {
            let limit = getrlimit(Resource::Nofile);
            let most = Rlimit {
                current: limit.maximum,
                ..limit
            };
            setrlimit(Resource::Nofile, most).context("cannot raise the limit of open files")?;
            connect(CONNECTIONS)?
        }
        Load::Veth => vec![over_veth()?],
        _ => connect(1)?,
    };
    // Each connection has its turn twice at least.
    let sends = sends.max(2 * u32::try_from(pairs.len())?);
    let warm = (sends / 10).max(u32::try_from(pairs.len())?);
    let (out, mut back) = (vec![7; size], vec![0; size]);
    lockstep(&mut pairs, &out, &mut back, warm, load == Load::Acks)?;
    started();
    let begin = Instant::now();
    match load {
        Load::Reader => with_reader(&mut pairs, &out, sends)?,
        _ => lockstep(&mut pairs, &out, &mut back, sends, load == Load::Acks)?,
    }
    Ok(Ran {
        took: begin.elapsed(),
        sends,
        warm,
        _pairs: pairs,
    })
}

fn lockstep(pairs: &mut [Pair], out: &[u8], back: &mut [u8], sends: u32, acks: bool) -> Result<()> {
    let mut done = 0;
    while done < sends {
        for Pair { sender, reader, .. } in pairs.iter_mut() {
            if acks {
                // It does not last: the kernel goes back to delaying them.
                set_tcp_quickack(&*reader, true).context("cannot set TCP_QUICKACK")?;
            }
            sender.write_all(out)?;
            reader.read_exact(back)?;
            done += 1;
            if done == sends {
                break;
            }
        }
    }
    Ok(())
}

fn with_reader(pairs: &mut [Pair], out: &[u8], sends: u32) -> Result<()> {
    for Pair { sender, reader, .. } in pairs {
        let mut left = out.len() as u64 * u64::from(sends);
        thread::scope(|scope| -> Result<()> {
            let read = scope.spawn(move || -> Result<()> {
                let mut back = vec![0; 128 << 10];
                while left > 0 {
                    let n = reader.read(&mut back)?;
                    anyhow::ensure!(n > 0, "the sender is gone");
                    left = left.saturating_sub(n as u64);
                }
                Ok(())
            });
            for _ in 0..sends {
                sender.write_all(out)?;
            }
            read.join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("the reader panicked")))
        })?;
    }
    Ok(())
}

fn connect(count: usize) -> Result<Vec<Pair>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on lo")?;
    let address = listener.local_addr()?;
    (0..count)
        .map(|_| {
            let sender = TcpStream::connect(address)?;
            pair(sender, &listener)
        })
        .collect()
}

fn over_veth() -> Result<Pair> {
    let link = BenchLink::new()?;
    let (listener, sender) = link.connect()?;
    Ok(Pair {
        _link: Some(link),
        ..pair(sender, &listener)?
    })
}

fn pair(sender: TcpStream, listener: &TcpListener) -> Result<Pair> {
    let (reader, _) = listener.accept()?;
    sender.set_nodelay(true)?;
    Ok(Pair {
        sender,
        reader,
        _link: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_with_and_without_a_size() {
        let wanted: SizedLoad = "acks:100".parse().expect("a load");
        assert_eq!((wanted.load, wanted.size), (Load::Acks, Some(100)));
        let wanted: SizedLoad = "veth".parse().expect("a load");
        assert_eq!((wanted.load, wanted.size), (Load::Veth, None));
        for wrong in ["", "x", "acks:0", "acks:", "acks:1000000000"] {
            assert!(wrong.parse::<SizedLoad>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn loads_run_to_their_end() {
        for load in [Load::Lockstep, Load::Reader, Load::Acks] {
            let mut started = false;
            let ran = run(load, 1024, 50, || started = true).expect("loopback");
            assert!(started);
            assert_eq!(ran.sends, 50);
        }
    }
}
