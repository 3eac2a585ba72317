//! What a user may change about a scenario.

use std::{ffi::OsString, time::Duration};

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Serialize;

use super::Scenario;
use crate::quantity::{self, parse_time, print_time};

/// A size for the kernel's 32-bit settings.
fn size(text: &str) -> Result<u32, String> {
    quantity::size(text, 0..=u64::from(u32::MAX))
}

/// One that is not nothing.
fn some(text: &str) -> Result<u32, String> {
    quantity::size(text, 1..=u64::from(u32::MAX))
}

fn write_size(text: &str) -> Result<u32, String> {
    quantity::size(text, 1..=64 << 20)
}

fn transfer(text: &str) -> Result<u64, String> {
    quantity::size(text, 1..=u64::MAX)
}

/// `tcp_wmem` holds at least a page and an skb.
fn tcp_wmem(text: &str) -> Result<u32, String> {
    quantity::size(text, 4608..=u64::from(u32::MAX))
}

/// Command-line options, the same for `skmem demo` and the child it starts. Each replaces a default
/// of the scenario; a scenario refuses those that mean nothing to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[group(id = "workload")]
pub struct Options {
    /// Pause between two writes, e.g. 10ms, 500us, 1s. While 8 KiB or more are unsent, the writer
    /// also waits for the first window probe
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub interval: Option<Duration>,
    /// The sender's SO_SNDBUF, as the application passes it (the kernel doubles it), e.g. 4096,
    /// 64K
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub sndbuf: Option<u32>,
    /// The receiver's SO_RCVBUF, as the application passes it (the kernel doubles it)
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub rcvbuf: Option<u32>,
    /// Bytes per write, e.g. 1024, 64K
    #[arg(long, value_name = "BYTES", value_parser = write_size)]
    pub write_size: Option<u32>,
    /// Bytes to transfer per connection, where the scenario transfers a set amount
    #[arg(long, value_name = "BYTES", value_parser = transfer)]
    pub bytes: Option<u64>,
    /// MTU of the link
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(68..=65536))]
    pub mtu: Option<u32>,
    /// gso_max_segs of the sender's link
    #[arg(long, value_name = "SEGMENTS", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub gso_max_segs: Option<u32>,
    /// gso_max_size of the sender's link, for IPv4 and IPv6: above 65536 it is BIG TCP
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(4096..=524_280))]
    pub gso_max_size: Option<u32>,
    /// Connections (per process, where there are several processes)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub connections: Option<u32>,
    /// Sending processes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub processes: Option<u32>,
    /// Time allowed for reaching rest, e.g. 300s [default: 120s]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub deadline: Option<Duration>,
    /// Set TCP_NODELAY on the sender
    #[arg(long)]
    pub nodelay: bool,
    /// Leave the sender's SO_SNDBUF alone: the kernel tunes the limit
    #[arg(long, conflicts_with = "sndbuf")]
    pub no_sndbuf: bool,
    /// The sender's TCP_NOTSENT_LOWAT in bytes
    #[arg(long, value_name = "BYTES", value_parser = some)]
    pub notsent_lowat: Option<u32>,
    /// Let every write end a record (MSG_EOR)
    #[arg(long)]
    pub eor: bool,
    /// Turn segmentation offload (GSO, TSO) off on the link
    #[arg(long)]
    pub gso_off: bool,
    /// Copy the data instead of sending it with MSG_ZEROCOPY
    #[arg(long)]
    pub copy: bool,
    /// The third number of net.ipv4.tcp_wmem in the sender's namespace, in bytes
    #[arg(long, value_name = "BYTES", value_parser = tcp_wmem)]
    pub tcp_wmem: Option<u32>,
    /// Do not exhaust memory
    #[arg(long)]
    pub roomy: bool,
    /// No packet loss on the link
    #[arg(long)]
    pub lossless: bool,
    /// Let the server read, and the sender end after 64 writes (or --bytes)
    #[arg(long)]
    pub reader: bool,
    /// Use IPv6 instead of IPv4
    #[arg(long)]
    pub ipv6: bool,
}

/// The options that every scenario takes.
const COMMON: [&str; 2] = ["deadline", "ipv6"];

/// What a scenario runs with: its defaults, changed by [`Options`]. `None` leaves a thing to the
/// kernel.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Params {
    /// Pause between two writes; zero for none.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// `SO_SNDBUF` of the sender, bytes.
    pub sndbuf: Option<u32>,
    /// `SO_RCVBUF` of the receiver, bytes.
    pub rcvbuf: Option<u32>,
    /// Bytes per write.
    pub write_size: u32,
    /// Bytes to transfer per connection; `None` where the scenario writes until it is blocked.
    pub bytes: Option<u64>,
    /// MTU of the link, bytes.
    pub mtu: Option<u32>,
    /// `gso_max_segs` of the sender's link.
    pub gso_max_segs: Option<u32>,
    /// `gso_max_size` and `gso_ipv4_max_size` of the sender's link, bytes.
    pub gso_max_size: Option<u32>,
    /// Connections, per process.
    pub connections: u32,
    /// Sending processes.
    pub processes: u32,
    /// Time allowed for each phase.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub deadline: Duration,
    /// `TCP_NODELAY` on the sender.
    pub nodelay: bool,
    /// `TCP_NOTSENT_LOWAT` of the sender, bytes.
    pub notsent_lowat: Option<u32>,
    /// `MSG_EOR` with every write.
    pub eor: bool,
    /// No GSO and TSO on the link.
    pub gso_off: bool,
    /// No `MSG_ZEROCOPY`.
    pub copy: bool,
    /// Third number of `tcp_wmem`, bytes.
    pub tcp_wmem: Option<u32>,
    /// The memory limit leaves room.
    pub roomy: bool,
    /// The link loses nothing.
    pub lossless: bool,
    /// The server reads.
    pub reader: bool,
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
}

impl Params {
    /// What scenarios start from when they state their own defaults.
    pub(crate) const BASE: Self = Self {
        interval: Duration::ZERO,
        sndbuf: Some(4096),
        rcvbuf: None,
        write_size: 1024,
        bytes: None,
        mtu: Some(1500),
        gso_max_segs: None,
        gso_max_size: None,
        connections: 1,
        processes: 1,
        deadline: Duration::from_secs(120),
        nodelay: false,
        notsent_lowat: None,
        eor: false,
        gso_off: false,
        copy: false,
        tcp_wmem: None,
        roomy: false,
        lossless: false,
        reader: false,
        ipv6: false,
    };

    /// `write_size` as a length.
    pub(crate) fn write_len(&self) -> usize {
        self.write_size as usize
    }
}

impl Options {
    /// The scenario's defaults with these options applied.
    ///
    /// # Errors
    /// Where one does not belong to it.
    pub fn resolve(&self, scenario: &Scenario) -> Result<Params> {
        for (name, _) in self.given() {
            if !COMMON.contains(&name) && !scenario.accepts.contains(&name) {
                bail!(
                    "--{name} means nothing to the scenario {}; it takes --{}",
                    scenario.name,
                    [scenario.accepts, &COMMON].concat().join(", --")
                );
            }
        }
        let defaults = &scenario.defaults;
        // Smaller writes come more often, so that a scenario takes no longer for them.
        let smaller = f64::from(self.write_size.unwrap_or(defaults.write_size))
            / f64::from(defaults.write_size);
        let interval = defaults.interval.mul_f64(smaller.min(1.0));
        Ok(Params {
            interval: self.interval.unwrap_or(interval),
            sndbuf: if self.no_sndbuf {
                None
            } else {
                self.sndbuf.or(defaults.sndbuf)
            },
            rcvbuf: self.rcvbuf.or(defaults.rcvbuf),
            write_size: self.write_size.unwrap_or(defaults.write_size),
            bytes: self.bytes.or(defaults.bytes),
            mtu: self.mtu.or(defaults.mtu),
            gso_max_segs: self.gso_max_segs.or(defaults.gso_max_segs),
            gso_max_size: self.gso_max_size.or(defaults.gso_max_size),
            connections: self.connections.unwrap_or(defaults.connections),
            processes: self.processes.unwrap_or(defaults.processes),
            deadline: self.deadline.unwrap_or(defaults.deadline),
            nodelay: self.nodelay || defaults.nodelay,
            notsent_lowat: self.notsent_lowat.or(defaults.notsent_lowat),
            eor: self.eor || defaults.eor,
            gso_off: self.gso_off || defaults.gso_off,
            copy: self.copy || defaults.copy,
            tcp_wmem: self.tcp_wmem.or(defaults.tcp_wmem),
            roomy: self.roomy || defaults.roomy,
            lossless: self.lossless || defaults.lossless,
            reader: self.reader || defaults.reader,
            ipv6: self.ipv6 || defaults.ipv6,
        })
    }

    /// The command line that yields these options again.
    pub fn to_args(&self) -> Vec<OsString> {
        let mut args = Vec::new();
        for (name, value) in self.given() {
            args.push(format!("--{name}").into());
            args.extend(value.map(OsString::from));
        }
        args
    }

    /// The options that were given, by name, with their value unless they are flags.
    fn given(&self) -> Vec<(&'static str, Option<String>)> {
        // Taken apart field by field, so that a new option cannot be forgotten here.
        let Self {
            interval,
            sndbuf,
            rcvbuf,
            write_size,
            bytes,
            mtu,
            gso_max_segs,
            gso_max_size,
            connections,
            processes,
            deadline,
            nodelay,
            no_sndbuf,
            notsent_lowat,
            eor,
            gso_off,
            copy,
            tcp_wmem,
            roomy,
            lossless,
            reader,
            ipv6,
        } = self;
        let number = |n: &Option<u32>| n.map(|n| Some(n.to_string()));
        let time = |t: &Option<Duration>| t.map(|t| Some(print_time(t)));
        let flag = |set: bool| set.then_some(None);
        [
            ("interval", time(interval)),
            ("sndbuf", number(sndbuf)),
            ("rcvbuf", number(rcvbuf)),
            ("write-size", number(write_size)),
            ("bytes", bytes.map(|n| Some(n.to_string()))),
            ("mtu", number(mtu)),
            ("gso-max-segs", number(gso_max_segs)),
            ("gso-max-size", number(gso_max_size)),
            ("connections", number(connections)),
            ("processes", number(processes)),
            ("deadline", time(deadline)),
            ("nodelay", flag(*nodelay)),
            ("no-sndbuf", flag(*no_sndbuf)),
            ("notsent-lowat", number(notsent_lowat)),
            ("eor", flag(*eor)),
            ("gso-off", flag(*gso_off)),
            ("copy", flag(*copy)),
            ("tcp-wmem", number(tcp_wmem)),
            ("roomy", flag(*roomy)),
            ("lossless", flag(*lossless)),
            ("reader", flag(*reader)),
            ("ipv6", flag(*ipv6)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

fn as_text<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&print_time(*time))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::workload::{find, list};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(args: &[&str]) -> Result<Options, clap::Error> {
        Cli::try_parse_from([&["skmem"], args].concat()).map(|cli| cli.options)
    }

    #[test]
    fn options_survive_the_way_to_the_child() {
        let every = [
            "--interval",
            "1500us",
            "--sndbuf",
            "0",
            "--rcvbuf",
            "29200",
            "--write-size",
            "100",
            "--bytes",
            "9",
            "--mtu",
            "1400",
            "--gso-max-segs",
            "10",
            "--gso-max-size",
            "65536",
            "--connections",
            "2",
            "--processes",
            "3",
            "--deadline",
            "5s",
            "--nodelay",
            "--notsent-lowat",
            "1",
            "--eor",
            "--gso-off",
            "--copy",
            "--tcp-wmem",
            "65536",
            "--roomy",
            "--lossless",
            "--reader",
            "--ipv6",
        ];
        let options = parse(&every).unwrap();
        assert_eq!(options.to_args(), every);
        assert!(Options::default().to_args().is_empty());
        let without = parse(&["--no-sndbuf"]).unwrap();
        assert_eq!(without.to_args(), ["--no-sndbuf"]);
        assert!(parse(&["--no-sndbuf", "--sndbuf", "1"]).is_err());
    }

    #[test]
    fn a_scenario_takes_its_own_options_and_no_others() {
        let article = find("article").unwrap();
        let changed = parse(&["--write-size", "100", "--ipv6"]).unwrap();
        let params = changed.resolve(article).unwrap();
        assert_eq!((params.write_size, params.ipv6), (100, true));
        assert_eq!(params.sndbuf, article.defaults.sndbuf);
        let tuned = parse(&["--no-sndbuf"]).unwrap();
        assert_eq!(tuned.resolve(article).unwrap().sndbuf, None);
        assert!(params.interval < article.defaults.interval);
        let foreign = parse(&["--processes", "2"]).unwrap();
        assert!(
            foreign
                .resolve(article)
                .unwrap_err()
                .to_string()
                .contains("--processes")
        );
    }

    #[test]
    fn what_scenarios_accept_are_options_that_exist() {
        let names: Vec<_> = parse(&[
            "--interval=1s",
            "--sndbuf=1",
            "--rcvbuf=1",
            "--write-size=1",
            "--bytes=1",
            "--mtu=1500",
            "--gso-max-segs=1",
            "--gso-max-size=65536",
            "--connections=1",
            "--processes=1",
            "--nodelay",
            "--notsent-lowat=1",
            "--eor",
            "--gso-off",
            "--copy",
            "--tcp-wmem=65536",
            "--roomy",
            "--lossless",
            "--reader",
        ])
        .unwrap()
        .given()
        .into_iter()
        .map(|(name, _)| name)
        .chain(["no-sndbuf"])
        .collect();
        for scenario in list() {
            for accepted in scenario.accepts {
                assert!(names.contains(accepted), "{}: {accepted}", scenario.name);
            }
        }
    }
}
