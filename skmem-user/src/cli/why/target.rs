//! What `skmem why` is asked about: a process, a port or an address.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Result, bail};

use crate::{
    cli::{
        socket_name::SocketName,
        sockets::{Process, Who, words},
    },
    selection::Selection,
    snapshot::Row,
};

/// Whom a word may mean.
#[derive(Debug)]
pub(super) enum Target {
    /// A number: the process with that id where it has sockets, else the port.
    Number(u32),
    /// Processes by name, or a unit.
    Named(String, Box<Selection>),
    /// Ports and addresses.
    Socket(SocketName),
    /// An address at either end.
    Address(IpAddr),
}

/// The target, as skmem read it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ParsedTarget {
    pub text: String,
    /// It could have been taken otherwise.
    pub note: Option<String>,
}

impl ParsedTarget {
    /// The same, with options beside it.
    pub(super) fn beside(self, options: &[(String, String)]) -> Self {
        let options = words(options);
        let text = match (self.text.is_empty(), options.is_empty()) {
            (_, true) => self.text,
            (true, false) => options,
            (false, false) => format!("{} {options}", self.text),
        };
        Self { text, ..self }
    }
}

impl Target {
    /// # Errors
    /// Where there is no such process.
    pub(super) fn of(word: &str) -> Result<Self> {
        if let Ok(number) = word.parse::<u32>() {
            let port = number != 0 && u16::try_from(number).is_ok();
            if !port && !exists(number) {
                bail!("{number} is neither a process nor a port (1 to 65535)");
            }
            return Ok(Self::Number(number));
        }
        let address = word.trim_matches(['[', ']']);
        if let Ok(address) = address.parse() {
            return Ok(Self::Address(address));
        }
        if let Ok(wanted) = word.parse() {
            return Ok(Self::Socket(wanted));
        }
        if word.contains([':', '>']) {
            bail!(
                "{word:?} names no socket: give :PORT, ADDR:PORT or SRC:PORT>DST:PORT, IPv6 addresses in brackets"
            );
        }
        let who = Who::of(&[Process::Name(word.to_owned())], None)?;
        let filter = Selection {
            pids: who.pids,
            cgroup: who.cgroup,
            ..Selection::default()
        };
        Ok(Self::Named(word.to_owned(), Box::new(filter)))
    }

    /// Keeps the sockets that are meant.
    pub(super) fn choose(&self, rows: &mut Vec<Row>) -> ParsedTarget {
        let mut note = None;
        let text = match self {
            Self::Number(number) => {
                let port = u16::try_from(*number).ok();
                let has = |row: &Row| port.is_some_and(|port| has_port(row, port));
                let held = rows.iter().filter(|row| is_held(row, *number)).count();
                let on = rows.iter().filter(|row| has(row)).count();
                if held > 0 || (on == 0 && exists(*number)) {
                    if on > 0 {
                        note = Some(format!(
                            "{number} is taken as a process id; `skmem why :{number}` looks at the port"
                        ));
                    }
                    rows.retain(|row| is_held(row, *number));
                    format!("process {number}")
                } else {
                    rows.retain(has);
                    format!("port {number}")
                }
            }
            Self::Named(name, filter) => {
                rows.retain(|row| filter.holds(row));
                name.clone()
            }
            Self::Socket(wanted) => {
                rows.retain(|row| {
                    let (src, dst) = ends(row);
                    wanted.is_between(src, dst) || *wanted == SocketName::Number(row.cookie)
                });
                wanted.to_string()
            }
            Self::Address(address) => {
                rows.retain(|row| {
                    let (src, dst) = ends(row);
                    [src.ip(), dst.ip()].contains(&address.to_canonical())
                });
                address.to_string()
            }
        };
        ParsedTarget { text, note }
    }
}

fn exists(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(false)
}

fn is_held(row: &Row, pid: u32) -> bool {
    row.holders.iter().any(|holder| holder.pid == pid)
}

fn has_port(row: &Row, port: u16) -> bool {
    row.sport == port || row.dport == port
}

/// Both ends; an IPv4 address that an IPv6 socket uses counts as IPv4.
fn ends(row: &Row) -> (SocketAddr, SocketAddr) {
    let end = |ip: IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
    (end(row.src, row.sport), end(row.dst, row.dport))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diag::TcpState,
        snapshot::row::Holder,
        testing::rows::{mem, socket},
    };

    /// Sockets with these local and remote ends.
    fn rows() -> Vec<Row> {
        let ends = [
            ("10.0.0.1:5432", "10.0.0.2:40000", 7),
            ("[::ffff:10.0.0.1]:5432", "[::ffff:10.0.0.3]:40001", 8),
            ("[fd00::1]:443", "[fd00::7]:8", 9),
        ];
        let row = |(src, dst, pid): (&str, &str, u32)| {
            let mut row = Row::new(&socket(TcpState::Established, mem(0, 0, 0, 1)), 5);
            let (src, dst): (SocketAddr, SocketAddr) = (src.parse().unwrap(), dst.parse().unwrap());
            (row.src, row.sport, row.dst, row.dport) = (src.ip(), src.port(), dst.ip(), dst.port());
            row.holders = vec![Holder {
                pid,
                comm: "a".into(),
                fd: 4,
            }];
            row
        };
        ends.map(row).to_vec()
    }

    fn chosen(word: &str) -> (usize, ParsedTarget) {
        let mut rows = rows();
        let asked = Target::of(word).unwrap().choose(&mut rows);
        (rows.len(), asked)
    }

    #[test]
    fn ports_and_addresses_are_found_at_either_end() {
        for (word, n) in [
            (":5432", 2),
            ("5432", 2),
            ("10.0.0.1:5432", 2),
            ("10.0.0.3:40001", 1),
            ("10.0.0.2", 1),
            ("[fd00::7]:8", 1),
            ("fd00::1", 1),
            ("[fd00::1]", 1),
            ("10.0.0.1:5432>10.0.0.2:40000", 1),
            (":1", 0),
            ("10.9.9.9", 0),
        ] {
            assert_eq!(chosen(word).0, n, "{word}");
        }
        assert_eq!(chosen("5432").1.text, "port 5432");
    }

    #[test]
    fn a_number_is_the_process_that_has_sockets_and_else_a_port() {
        // The process of the second, and a port of the third.
        let (n, asked) = chosen("8");
        assert_eq!((n, asked.text.as_str()), (1, "process 8"));
        assert!(asked.note.unwrap().contains("skmem why :8"));
        let (n, asked) = chosen("7");
        assert_eq!((n, asked.note), (1, None));
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for (word, says) in [
            ("4294967295", "neither a process"),
            ("a:b", "names no socket"),
            ("no-such-process-here", "no process is called"),
        ] {
            let error = Target::of(word).unwrap_err().to_string();
            assert!(error.contains(says), "{word}: {error}");
        }
    }
}
