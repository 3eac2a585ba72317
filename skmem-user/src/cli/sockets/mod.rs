//! Which sockets: the options that all commands have which choose some, and what they mean on this
//! machine, in a recording and in a paste.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow, bail, ensure};
use clap::Args;
pub use owner_name::{Process, Who};

use super::{Usage, offers};
use crate::{
    diag::cgroups,
    selection::{Cgroup, Net, Netns, Port, Selection},
};

mod owner_name;
mod state;

pub use state::StateArgs;

/// Bytes of a command name that the kernel keeps.
const COMM: usize = 15;

/// Inode numbers of namespaces lie far above any process id: from `PROC_DYNAMIC_FIRST` (0xf0000000)
/// on, and those of the first namespaces just below it (from 6.18 on, that of the first network
/// namespace is `NET_NS_INIT_INO`, 0xeffffff9).
const FIRST_INODE: u32 = 0xefff_ff00;

/// Which sockets: several must all hold.
#[derive(Debug, Clone, Default, Args)]
pub struct SocketArgs {
    /// Only sockets used by this process (may be given several times): its id, the name of its
    /// command or program, or a systemd unit such as nginx.service
    #[arg(short, long, value_name = "PID|NAME", add = offers::processes(), help_heading = "Which sockets")]
    pub pid: Vec<Process>,
    /// Only sockets used by tasks with this command name, 15 characters at most (may be given
    /// several times)
    #[arg(long, value_name = "NAME", value_parser = comm, add = offers::commands(), help_heading = "Which sockets")]
    pub comm: Vec<String>,
    /// Only sockets used in this cgroup (v2) or below it: a path, absolute or below the root of
    /// cgroup v2, its last component, or a container's id
    #[arg(long, value_name = "PATH", help_heading = "Which sockets")]
    pub cgroup: Option<PathBuf>,
    /// Only sockets of this network namespace: a name (ip netns), an inode number, or on this
    /// machine a pid or a path
    #[arg(long, value_name = "NETNS", add = offers::namespaces(), help_heading = "Which sockets")]
    pub netns: Option<String>,
    /// Only this local port: a number, or a service such as https
    #[arg(long, value_name = "PORT", help_heading = "Which sockets")]
    pub sport: Option<Port>,
    /// Only this remote port
    #[arg(long, value_name = "PORT", help_heading = "Which sockets")]
    pub dport: Option<Port>,
    /// Only this local address or prefix, e.g. 10.0.0.0/8 or fd00::/8
    #[arg(long, value_name = "ADDR[/LEN]", help_heading = "Which sockets")]
    pub src: Option<Net>,
    /// Only this remote address or prefix
    #[arg(long, value_name = "ADDR[/LEN]", help_heading = "Which sockets")]
    pub dst: Option<Net>,
}

/// Which sockets of this machine.
#[derive(Debug, Clone, Default, Args)]
pub struct LiveArgs {
    #[command(flatten)]
    pub sockets: SocketArgs,
    /// Where cgroup v2 is mounted [default: as /proc/self/mountinfo says]
    #[arg(long, value_name = "DIR", help_heading = "Which sockets")]
    pub cgroup_root: Option<PathBuf>,
}

impl LiveArgs {
    /// What is meant on this machine now.
    ///
    /// # Errors
    /// Where something named does not exist: wrong usage.
    pub fn selection(&self) -> Result<Selection> {
        self.looked_up().map_err(|e| Usage(e).into())
    }

    fn looked_up(&self) -> Result<Selection> {
        if let Some(dir) = &self.cgroup_root {
            cgroups::use_root(dir).map_err(|e| anyhow!("--cgroup-root {}: {e}", dir.display()))?;
        }
        let args = &self.sockets;
        let who = Who::of(&args.pid, args.cgroup.as_deref())?;
        Ok(Selection {
            pids: who.pids,
            names: Vec::new(),
            comms: args.comm.clone(),
            cgroup: who.cgroup,
            netns: args.netns.as_deref().map(netns).transpose()?,
            sport: numbered("--sport", args.sport.clone())?,
            dport: numbered("--dport", args.dport.clone())?,
            src: args.src,
            dst: args.dst,
            states: Vec::new(),
        })
    }
}

impl SocketArgs {
    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named().is_empty()
    }

    /// What was asked for, by option.
    #[must_use]
    pub fn named(&self) -> Vec<(String, String)> {
        let mut named = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            named.extend(value.map(|v| (name.to_owned(), v)));
        };
        for pid in &self.pid {
            add("pid", Some(pid.to_string()));
        }
        for comm in &self.comm {
            add("comm", Some(comm.clone()));
        }
        let cgroup = self.cgroup.as_ref();
        add("cgroup", cgroup.map(|path| path.display().to_string()));
        add("netns", self.netns.clone());
        add("sport", self.sport.as_ref().map(ToString::to_string));
        add("dport", self.dport.as_ref().map(ToString::to_string));
        add("src", self.src.map(|net| net.to_string()));
        add("dst", self.dst.map(|net| net.to_string()));
        named
    }

    /// What is meant in a recording: processes by the names that it holds, nothing of this machine.
    ///
    /// # Errors
    /// Where a recording cannot hold what was asked for: wrong usage.
    pub fn of_recording(&self) -> Result<Selection> {
        let elsewhere = || -> Result<Selection> {
            let mut selection = self.elsewhere()?;
            selection.sport = numbered("--sport", selection.sport)?;
            selection.dport = numbered("--dport", selection.dport)?;
            selection.netns = self.netns.as_deref().map(recorded_netns).transpose()?;
            Ok(selection)
        };
        elsewhere().map_err(|e| Usage(e).into())
    }

    /// What is meant in a paste, as it is printed there.
    ///
    /// # Errors
    /// Where a paste cannot hold what was asked for: wrong usage.
    pub fn of_paste(&self) -> Result<Selection> {
        if self.netns.is_some() {
            let text =
                "--netns: what ss prints does not say in which network namespace a socket is";
            return Err(Usage(anyhow!(text)).into());
        }
        self.elsewhere().map_err(|e| Usage(e).into())
    }

    fn elsewhere(&self) -> Result<Selection> {
        let mut selection = Selection {
            comms: self.comm.clone(),
            sport: self.sport.clone(),
            dport: self.dport.clone(),
            src: self.src,
            dst: self.dst,
            ..Selection::default()
        };
        let cgroup = self.cgroup.as_deref().and_then(Path::to_str);
        selection.cgroup = cgroup.map(|path| Cgroup::named(below_usual_root(path)));
        for process in &self.pid {
            match process {
                Process::Pid(pid) => selection.pids.push(*pid),
                Process::Name(name) if owner_name::is_unit(name) => {
                    ensure!(
                        self.pid.len() == 1 && cgroup.is_none(),
                        owner_name::one_unit(name)
                    );
                    selection.cgroup = Some(Cgroup::named(name));
                }
                Process::Name(name) => selection.names.push(cut(name).to_owned()),
            }
        }
        Ok(selection)
    }
}

/// Options and values as they are written on a command line.
#[must_use]
pub fn words(named: &[(String, String)]) -> String {
    let words = named
        .iter()
        .map(|(name, value)| format!("--{name} {value}"));
    words.collect::<Vec<_>>().join(" ")
}

/// A path of another machine's cgroup below the root: as `/proc/PID/cgroup` and `ss` print it.
fn below_usual_root(path: &str) -> &str {
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let mut below = roots.iter().filter_map(|root| path.strip_prefix(root));
    match below.find(|rest| rest.is_empty() || rest.starts_with('/')) {
        Some("") => "/",
        Some(rest) => rest,
        None => path,
    }
}

/// What the kernel keeps of a command name.
fn cut(name: &str) -> &str {
    let end = (0..=COMM.min(name.len()))
        .rev()
        .find(|n| name.is_char_boundary(*n));
    &name[..end.unwrap_or(0)]
}

fn numbered(option: &str, port: Option<Port>) -> Result<Option<Port>> {
    let port = port.map(Port::looked_up);
    if let Some(Port::Service(name)) = &port {
        bail!("{option} {name}: no such TCP service in /etc/services; give the port's number");
    }
    Ok(port)
}

/// A command name, as the kernel keeps it.
fn comm(text: &str) -> Result<String, String> {
    match text.len() {
        1..=COMM => Ok(text.to_owned()),
        _ => Err(
            "a command name has 1 to 15 bytes (the kernel cuts longer ones; see /proc/PID/comm)"
                .into(),
        ),
    }
}

/// A network namespace of this machine.
fn netns(text: &str) -> Result<Netns> {
    let inode = |path: &Path| {
        let meta = fs::metadata(path).ok()?;
        u32::try_from(meta.ino()).ok().map(Netns::Inode)
    };
    if let Ok(number) = text.parse::<u32>() {
        if let Some(found) = inode(Path::new(&format!("/proc/{number}/ns/net"))) {
            return Ok(found);
        }
        ensure!(
            number >= FIRST_INODE,
            "--netns {number}: neither a process nor the inode of a namespace (see `lsns -t net`)"
        );
        return Ok(Netns::Inode(number));
    }
    let paths = [PathBuf::from(text), PathBuf::from("/run/netns").join(text)];
    let found = paths.iter().find_map(|path| inode(path));
    found.ok_or_else(|| {
        anyhow!("--netns {text:?}: no such namespace, process or file (see `ip netns` and `lsns -t net`)")
    })
}

/// One of another machine.
fn recorded_netns(text: &str) -> Result<Netns> {
    match text.parse::<u32>() {
        Ok(number) if number < FIRST_INODE => bail!(
            "--netns {number}: in a recording, a network namespace has a name (ip netns) or an inode number, such as \
             4026531840"
        ),
        Ok(number) => Ok(Netns::Inode(number)),
        Err(_) => Ok(Netns::Name(
            text.trim_start_matches("/run/netns/").to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests;
