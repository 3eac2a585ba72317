//! Which sockets are shown.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{
    cli::{
        filters::{Net, Process, Who, comm, netns},
        offers,
    },
    diag::{TcpState, account_sources::cgroup2_root},
    snapshot::filter::Filter,
};

/// Filters; several must all hold.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Which {
    /// Only sockets held by this process (may be given several times): its id, the name of its command or program
    /// (those that run now), or a systemd unit such as nginx.service
    #[arg(short, long, value_name = "PID|NAME", add = offers::processes(), help_heading = "Which sockets")]
    pid: Vec<Process>,
    /// Only sockets held by processes with this command name (may be given several times)
    #[arg(long, value_name = "NAME", value_parser = comm, add = offers::commands(), help_heading = "Which sockets")]
    comm: Vec<String>,
    /// Only sockets made in this cgroup (v2) or below it: a path, absolute or below /sys/fs/cgroup, its last
    /// component, or a container's id
    #[arg(long, value_name = "PATH", help_heading = "Which sockets")]
    cgroup: Option<PathBuf>,
    /// Only sockets of this network namespace: a name (ip netns), a pid, an inode number or a path
    /// (with --all-netns, unless it is this one)
    #[arg(long, value_name = "NETNS", add = offers::namespaces(), help_heading = "Which sockets")]
    netns: Option<String>,
    /// Only this local port
    #[arg(long, value_name = "PORT", help_heading = "Which sockets")]
    sport: Option<u16>,
    /// Only this remote port
    #[arg(long, value_name = "PORT", help_heading = "Which sockets")]
    dport: Option<u16>,
    /// Only this local address or prefix, e.g. 10.0.0.0/8 or fd00::/8
    #[arg(long, value_name = "ADDR[/LEN]", help_heading = "Which sockets")]
    src: Option<Net>,
    /// Only this remote address or prefix
    #[arg(long, value_name = "ADDR[/LEN]", help_heading = "Which sockets")]
    dst: Option<Net>,
    /// Only sockets in this state, as ss calls it: established, listen, close-wait, … (several: a,b)
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state, help_heading = "Which sockets")]
    state: Vec<TcpState>,
}

impl Which {
    /// As the model has it.
    pub(super) fn filter(&self) -> Result<Filter> {
        let who = Who::of(&self.pid, self.cgroup.as_deref())?;
        Ok(Filter {
            pids: who.pids,
            comms: self.comm.clone(),
            cgroup: who.cgroup.as_deref().map(cgroup).transpose()?,
            netns: self.netns.as_deref().map(netns).transpose()?.map(u64::from),
            sport: self.sport,
            dport: self.dport,
            src: self.src.map(Net::prefix),
            dst: self.dst.map(Net::prefix),
            states: self.state.clone(),
        })
    }
}

/// A cgroup's path below the root of the hierarchy.
///
/// # Errors
/// Where cgroup v2 is not mounted.
pub(in crate::cli) fn cgroup(full: &Path) -> Result<String> {
    let root = cgroup2_root().context("--cgroup: cgroup v2 is not mounted")?;
    let below = full.strip_prefix(&root).unwrap_or(full);
    Ok(format!("/{}", below.display()))
}

/// A state, as `ss` and others write it.
fn state(text: &str) -> Result<TcpState, String> {
    let plain = text.to_lowercase().replace(['-', '_'], "");
    Ok(match plain.as_str() {
        "established" | "estab" => TcpState::Established,
        "synsent" => TcpState::SynSent,
        "synrecv" => TcpState::SynRecv,
        "finwait1" => TcpState::FinWait1,
        "finwait2" => TcpState::FinWait2,
        "close" | "closed" | "unconn" => TcpState::Close,
        "closewait" => TcpState::CloseWait,
        "lastack" => TcpState::LastAck,
        "listen" | "listening" => TcpState::Listen,
        "closing" => TcpState::Closing,
        "timewait" => {
            return Err(
                "TIME-WAIT sockets have no buffers: they are only counted, in the account".into(),
            );
        }
        _ => {
            return Err(format!(
                "{text:?} is no state: established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, close-wait, \
                 last-ack, closing, closed, listen"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_known_by_all_their_names() {
        for name in ["ESTAB", "established", "Established"] {
            assert_eq!(state(name), Ok(TcpState::Established));
        }
        assert_eq!(state("fin_wait1"), state("FIN-WAIT-1"));
        assert!(state("time-wait").unwrap_err().contains("counted"));
        assert!(state("").is_err());
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        let none = Which {
            pid: vec![Process::Pid(u32::MAX)],
            ..Which::default()
        };
        assert!(
            none.filter()
                .unwrap_err()
                .to_string()
                .contains("no process")
        );
        assert!(comm("a-name-that-is-too-long").is_err() && comm("").is_err());
        let path = Which {
            cgroup: Some("/no/such/cgroup".into()),
            ..Which::default()
        };
        assert!(path.filter().is_err());
    }
}
