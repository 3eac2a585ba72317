//! `skmem serve`: its counters beside `SO_MEMINFO`, what senders wrote, and its own verdict, to the
//! byte; on one kernel as Prometheus has them, through its query language.
//!
//! Two senders are in cgroups that are called like containers: one whose socket stands still, full;
//! one whose socket has ended.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use libtest_mimic::{Failed, Trial};
use rustix::process::Signal;
use serde_json::Value;
use skmem::{Cause, MemInfo};
use socket2::SockRef;

use crate::{
    case::SKMEM,
    check::Check,
    process::{Process, wait_for},
    sender::ROLE,
    serving::Serving,
};

/// [`ROLE`] of a sender: `standing:FILE`.
pub const STANDING: &str = "standing:";
/// What the sender whose socket ends writes, bytes.
const ENDED: u64 = 300_000;
const PROMETHEUS: &str = "/usr/bin/prometheus";

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("serve::counts-to-the-byte", counts)]
}

/// Sends until the kernel takes no more, and has that stay; or with a `FILE` that is called
/// `ended`, some bytes that are read, and closes. Each 100 ms what stands in the kernel is written
/// into the file: w, payload written, cookie.
pub fn standing(file: &str) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    let cookie = skmem::diag::socket_cookie(client.as_fd()).map_err(io::Error::other)?;
    let tell = |w: i32, written: u64| {
        let hidden = format!("{file}.new");
        fs::write(&hidden, format!("{w} {written} {cookie}"))?;
        fs::rename(&hidden, file)
    };
    if file.ends_with("/ended") {
        let reader = thread::spawn(move || io::copy(&mut server, &mut io::sink()));
        client.write_all(&vec![b'e'; ENDED as usize])?;
        client.shutdown(std::net::Shutdown::Write)?;
        drop(client);
        let read = reader.join().unwrap()?;
        assert_eq!(read, ENDED);
        tell(0, ENDED)?;
        return io::copy(&mut io::stdin(), &mut io::sink()).map(drop);
    }
    SockRef::from(&client).set_send_buffer_size(65_536)?;
    client.set_nonblocking(true)?;
    let mut written = 0;
    // Ends with the process, when its stdin does.
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    loop {
        match client.write(&[b's'; 1000]) {
            Ok(bytes) => written += bytes as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let memory = MemInfo::read(client.as_fd()).map_err(io::Error::other)?;
                tell(memory.wmem_queued, written)?;
                thread::sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(error),
        }
    }
}

/// A sender in a cgroup of its own.
struct Sender {
    child: Child,
    file: PathBuf,
    cgroup: PathBuf,
}

impl Sender {
    fn start(room: &Path, name: &str, id: &str) -> Result<Self, Failed> {
        let cgroup = PathBuf::from(format!("/sys/fs/cgroup/docker-{id}.scope"));
        fs::create_dir_all(&cgroup)?;
        let file = room.join(name);
        // The shell goes into the cgroup, and becomes the sender: its sockets are made there.
        let script = "echo $$ > \"$1/cgroup.procs\" && exec \"$2\"";
        let child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&cgroup)
            .arg(env::current_exe()?)
            .env(ROLE, format!("{STANDING}{}", file.display()))
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self {
            child,
            file,
            cgroup,
        })
    }

    /// w, payload written, cookie.
    fn stands(&self) -> Option<(u64, u64, u64)> {
        let text = fs::read_to_string(&self.file).ok()?;
        let mut numbers = text.split(' ').map(|n| n.parse().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir(&self.cgroup);
    }
}

/// Who answers questions about metrics.
struct Metrics {
    /// Where Prometheus listens; None: it is not here, and `skmem serve` itself is asked.
    prometheus: Option<String>,
    container: String,
}

impl Metrics {
    /// The values of a metric of the container, by the label `by`.
    fn of(&self, serving: &Serving, name: &str, by: &str) -> BTreeMap<String, u64> {
        let container = &self.container;
        match &self.prometheus {
            Some(address) => {
                let query = format!("sum by ({by}) ({name}{{container=\"{container}\"}})");
                let answer = query_of(address, &query);
                let results = answer["data"]["result"].as_array().cloned();
                let one = |result: &Value| {
                    let label = result["metric"][by].as_str().unwrap_or_default();
                    let value = result["value"][1].as_str()?.parse::<f64>().ok()?;
                    Some((label.to_owned(), value as u64))
                };
                results.iter().flatten().filter_map(one).collect()
            }
            None => {
                let text = serving.get("/metrics").body;
                let labels = format!("{name}{{container=\"{container}\"");
                let mut sums = BTreeMap::new();
                for line in text.lines().filter(|line| line.starts_with(&labels)) {
                    let label = line.split_once(&format!("{by}=\"")).map(|(_, rest)| rest);
                    let label = label.and_then(|rest| rest.split('"').next());
                    let value = line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok());
                    let sum: &mut u64 = sums
                        .entry(label.unwrap_or_default().to_owned())
                        .or_default();
                    *sum += value.unwrap_or(0.0) as u64;
                }
                sums
            }
        }
    }

    /// Net bytes of w by cause.
    fn ledger(&self, serving: &Serving) -> BTreeMap<String, i64> {
        let mut net = BTreeMap::new();
        for (name, sign) in [("added", 1), ("freed", -1)] {
            let name = format!("skmem_wmem_queued_{name}_bytes_total");
            for (cause, bytes) in self.of(serving, &name, "cause") {
                let sum: &mut i64 = net.entry(cause).or_default();
                *sum += sign * bytes.cast_signed();
            }
        }
        net.retain(|_, bytes| *bytes != 0);
        net
    }

    fn payload(&self, serving: &Serving) -> u64 {
        let added = self.of(serving, "skmem_wmem_queued_added_bytes_total", "cause");
        let is_payload = |name: &str| Cause::from_name(name).is_some_and(Cause::is_payload);
        let payload = added.iter().filter(|(name, _)| is_payload(name));
        payload.map(|(_, bytes)| bytes).sum()
    }
}

/// Prometheus' answer to a query; null: it has none yet.
fn query_of(address: &str, query: &str) -> Value {
    let query: String = query
        .bytes()
        .map(|b| match b.is_ascii_alphanumeric() || b == b'_' {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect();
    let Ok(mut stream) = TcpStream::connect(address) else {
        return Value::Null;
    };
    // 1.0: the answer comes in one part.
    let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
    let mut text = String::new();
    let asked = stream.write_all(request.as_bytes());
    match asked.and_then(|()| stream.read_to_string(&mut text)) {
        Ok(_) => {
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            serde_json::from_str(body.unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => Value::Null,
    }
}

/// Starts Prometheus, where this guest has it, on what serves at `target`.
fn prometheus(room: &Path, target: &str) -> Result<Option<(Process, String)>, Failed> {
    if !Path::new(PROMETHEUS).exists() {
        return Ok(None);
    }
    let file = room.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: skmem, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
    );
    fs::write(&file, text)?;
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let process = Process::start(
        Command::new(PROMETHEUS)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                room.join("tsdb").display()
            ))
            .arg(format!("--web.listen-address={free}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null()),
    )?;
    Ok(Some((process, free.to_string())))
}

fn counts() -> Result<(), Failed> {
    let mut check = Check::default();
    let room = tempfile::tempdir()?;
    let serving = Serving::start(SKMEM, &["--interval", "500ms"]);
    let address = serving.address.clone();
    let without = serving
        .said
        .iter()
        .any(|line| line.contains("without causes"));
    check.that(!without, || format!("{:?}", serving.said));
    let judge = prometheus(room.path(), &address)?;
    let full = Sender::start(room.path(), "full", &"ab".repeat(32))?;
    let _ended = Sender::start(room.path(), "ended", &"cd".repeat(32))?;
    let metrics = |id: &str| Metrics {
        prometheus: judge.as_ref().map(|(_, address)| address.clone()),
        container: id.repeat(6),
    };
    let (of_full, of_ended) = (metrics("ab"), metrics("cd"));

    // Until what Prometheus holds is what stands in the kernel; ACKs may be on their way.
    let mut last = String::new();
    let agrees = |serving: &Serving, last: &mut String| {
        let Some((w, written, cookie)) = full.stands() else {
            return false;
        };
        let ledger = of_full.ledger(serving);
        let sum: i64 = ledger.values().sum();
        let counted = of_full.payload(serving);
        *last = format!("w {w}, written {written}, cookie {cookie}: {ledger:?}");
        let same = sum == w.cast_signed()
            && w > 0
            && (counted == written || ledger.contains_key("pre-existing"));
        same && full.stands() == Some((w, written, cookie))
    };
    let there = wait_for(|| agrees(&serving, &mut last));
    check.that(there, || format!("the full socket never agrees: {last}"));

    // The verdict of the same account, by cause, and the gauge; the reader's kernel may take more
    // once in a while.
    let mut last_verdict = String::new();
    let there = wait_for(|| {
        let Some((w, written, cookie)) = full.stands() else {
            return false;
        };
        let answer = serving.get(&format!("/explain/{cookie}?format=json&at=end"));
        check.equal("status of /explain", answer.status, 200);
        check.that(answer.head.contains("application/json"), || {
            answer.head.clone()
        });
        let verdict: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let ledger = verdict["ledger"].as_array().into_iter().flatten();
        let ledger: BTreeMap<String, i64> = ledger
            .filter_map(|one| Some((one["cause"].as_str()?.to_owned(), one["bytes"].as_i64()?)))
            .filter(|(_, bytes)| *bytes != 0)
            .collect();
        let counted = of_full.ledger(&serving);
        let gauge = of_full.of(&serving, "skmem_wmem_queued_bytes", "container");
        let gauge: u64 = gauge.values().sum();
        last_verdict = format!("w {w}, as a gauge {gauge}; {counted:?}; the verdict: {ledger:?}");
        let same = counted == ledger && gauge == w;
        same && full.stands() == Some((w, written, cookie))
    });
    check.that(there, || {
        format!("counters, gauge and verdict never agree: {last_verdict}")
    });
    let refused = of_full.of(&serving, "skmem_sender_refused_total", "container");
    check.that(refused.values().sum::<u64>() > 0, || {
        "no refusal was counted".to_owned()
    });

    // What has ended is counted, and stays.
    let over = |serving: &Serving| {
        of_ended.payload(serving) == ENDED && of_ended.ledger(serving).values().sum::<i64>() == 0
    };
    let there = wait_for(|| over(&serving));
    check.that(there, || {
        format!(
            "what has ended: {} written, {:?}",
            of_ended.payload(&serving),
            of_ended.ledger(&serving)
        )
    });
    let text = serving.get("/metrics").body;
    for nothing in ["cause=\"unattributed\"", "cause=\"receive-unattributed\""] {
        check.that(!text.contains(nothing), || format!("{nothing} in\n{text}"));
    }
    eprintln!("tests: serve: {last}");

    // Killed and started again: what it finds is counted as pre-existing.
    if judge.is_some() {
        drop(serving);
        let serving = Serving::start_at(SKMEM, &address, &["--interval", "500ms"]);
        let again = |last: &mut String| {
            agrees(&serving, last) && of_full.ledger(&serving).contains_key("pre-existing")
        };
        let there = wait_for(|| again(&mut last));
        check.that(there, || format!("after the restart: {last}"));
        let (status, said) = serving.ended(Signal::TERM);
        check.that(status.success(), || format!("{status}: {said}"));
    }
    check.done()
}
