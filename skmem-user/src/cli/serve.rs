//! `skmem serve`: metrics with causes, always on.

use std::{
    fmt, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use flight::FlightArgs;
use source::{How, Source};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tripwire::TripwireArgs;

use super::{
    Usage, duration, host_root::HostRoot, interrupted, live, tell, tracing_args::TracingArgs,
};
use crate::{
    diag::pods::Pods,
    kernel::rights::Rights,
    serve::{
        http::{Ask, FRESH, Server},
        owner_labels::Names,
        published::{Latest, Published},
        textfile,
    },
};

mod flight;
mod source;
mod tripwire;

/// Requests that wait for the main thread.
const ASKS: usize = 16;
/// Looks that may be missed before the values are stale.
const MISSED: u32 = 3;

/// Serve all sockets' memory and its causes as metrics, for Prometheus
#[derive(Debug, Args)]
#[command(after_help = "\
As root (or with CAP_BPF and CAP_PERFMON) skmem keeps an account of each matching socket in the kernel, so
that metrics have causes. Without these rights it serves what sock_diag shows. Labels are namespace, pod,
container, unit, comm and cause; never addresses or ports. There is no TLS: put a proxy in front of it.

With --flight all calls of the last seconds are in memory as well, and those of sockets whose sender waits too
long, or whose queue goes too far over its limit, are written into a file; the oldest files give way. The
price: 32 MiB of memory at most, and what recording costs (docs/cost.md).

With --tripwire it keeps no accounts until a socket reaches its limit: the least price. Its counters by cause then
hold what came after that. It keeps CAP_BPF and CAP_PERFMON, to attach programs when that is wanted.

Paths: /metrics, /sockets.json?top=N, /explain/COOKIE, /flight/, /healthz, /readyz.

Examples:
  skmem serve                              http://127.0.0.1:9464/metrics
  skmem serve --listen [::]:9464 --bearer-token-file /etc/skmem/token
  skmem serve --cgroup kubepods.slice      pods only
  skmem serve --rx                         the receive side, too
  skmem serve --tripwire --hold 5m         accounts of sockets at their limit only
  skmem serve --flight /var/lib/skmem-serve --when 'blocked>500ms' --last 1m
  skmem serve --listen none --textfile /var/lib/node_exporter/skmem.prom

Exit status: 0 where it was asked to end (Ctrl-C, SIGTERM), 1 for a failure, 2 for wrong usage.")]
pub struct Options {
    #[command(flatten)]
    tracing: TracingArgs,
    /// Where to listen; port 0 takes a free one; none: nowhere
    #[arg(
        long,
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:9464",
        help_heading = "Serving"
    )]
    listen: Listen,
    /// Ask clients for the token in this file (Authorization: Bearer TOKEN), but for /healthz and
    /// /readyz
    #[arg(long, value_name = "FILE", help_heading = "Serving")]
    bearer_token_file: Option<PathBuf>,
    /// Also write the metrics into this file at each look, for node_exporter's textfile collector
    #[arg(long, value_name = "FILE", value_parser = prom, help_heading = "Serving")]
    textfile: Option<PathBuf>,
    /// Read all sockets at this interval, and when a client asks, once a second at most
    #[arg(short, long, value_name = "TIME", value_parser = duration, default_value = "15s", help_heading = "Serving")]
    interval: Duration,
    /// Most series that a scrape holds; labels for which there is no room are summed up under
    /// comm=other
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(200..=1_000_000),
          help_heading = "Serving")]
    max_series: u32,
    #[command(flatten, next_help_heading = "Serving")]
    pub(super) host_root: HostRoot,
    #[command(flatten)]
    flight: FlightArgs,
    #[command(flatten)]
    tripwire: TripwireArgs,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listen {
    Nowhere,
    Address(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        // A template writes [ADDRESS]:PORT, whatever the address is.
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]:"))
            .filter(|(address, _)| address.parse::<Ipv4Addr>().is_ok());
        let at = match bare {
            Some((address, port)) => format!("{address}:{port}").parse(),
            None => text.parse(),
        };
        at.map(Self::Address).map_err(|_| {
            "give an address and a port, e.g. 127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464, or none".to_owned()
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("none"),
            Self::Address(at) => at.fmt(f),
        }
    }
}

/// A file that node_exporter reads.
fn prom(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().is_some_and(|end| end == "prom") {
        true => Ok(path),
        false => Err("the name must end in .prom: node_exporter reads no other files".to_owned()),
    }
}

/// Runs it.
///
/// # Errors
/// Where it cannot listen, or the kernel does not answer.
pub async fn run(options: Options, verbose: bool) -> Result<ExitCode> {
    if options.listen == Listen::Nowhere && options.textfile.is_none() {
        let text = "--listen none: give --textfile FILE, or nothing would be served";
        return Err(Usage(anyhow!(text)).into());
    }
    let token = options
        .bearer_token_file
        .as_deref()
        .map(token)
        .transpose()?;
    // What cannot be is said before anything is attached; from here on no signal ends skmem.
    let listener = listener(options.listen)?;
    let mut end = std::pin::pin!(interrupted()?);
    let files = options.flight.files()?;
    let names = Names::new(Pods::below(&options.host_root.dir));
    let most = options.max_series as usize;
    // The collector's directory may be another user's, and so may that of the black box.
    let mut also = options.tripwire.rights();
    if options.textfile.is_some() || options.flight.is_wanted() {
        also |= Rights::DAC_OVERRIDE;
    }
    let how = How {
        which: &options.tracing,
        flight: (&options.flight, files.clone()),
        tripwire: options.tripwire.get(),
        host_root: &options.host_root.dir,
        verbose,
    };
    let mut source = tokio::select! {
        source = Source::start(how, names, most, also) => source?,
        () = &mut end => return Ok(live::gave_up()),
    };
    if let Some(why) = source.without_causes() {
        tell(&format!(
            "{why}: serving what sock_diag shows, without causes"
        ));
    }
    let first = source.look()?;
    write(&options, &first)?;
    let (latest, receiver) = watch::channel(Latest {
        look: Arc::new(first),
        failed: None,
    });
    let (asks, mut asked) = mpsc::channel(ASKS);
    // It ends with `latest`.
    let server = match listener {
        None => None,
        Some(listener) => {
            announce(&listener, token.is_some())?;
            let server = Server {
                listener,
                token,
                latest: receiver,
                asks: asks.clone(),
                files,
                stale: options.interval.saturating_mul(MISSED),
            };
            Some(server.start().context("cannot start the server")?)
        }
    };
    let mut next = Instant::now() + options.interval;
    let mut failing = false;
    loop {
        let due = tokio::select! {
            () = &mut end => break,
            () = sleep_until(next) => true,
            // `asks` is held here, so there is always one more.
            Some(ask) = asked.recv() => match ask {
                Ask::Look => latest.borrow().look.age() > FRESH,
                Ask::Explain { cookie, form, now, reply } => {
                    source.explain(cookie, form, now, reply);
                    false
                }
            },
            step = source.step() => { step?; false }
        };
        for note in source.take_notes() {
            tell(&note);
        }
        if !due {
            continue;
        }
        let looked = source.look().and_then(|look| {
            write(&options, &look)?;
            Ok(look)
        });
        match looked {
            Ok(look) => {
                latest.send_replace(Latest {
                    look: Arc::new(look),
                    failed: None,
                });
                failing = false;
            }
            Err(error) => {
                let why = format!("{error:#}");
                // Once, not at each look.
                if !std::mem::replace(&mut failing, true) {
                    tell(&format!("cannot look: {why}; trying again"));
                }
                latest.send_modify(|latest| latest.failed = Some(why));
            }
        }
        // A look that takes longer than the interval does not make the next ones hurry.
        next = Instant::now() + options.interval;
    }
    drop(latest);
    if let Some(server) = server {
        // A panic there has been printed.
        let _ = server.join();
    }
    for note in source.end()? {
        tell(&note);
    }
    Ok(ExitCode::SUCCESS)
}

/// Says where it listens, and who may ask.
fn announce(listener: &TcpListener, has_token: bool) -> Result<()> {
    let at = listener.local_addr()?;
    tell(&format!("serving http://{at}/metrics"));
    if !at.ip().is_loopback() && !has_token {
        tell(&format!(
            "each client that reaches {at} can read who uses TCP here: --bearer-token-file asks for a token; for TLS, put \
             a proxy in front"
        ));
    }
    Ok(())
}

fn listener(listen: Listen) -> Result<Option<TcpListener>> {
    match listen {
        Listen::Nowhere => Ok(None),
        Listen::Address(at) => TcpListener::bind(at).map(Some).with_context(|| {
            format!("cannot listen on {at}: --listen takes another address or port")
        }),
    }
}

fn token(file: &Path) -> Result<String> {
    let name = file.display();
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read the token in {name}"))?;
    let token = text.trim();
    let plain = token.bytes().all(|b| b.is_ascii_graphic());
    ensure!(
        !token.is_empty() && plain,
        "{name} holds no token: one line of printable ASCII characters without blanks"
    );
    Ok(token.to_owned())
}

fn write(options: &Options, look: &Published) -> Result<()> {
    let Some(path) = &options.textfile else {
        return Ok(());
    };
    textfile::write(path, &look.textfile())
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_files_are_checked() {
        let at = |text: &str| text.parse::<Listen>();
        assert_eq!(at("none"), Ok(Listen::Nowhere));
        assert_eq!(at("[192.0.2.1]:9464"), at("192.0.2.1:9464"));
        for good in ["127.0.0.1:9464", "[::]:0", "[::1]:9464"] {
            assert_eq!(at(good).unwrap().to_string(), good);
        }
        for bad in ["9464", "localhost:9464", "127.0.0.1", ":9464", ""] {
            assert!(at(bad).unwrap_err().starts_with("give an address"), "{bad}");
        }
        assert!(prom("/x/skmem.prom").is_ok() && prom("/x/skmem").is_err());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        for (text, good) in [("abc\n", true), ("", false), ("a b", false), ("ä", false)] {
            fs::write(&file, text).unwrap();
            assert_eq!(token(&file).is_ok(), good, "{text:?}");
        }
    }
}
