//! One socket of a recording, as people name it, the same in every command.

use std::{fmt, net::SocketAddr, str::FromStr};

use anyhow::{Result, bail};
use skmem_common::record::Ident;

use crate::{explain::verdict::Socket, render};

/// Sockets that an error message lists.
const SHOWN: usize = 8;

/// How a socket is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketName {
    /// Its cookie (decimal, or `0x…` as `ss -e` has it), or skmem's number.
    Number(u64),
    /// A port at either end: `:5001`.
    Port(u16),
    /// One of its ends: `10.0.0.1:5001`, `[fd00::1]:5001`.
    End(SocketAddr),
    /// Both: `10.0.0.1:40000>10.0.0.2:5001`.
    Ends(SocketAddr, SocketAddr),
}

impl FromStr for SocketName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        };
        if let Ok(number) = number {
            return Ok(Self::Number(number));
        }
        let named = match (text.strip_prefix(':'), text.split_once('>')) {
            (Some(port), _) => port.parse().ok().map(Self::Port),
            (None, Some((src, dst))) => {
                let ends = src.trim().parse().ok().zip(dst.trim().parse().ok());
                ends.map(|(src, dst)| Self::Ends(src, dst))
            }
            (None, None) => text.parse().ok().map(Self::End),
        };
        named.ok_or_else(|| {
            format!(
                "{text:?} names no socket: give a number (its cookie), :PORT, ADDR:PORT or \
                 SRC:PORT>DST:PORT, IPv6 addresses in brackets"
            )
        })
    }
}

impl fmt::Display for SocketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Port(port) => write!(f, ":{port}"),
            Self::End(end) => write!(f, "{end}"),
            Self::Ends(src, dst) => write!(f, "{src}>{dst}"),
        }
    }
}

impl SocketName {
    /// Whether it names this socket.
    #[must_use]
    pub fn is(&self, known: &SocketFacts) -> bool {
        let by_ends = || known.ends.is_some_and(|(a, b)| self.is_between(a, b));
        *self == Self::Number(known.id) || by_ends()
    }

    /// Whether it names the socket with these ends; a number does not.
    #[must_use]
    pub fn is_between(&self, a: SocketAddr, b: SocketAddr) -> bool {
        match self {
            Self::Number(_) => false,
            Self::Port(port) => a.port() == *port || b.port() == *port,
            Self::End(end) => a == *end || b == *end,
            Self::Ends(src, dst) => a == *src && b == *dst,
        }
    }
}

/// What is known of a socket.
#[derive(Debug, Clone)]
pub struct SocketFacts {
    /// Its cookie, or skmem's number.
    pub id: u64,
    ends: Option<(SocketAddr, SocketAddr)>,
    /// For lists: its ends and who uses it.
    line: String,
}

impl SocketFacts {
    /// What a recording says of a socket.
    #[must_use]
    pub fn of_ident(id: u64, ident: Option<&Ident>) -> Self {
        let text = ident.map(render::ends).unwrap_or_default();
        let ends = text.split_once('>');
        Self {
            id,
            ends: ends.and_then(|(a, b)| a.parse().ok().zip(b.parse().ok())),
            line: ident.map(render::whose).unwrap_or_default(),
        }
    }

    /// What a verdict says of one.
    #[must_use]
    pub fn of_socket(socket: &Socket) -> Self {
        let end = |address: &str, port| Some(SocketAddr::new(address.parse().ok()?, port));
        Self {
            id: socket.id,
            ends: end(&socket.src, socket.sport).zip(end(&socket.dst, socket.dport)),
            line: render::whose_socket(socket),
        }
    }
}

/// Places of those that `wanted` names, of all where nobody is named.
///
/// # Errors
/// Where there is none; `place` says where that was.
pub fn some(wanted: Option<&SocketName>, all: &[SocketFacts], place: &str) -> Result<Vec<usize>> {
    let places = (0..all.len()).filter(|n| wanted.is_none_or(|w| w.is(&all[*n])));
    let places: Vec<usize> = places.collect();
    match (wanted, places.is_empty()) {
        (_, false) => Ok(places),
        (None, true) => bail!("{place} holds no socket"),
        (Some(wanted), true) => {
            bail!(
                "no socket {wanted} in {place}; it holds:\n{}",
                list(all.iter())
            )
        }
    }
}

/// The place of the one that `wanted` names, or of the only one.
///
/// # Errors
/// Where there is none, or more than one.
pub fn one(wanted: Option<&SocketName>, all: &[SocketFacts], place: &str) -> Result<usize> {
    let found = some(wanted, all, place)?;
    let names = |found: &[usize]| {
        list(
            found
                .iter()
                .map(|n| &all[*n])
                .collect::<Vec<_>>()
                .into_iter(),
        )
    };
    match (&found[..], wanted) {
        ([only], _) => Ok(*only),
        (many, Some(wanted)) => bail!(
            "{} sockets match {wanted}; name one of them by its number:\n{}",
            many.len(),
            names(many)
        ),
        (many, None) => bail!(
            "{place} holds {} sockets; --socket says which:\n{}",
            many.len(),
            names(many)
        ),
    }
}

fn list<'a>(sockets: impl ExactSizeIterator<Item = &'a SocketFacts>) -> String {
    let more = sockets.len().saturating_sub(SHOWN);
    let lines = sockets
        .take(SHOWN)
        .map(|s| format!("  {:<12} {}", s.id, s.line));
    let mut lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    if more != 0 {
        lines.push(format!("  and {more} more"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::socket::{article, ident};

    #[test]
    fn a_socket_is_named_in_the_same_ways_wherever_it_comes_from() {
        let known = [
            SocketFacts::of_ident(17, Some(&ident())),
            SocketFacts::of_socket(&article(896).verdict().socket),
        ];
        for known in &known {
            for name in [
                "17",
                "0x11",
                ":5001",
                ":40000",
                "10.0.0.2:5001",
                "10.0.0.1:40000",
                "10.0.0.1:40000>10.0.0.2:5001",
            ] {
                assert!(name.parse::<SocketName>().unwrap().is(known), "{name}");
            }
            for name in [
                "18",
                ":5002",
                "10.0.0.2:40000",
                "10.0.0.2:5001>10.0.0.1:40000",
            ] {
                assert!(!name.parse::<SocketName>().unwrap().is(known), "{name}");
            }
        }
        assert_eq!(known[0].line, known[1].line);
        assert!("[fd00::1]:5001".parse::<SocketName>().is_ok());
        for bad in [
            "",
            ":",
            ":x",
            "fd00::1:5001x",
            "a>b",
            "10.0.0.1",
            "-1",
            ":70000",
        ] {
            assert!(bad.parse::<SocketName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_is_found_or_all_are_listed() {
        let known = |id| SocketFacts {
            id,
            ..SocketFacts::of_ident(17, Some(&ident()))
        };
        let two = [known(17), known(18)];
        assert_eq!(
            one(Some(&SocketName::Number(18)), &two, "x.skm").unwrap(),
            1
        );
        assert_eq!(one(None, &two[..1], "x.skm").unwrap(), 0);
        let says = |e: Result<usize>| e.unwrap_err().to_string();
        let many = says(one(Some(&SocketName::Port(5001)), &two, "x.skm"));
        assert!(many.starts_with("2 sockets match :5001; name one of them by its number:\n  17 "));
        assert!(says(one(None, &two, "x.skm")).starts_with("x.skm holds 2 sockets; --socket"));
        assert!(
            says(one(Some(&SocketName::Port(1)), &two, "x.skm"))
                .starts_with("no socket :1 in x.skm; it holds:")
        );
        assert_eq!(says(one(None, &[], "x.skm")), "x.skm holds no socket");
        assert_eq!(
            some(Some(&SocketName::Port(5001)), &two, "x.skm").unwrap(),
            [0, 1]
        );
    }
}
