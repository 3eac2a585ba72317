//! Questions about metrics, to `skmem serve` itself or to a Prometheus that asks it every two
//! seconds.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use libtest_mimic::Failed;
use serde_json::Value;
use skmem::Cause;

use crate::{
    process::Process,
    serving::{Answer, Client},
    standing::Stands,
};

const PROGRAM: &str = "/usr/bin/prometheus";
/// What is shipped: Prometheus loads it.
const RULES: &str = include_str!("../../../packaging/prometheus/skmem.rules.yml");

/// A Prometheus that has the rules that are shipped.
pub struct Prometheus {
    _process: Process,
    client: Client,
}

impl Prometheus {
    /// Whether this guest has one.
    pub fn is_here() -> bool {
        Path::new(PROGRAM).exists()
    }

    /// Starts one on what serves at `target`.
    pub fn start(room: &Path, target: &str) -> Result<Self, Failed> {
        fs::write(room.join("skmem.rules.yml"), RULES)?;
        let file = room.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s}}\n\
             rule_files: [skmem.rules.yml]\n\
             scrape_configs: [{{job_name: skmem, honor_labels: true, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        fs::write(&file, text)?;
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Process::start(
            Command::new(PROGRAM)
                .arg(format!("--config.file={}", file.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    room.join("tsdb").display()
                ))
                .arg(format!("--web.listen-address={free}"))
                .arg("--log.level=warn")
                .stdin(Stdio::null()),
        )?;
        Ok(Self {
            _process: process,
            client: Client {
                address: free.to_string(),
            },
        })
    }

    /// The answer to a request of its API, with these parameters; null: it has none yet.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let parameters = parameters.iter().map(|(name, value)| {
            let encoded = value.bytes().map(|b| match b.is_ascii_alphanumeric() {
                true => char::from(b).to_string(),
                false => format!("%{b:02X}"),
            });
            format!("{name}={}", encoded.collect::<String>())
        });
        let parameters = parameters.collect::<Vec<_>>().join("&");
        // 1.0: the answer comes in one part.
        let request = format!("GET /api/v1/{path}?{parameters} HTTP/1.0\r\n\r\n");
        let answer = asked(&self.client, &request);
        answer.map_or(Value::Null, |answer| {
            serde_json::from_str(&answer.body).unwrap_or_default()
        })
    }
}

/// The answer of one that may not be there.
pub fn asked(client: &Client, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(&client.address)?;
    stream.write_all(request.as_bytes())?;
    Answer::read(stream)
}

/// The metrics of some sockets.
pub struct Metrics<'a> {
    /// Who is asked; None: `skmem serve` itself.
    pub prometheus: Option<&'a Prometheus>,
    /// The label that chooses them: `container="0123456789ab"`.
    pub whose: String,
}

impl Metrics<'_> {
    /// The values of a metric of theirs, by the label `by`.
    pub fn of(&self, serving: &Client, name: &str, by: &str) -> BTreeMap<String, u64> {
        let whose = &self.whose;
        match self.prometheus {
            Some(prometheus) => {
                let query = format!("sum by ({by}) ({name}{{{whose}}})");
                let answer = prometheus.ask("query", &[("query", &query)]);
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
                let metric = format!("{name}{{");
                let theirs = |line: &&str| line.starts_with(&metric) && line.contains(whose);
                let mut sums = BTreeMap::new();
                for line in text.lines().filter(theirs) {
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
    pub fn ledger(&self, serving: &Client) -> BTreeMap<String, i64> {
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

    /// Payload that they have sent.
    pub fn payload(&self, serving: &Client) -> u64 {
        let added = self.of(serving, "skmem_wmem_queued_added_bytes_total", "cause");
        let is_payload = |name: &str| Cause::from_name(name).is_some_and(Cause::is_payload);
        let payload = added.iter().filter(|(name, _)| is_payload(name));
        payload.map(|(_, bytes)| bytes).sum()
    }
    /// Whether what is counted of a sender is what stands in the kernel, by its `file`; `said` is
    /// what was found. ACKs may be on their way.
    pub fn agree(&self, serving: &Client, file: &Path, said: &mut String) -> bool {
        let Some(stands) = Stands::read(file) else {
            "it does not stand yet".clone_into(said);
            return false;
        };
        let ledger = self.ledger(serving);
        let sum: i64 = ledger.values().sum();
        let counted = self.payload(serving);
        *said = format!("{stands:?}: payload {counted}, {ledger:?}");
        let whole = counted == stands.written || ledger.contains_key("pre-existing");
        sum == stands.w.cast_signed() && stands.w > 0 && whole && Stands::read(file) == Some(stands)
    }
}
