//! Fixes to try on a scenario: each is a change of the scenario's options, so that a command line
//! repeats it.

use std::str::FromStr;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Options, Params, Scenario};

/// Something to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// A smaller `gso_max_segs` on the sender's link.
    GsoMaxSegs,
    /// A smaller `gso_max_size` on the sender's link: no BIG TCP.
    GsoMaxSize,
    /// A smaller `SO_RCVBUF` at the receiver.
    Rcvbuf,
    /// `MSG_EOR` with every write.
    Eor,
    /// No GSO and TSO.
    GsoOff,
    /// Half the `SO_SNDBUF`.
    SmallerSndbuf,
    /// Twice the `SO_SNDBUF`, or one where there is none.
    Sndbuf,
    /// `TCP_NOTSENT_LOWAT` of 1 byte.
    NotsentLowat,
    /// No `SO_SNDBUF`.
    NoSndbuf,
    /// A receiver that reads.
    Reader,
    /// Sixteen times as much with each write.
    LargerWrites,
    /// No `MSG_ZEROCOPY`.
    Copy,
    /// Another third number of `tcp_wmem`.
    TcpWmem,
    /// A memory limit, of TCP or of the cgroup, that leaves room.
    Memory,
    /// A link that loses nothing.
    NoLoss,
}

/// A fix as the command line names it: `NAME` or `NAME=N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    fix: Fix,
    value: Option<u32>,
}

impl Fix {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::GsoMaxSegs,
        Self::GsoMaxSize,
        Self::Rcvbuf,
        Self::Eor,
        Self::Reader,
        Self::LargerWrites,
        Self::SmallerSndbuf,
        Self::Sndbuf,
        Self::NoSndbuf,
        Self::TcpWmem,
        Self::Copy,
        Self::Memory,
        Self::NoLoss,
        Self::NotsentLowat,
        Self::GsoOff,
    ];

    /// What it is called on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GsoMaxSegs => "gso-max-segs",
            Self::GsoMaxSize => "gso-max-size",
            Self::Rcvbuf => "rcvbuf",
            Self::Eor => "eor",
            Self::GsoOff => "gso-off",
            Self::SmallerSndbuf => "smaller-sndbuf",
            Self::Sndbuf => "sndbuf",
            Self::Copy => "copy",
            Self::TcpWmem => "tcp-wmem",
            Self::Memory => "memory",
            Self::NoLoss => "no-loss",
            Self::NotsentLowat => "notsent-lowat",
            Self::NoSndbuf => "no-sndbuf",
            Self::Reader => "reader",
            Self::LargerWrites => "larger-writes",
        }
    }

    /// What it does, in one line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Self::GsoMaxSegs => "gso_max_segs 4 (or =N) on the link: smaller skbs",
            Self::GsoMaxSize => "gso_max_size 65536 (or =BYTES) on the link: no BIG TCP",
            Self::Rcvbuf => "half the SO_RCVBUF (or =BYTES) at the receiver: a smaller window",
            Self::Eor => "MSG_EOR with every write: nothing is appended to an skb",
            Self::GsoOff => "GSO and TSO off on the link",
            Self::SmallerSndbuf => "half the SO_SNDBUF (or =BYTES)",
            Self::Sndbuf => "twice the SO_SNDBUF, 16384 where there is none (or =BYTES)",
            Self::Copy => "no MSG_ZEROCOPY: the data is copied",
            Self::TcpWmem => "65536 (or =BYTES) as the third number of net.ipv4.tcp_wmem",
            Self::Memory => "a memory limit (tcp_mem, the cgroup's memory.max) that leaves room",
            Self::NoLoss => "a link that loses nothing",
            Self::NotsentLowat => "TCP_NOTSENT_LOWAT 1 (or =BYTES) on the sender",
            Self::NoSndbuf => "no SO_SNDBUF: the kernel tunes the limit",
            Self::Reader => "the receiver reads, and the sender ends after 64 writes",
            Self::LargerWrites => "16 times as much (or =BYTES) with each write",
        }
    }

    /// Whether `NAME=N` means something.
    const fn takes_number(self) -> bool {
        matches!(
            self,
            Self::GsoMaxSegs
                | Self::GsoMaxSize
                | Self::Rcvbuf
                | Self::SmallerSndbuf
                | Self::Sndbuf
                | Self::TcpWmem
                | Self::NotsentLowat
                | Self::LargerWrites
        )
    }

    /// Those that mean something to `scenario`.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Vec<Self> {
        let options = Options::default();
        let fits = |fix: &Self| {
            let choice = Choice {
                fix: *fix,
                value: None,
            };
            choice.changed(scenario, &options).is_some()
        };
        Self::ALL.iter().copied().filter(fits).collect()
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let Some(fix) = Fix::ALL.iter().copied().find(|f| f.name() == name) else {
            let known: Vec<_> = Fix::ALL.iter().map(|f| f.name()).collect();
            return Err(format!("no such fix; there are: {}", known.join(", ")));
        };
        let value = match value {
            None => None,
            Some(_) if !fix.takes_number() => return Err(format!("{name} takes no number")),
            Some(number) => match number.parse() {
                Ok(n) if n > 0 => Some(n),
                _ => return Err(format!("{number:?} is not a number above 0")),
            },
        };
        Ok(Self { fix, value })
    }
}

impl Choice {
    /// Which fix.
    #[must_use]
    pub fn fix(self) -> Fix {
        self.fix
    }

    /// `options` with this fix.
    ///
    /// # Errors
    /// Where it means nothing to the scenario, or changes nothing: the message names those that do.
    pub fn apply(self, scenario: &Scenario, options: &Options) -> Result<Options> {
        options.resolve(scenario)?;
        if let Some(fixed) = self.changed(scenario, options) {
            return Ok(fixed);
        }
        let known: Vec<_> = Fix::of(scenario).into_iter().map(Fix::name).collect();
        if known.is_empty() {
            bail!("no fix can be tried on the case {}", scenario.name);
        }
        bail!(
            "the fix {} changes nothing in the case {}; it takes: {}",
            self.fix.name(),
            scenario.name,
            known.join(", ")
        )
    }

    /// `options` with this fix, where the scenario takes it and is another one then.
    fn changed(self, scenario: &Scenario, options: &Options) -> Option<Options> {
        let before = options.resolve(scenario).ok()?;
        let fixed = self.change(options, &before);
        let after = fixed.resolve(scenario).ok()?;
        (after != before).then_some(fixed)
    }

    /// What it does in numbers, to options that it was applied to.
    #[must_use]
    pub fn does(self, fixed: &Options) -> String {
        let number = |n: Option<u32>| n.unwrap_or(0);
        match self.fix {
            Fix::GsoMaxSegs => format!("gso_max_segs {} on the link", number(fixed.gso_max_segs)),
            Fix::GsoMaxSize => format!("gso_max_size {} on the link", number(fixed.gso_max_size)),
            Fix::Rcvbuf => format!("SO_RCVBUF {} at the receiver", number(fixed.rcvbuf)),
            Fix::SmallerSndbuf | Fix::Sndbuf => format!("SO_SNDBUF {}", number(fixed.sndbuf)),
            Fix::NotsentLowat => format!("TCP_NOTSENT_LOWAT {}", number(fixed.notsent_lowat)),
            Fix::LargerWrites => format!("{} bytes with each write", number(fixed.write_size)),
            Fix::TcpWmem => format!("{} as tcp_wmem[2]", number(fixed.tcp_wmem)),
            Fix::Eor
            | Fix::GsoOff
            | Fix::NoSndbuf
            | Fix::Reader
            | Fix::Copy
            | Fix::Memory
            | Fix::NoLoss => self.fix.summary().to_owned(),
        }
    }

    fn change(self, options: &Options, now: &Params) -> Options {
        let number = |default: u32| Some(self.value.unwrap_or(default));
        let mut fixed = options.clone();
        match self.fix {
            Fix::GsoMaxSegs => fixed.gso_max_segs = number(4),
            Fix::GsoMaxSize => fixed.gso_max_size = number(65_536),
            Fix::Rcvbuf => fixed.rcvbuf = number(now.rcvbuf.map_or(29_200, |bytes| bytes / 2)),
            Fix::Eor => fixed.eor = true,
            Fix::GsoOff => fixed.gso_off = true,
            // Without one there is nothing to make smaller.
            Fix::SmallerSndbuf => {
                fixed.sndbuf = now.sndbuf.and_then(|bytes| number((bytes / 2).max(1)));
            }
            Fix::Sndbuf => {
                let twice = now.sndbuf.map_or(16 << 10, |bytes| bytes.saturating_mul(2));
                fixed.sndbuf = number(twice);
                fixed.no_sndbuf = false;
            }
            Fix::Copy => fixed.copy = true,
            Fix::TcpWmem => fixed.tcp_wmem = number(65_536),
            Fix::Memory => fixed.roomy = true,
            Fix::NoLoss => fixed.lossless = true,
            Fix::NotsentLowat => fixed.notsent_lowat = number(1),
            Fix::NoSndbuf => {
                fixed.sndbuf = None;
                fixed.no_sndbuf = true;
            }
            Fix::Reader => fixed.reader = true,
            Fix::LargerWrites => {
                fixed.write_size = number(now.write_size.saturating_mul(16).min(64 << 20));
            }
        }
        fixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{find, list};

    fn choice(text: &str) -> Choice {
        text.parse().unwrap()
    }

    #[test]
    fn a_fix_is_a_change_of_options_that_can_be_repeated() {
        let article = find("article").unwrap();
        let args = |text: &str| {
            let fixed = choice(text).apply(article, &Options::default()).unwrap();
            let args = fixed.to_args().into_iter();
            args.map(|a| a.into_string().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(args("gso-max-segs"), "--gso-max-segs 4");
        assert_eq!(args("gso-max-segs=2"), "--gso-max-segs 2");
        assert_eq!(args("rcvbuf"), "--rcvbuf 14600");
        assert_eq!(args("smaller-sndbuf"), "--sndbuf 2048");
        assert_eq!(args("no-sndbuf"), "--no-sndbuf");
        assert_eq!(args("notsent-lowat"), "--notsent-lowat 1");
        assert_eq!(args("larger-writes"), "--write-size 16384");
        assert_eq!(args("reader"), "--reader");
    }

    #[test]
    fn what_a_fix_does_is_told_in_numbers() {
        let article = find("article").unwrap();
        let does = |text: &str| {
            let fixed = choice(text).apply(article, &Options::default()).unwrap();
            choice(text).does(&fixed)
        };
        assert_eq!(does("rcvbuf"), "SO_RCVBUF 14600 at the receiver");
        assert_eq!(does("sndbuf=20000"), "SO_SNDBUF 20000");
        assert!(does("eor").starts_with("MSG_EOR"));
    }

    #[test]
    fn a_foreign_fix_is_refused_with_those_that_fit() {
        let refuse = |name: &str, fix: &str| {
            let scenario = find(name).unwrap();
            let refused = choice(fix).apply(scenario, &Options::default());
            refused.unwrap_err().to_string()
        };
        let text = refuse("sendfile", "eor");
        assert!(
            text.contains("gso-max-segs") && !text.contains("eor,"),
            "{text}"
        );
        // It is what the case does already.
        assert!(refuse("eor", "eor").contains("changes nothing"));
        assert!(refuse("gso-off", "gso-off").contains("changes nothing"));
        // There is no SO_SNDBUF to make smaller.
        assert!(refuse("autotuned", "smaller-sndbuf").contains("changes nothing"));
        assert!(refuse("autotuned", "no-sndbuf").contains("changes nothing"));
        assert!(refuse("storm", "reader").contains("it takes"));
    }

    #[test]
    fn names_and_numbers_are_checked() {
        assert!(
            "gso"
                .parse::<Choice>()
                .unwrap_err()
                .contains("gso-max-segs")
        );
        for bad in ["eor=1", "rcvbuf=", "rcvbuf=-1", "gso-max-segs=0", ""] {
            assert!(bad.parse::<Choice>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_case_of_the_first_command_takes_nearly_all_of_them() {
        let article = Fix::of(find("article").unwrap());
        let named = Fix::ALL.iter().filter(|f| !article.contains(f));
        assert_eq!(
            named.collect::<Vec<_>>(),
            [
                &Fix::GsoMaxSize,
                &Fix::TcpWmem,
                &Fix::Copy,
                &Fix::Memory,
                &Fix::NoLoss
            ]
        );
        for scenario in list() {
            for fix in Fix::of(scenario) {
                assert!(!fix.summary().is_empty());
            }
        }
    }
}
