//! What `skmem serve` takes: it runs beside many real connections, whose processes are skmem, too,
//! under names of their own, so that there are as many series as a scrape holds by default.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use schemars::JsonSchema;
use serde::Serialize;

use super::clock;

/// Connections, of two sockets each.
const CONNECTIONS: usize = 5_040;
/// Processes that hold them.
const PROCESSES: usize = 280;
/// Room in the table of accounts.
const SLOTS: usize = 12_000;
/// Scrapes of each kind.
const SCRAPES: usize = 7;
/// How long it is watched while nobody asks, in seconds.
const REST: u64 = 20;
/// A look is not made again for a scrape within a second.
const STALE: Duration = Duration::from_millis(1_200);

/// What it took.
#[derive(Debug, JsonSchema, Serialize)]
pub struct Served {
    /// Sockets with an account.
    accounts: u64,
    /// Series in a scrape.
    series: u64,
    /// CPU time of a scrape that looks at all sockets, in ns: median.
    look_ns: u64,
    /// CPU time of a scrape within a second of the last look, in ns: median.
    again_ns: u64,
    /// CPU time that it takes in a second in which nobody asks, in ns.
    rest_ns: u64,
    /// Resident memory, bytes (`VmRSS`).
    resident: u64,
    /// Of that, what is skmem's own (`RssAnon`), bytes; the rest are its program, the ring and the
    /// part of the table of accounts that is mapped.
    anonymous: u64,
    /// The most that was ever resident, bytes (`VmHWM`).
    most_resident: u64,
}

impl Served {
    /// As lines of a table.
    pub fn lines(&self) -> String {
        let ms = |ns: u64| ns as f64 / 1e6;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!(
            "\n{:38} {:>10}\n{:38} {:>10}\n{:38} {:>10}\n{:38} {:>10.1}\n{:38} {:>10.1}\n{:38} {:>10.1}\n{:38} {:>10.1}\n\
             {:38} {:>10.1}\n{:38} {:>10.1}\n",
            "skmem serve",
            "",
            "accounts",
            self.accounts,
            "series",
            self.series,
            "CPU of a scrape that looks, ms",
            ms(self.look_ns),
            "CPU of a scrape soon after, ms",
            ms(self.again_ns),
            "CPU in a second without a scrape, ms",
            ms(self.rest_ns),
            "resident memory, MiB",
            mib(self.resident),
            "of that its own (RssAnon), MiB",
            mib(self.anonymous),
            "most resident (VmHWM), MiB",
            mib(self.most_resident),
        )
    }
}

/// A process that ends with us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures.
///
/// # Errors
/// Where a process cannot be started, or does not do what it should.
pub fn measure() -> Result<Served> {
    let (server, address) = serve()?;
    let each = CONNECTIONS / PROCESSES;
    let workers: Vec<Ended> = (0..PROCESSES)
        .map(|n| worker(n, each))
        .collect::<Result<_>>()?;
    let pid = server.0.id();
    let timed = |wait| -> Result<(u64, String)> {
        thread::sleep(wait);
        let before = clock::of_process(pid);
        let text = scrape(&address)?;
        Ok((clock::of_process(pid) - before, text))
    };
    let (mut looks, mut again) = (Vec::new(), Vec::new());
    let mut text = String::new();
    // The first one learns who holds what.
    timed(STALE)?;
    for _ in 0..SCRAPES {
        let (ns, body) = timed(STALE)?;
        looks.push(ns);
        text = body;
        again.push(timed(Duration::ZERO)?.0);
    }
    let before = clock::of_process(pid);
    thread::sleep(Duration::from_secs(REST));
    let rest_ns = (clock::of_process(pid) - before) / REST;
    let of = |name: &str| -> Option<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().parse().ok()
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let bytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    };
    drop(workers);
    Ok(Served {
        // Without rights it has none, and says so.
        accounts: of("skmem_accounts ").unwrap_or(0),
        series: of("skmem_series ").context("skmem serve does not say how many series it has")?,
        look_ns: median(looks),
        again_ns: median(again),
        rest_ns,
        resident: bytes("VmRSS:"),
        anonymous: bytes("RssAnon:"),
        most_resident: bytes("VmHWM:"),
    })
}

fn median(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of.get(of.len() / 2).copied().unwrap_or(0)
}

/// Starts the server; it looks when it is asked only.
fn serve() -> Result<(Ended, String)> {
    let child = Command::new(std::env::current_exe()?)
        .args(["serve", "--listen", "127.0.0.1:0", "--interval", "1h"])
        .arg(format!("--max-sockets={SLOTS}"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start skmem serve")?;
    let mut child = Ended(child);
    let stderr = child.0.stderr.take().context("no stderr")?;
    let mut said = BufReader::new(stderr);
    loop {
        let mut line = String::new();
        ensure!(said.read_line(&mut line)? != 0, "skmem serve ended");
        let address = line.split_once("serving http://").map(|(_, rest)| rest);
        if let Some((address, _)) = address.and_then(|rest| rest.split_once('/')) {
            let address = address.to_owned();
            // What it says later must not make it wait.
            thread::spawn(move || io::copy(&mut said, &mut io::sink()));
            return Ok((child, address));
        }
        eprint!("{line}");
    }
}

/// Starts a process that holds connections, and waits until it has them.
fn worker(n: usize, connections: usize) -> Result<Ended> {
    let child = Command::new(std::env::current_exe()?)
        .args(["bench", &format!("--hold=worker-{n}:{connections}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a process")?;
    let mut child = Ended(child);
    let stdout = child.0.stdout.take().context("no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    ensure!(line == "ready\n", "a process of connections ended");
    Ok(child)
}

fn scrape(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: skmem\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    Ok(text)
}

/// A process of connections: its name, and how many.
#[derive(Debug, Clone)]
pub struct Hold {
    name: String,
    connections: usize,
}

impl std::str::FromStr for Hold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, count) = text.split_once(':').ok_or("give NAME:CONNECTIONS")?;
        let connections = count.parse().map_err(|_| "CONNECTIONS is a number")?;
        Ok(Self {
            name: name.to_owned(),
            connections,
        })
    }
}

impl Hold {
    /// Makes the connections, sends both ways, and holds them until stdin ends.
    ///
    /// # Errors
    /// Where they cannot be made.
    pub fn run(&self) -> Result<()> {
        let name = std::ffi::CString::new(&self.name[..])?;
        rustix::thread::set_name(&name).context("cannot take the name")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut held = Vec::new();
        for _ in 0..self.connections {
            let mut client = TcpStream::connect(listener.local_addr()?)?;
            let (mut server, _) = listener.accept()?;
            client.write_all(&[1; 1000])?;
            server.write_all(&[2; 2000])?;
            held.push((client, server));
        }
        crate::cli::print("ready\n")?;
        io::copy(&mut io::stdin(), &mut io::sink())?;
        Ok(())
    }
}
