//! Who holds which socket, by the walk of the kernel's and from `/proc`: the same, down to the
//! descriptor, and what only the walk sees.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::IoSlice,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::{
            fs::MetadataExt as _,
            net::{UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

use libtest_mimic::{Failed, Trial};
use rustix::{
    fs::{Mode, OFlags, open},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::{Resource, getrlimit, setrlimit},
    thread::{UnshareFlags, unshare_unsafe},
};
use serde_json::Value;
use skmem::{
    diag::owners::{Descriptor, Owners, command_name, processes},
    kernel::descriptors,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{LOOKS, json, nothing_is_left, rows};
use crate::{
    case::SKMEM,
    check::Check,
    rights::{becomes_somebody, needed},
};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("snapshot::descriptors-are-those-of-proc", compared),
        Trial::test(
            "snapshot::holders-have-the-numbers-that-proc-shows",
            numbers,
        ),
    ]
}

/// More files than the walk is used from, and more than one read of it has room for.
const FILES: usize = 4000;

/// Descriptors of sockets, by inode.
type Held = BTreeSet<(u32, Descriptor)>;

fn compared() -> Result<(), Failed> {
    let mut check = Check::default();
    nothing_is_left()?;
    let crowd = Crowd::gather()?;
    let (walked, own, all) = alike()?;
    let kinds = |owners: &Owners| {
        let held = owners.held_namespaces().keys().copied();
        held.collect::<BTreeSet<u64>>()
    };
    let (ours, read) = (set(&walked), set(&own));
    let differs = |a: &Held, b: &Held| {
        let few: Vec<(u32, Descriptor)> = a.difference(b).copied().take(5).collect();
        few
    };
    check.equal("not walked", differs(&all, &ours), Vec::new());
    check.equal("walked alone", differs(&ours, &all), Vec::new());
    check.equal("read, not walked", differs(&read, &ours), Vec::new());
    check.equal("reported twice", walked.all().len(), ours.len());
    check.equal("network namespaces", kinds(&walked), kinds(&own));
    for (inode, path) in walked.held_namespaces() {
        let leads = fs::metadata(path).is_ok_and(|meta| meta.ino() == *inode);
        check.that(leads, || format!("{} is not {inode}", path.display()));
    }
    crowd.is_there(&mut check, &walked);
    // The thread's socket is what `/proc/PID/fd` does not show.
    let apart = (crowd.apart.inode, crowd.apart.held);
    check.that(!read.contains(&apart), || "the thread shares files".into());
    check.that(ours.contains(&apart), || {
        format!("{apart:?} of a thread is not found")
    });
    // The shipped program takes the walk.
    let snapshot = json(&["snapshot", "--json"])?;
    let row = rows(&snapshot)
        .iter()
        .find(|row| row["inode"] == crowd.apart.inode);
    let holders = row.map(holders).unwrap_or_default();
    check.equal(
        "holders of the thread's socket",
        holders,
        vec![named(crowd.apart.held)],
    );
    crowd.leave()?;
    check.done()
}

/// A walk, what `/proc` says of processes, and what it says of all their threads, at a moment when
/// nothing moves.
fn alike() -> Result<(Owners, Owners, Held), Failed> {
    let mut before = by_threads()?;
    for _ in 0..LOOKS {
        let (walked, read) = (descriptors::walk()?, Owners::read()?);
        let after = by_threads()?;
        if before == after {
            return Ok((walked, read, after));
        }
        before = after;
    }
    Err("descriptors come and go".into())
}

fn set(owners: &Owners) -> Held {
    owners.all().iter().copied().collect()
}

/// All descriptors of sockets of all threads, as those of their processes.
fn by_threads() -> Result<Held, Failed> {
    let mut all = BTreeSet::new();
    for pid in processes()? {
        for task in fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
        {
            for entry in fs::read_dir(task?.path().join("fd")).into_iter().flatten() {
                let entry = entry?;
                let Ok(link) = fs::read_link(entry.path()) else {
                    continue;
                };
                let link = link.to_string_lossy();
                let inode = link.strip_prefix("socket:[");
                if let Some(inode) = inode.and_then(|rest| rest.strip_suffix(']')) {
                    let fd = entry.file_name().to_string_lossy().parse()?;
                    let inode = inode.parse::<u64>()? as u32;
                    all.insert((inode, Descriptor { pid, fd }));
                }
            }
        }
    }
    Ok(all)
}

fn inode(file: &impl std::os::fd::AsFd) -> Result<u32, Failed> {
    Ok(File::from(file.as_fd().try_clone_to_owned()?)
        .metadata()?
        .ino() as u32)
}

/// As `--json` has it.
fn named(held: Descriptor) -> (u32, String, i32) {
    (held.pid, command_name(held.pid).into(), held.fd)
}

fn holders(row: &Value) -> Vec<(u32, String, i32)> {
    let all = row["holders"].as_array().map_or(&[][..], Vec::as_slice);
    let number = |value: &Value| value.as_i64().unwrap_or(-1);
    let one = |one: &Value| {
        let comm = one["comm"].as_str().unwrap_or_default().to_owned();
        (number(&one["pid"]) as u32, comm, number(&one["fd"]) as i32)
    };
    all.iter().map(one).collect()
}

/// Sockets of all kinds, held in all ways.
struct Crowd {
    /// Any number of them, of which the first is held by a child, too.
    many: Vec<OwnedFd>,
    child: Child,
    /// In a message that nobody has received: no process holds it.
    in_flight: u32,
    apart: Apart,
    limit: rustix::process::Rlimit,
    _others: (UnixStream, UnixStream, OwnedFd, File, File),
}

impl Crowd {
    fn gather() -> Result<Self, Failed> {
        let limit = getrlimit(Resource::Nofile);
        let mut more = limit;
        more.current = Some(2 * FILES as u64);
        more.maximum = more.maximum.max(more.current);
        setrlimit(Resource::Nofile, more)?;
        let mut many: Vec<OwnedFd> = Vec::new();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address)?;
            let client = TcpStream::connect(listener.local_addr()?)?;
            many.push(client.try_clone()?.into());
            many.push(listener.accept()?.0.into());
            many.extend([OwnedFd::from(client), listener.into()]);
        }
        let mptcp = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP));
        many.extend(mptcp.into_iter().map(OwnedFd::from));
        while many.len() < FILES {
            many.push(UdpSocket::bind("127.0.0.1:0")?.into());
        }
        let child = Command::new("sleep")
            .arg("1000")
            .stdin(many[0].try_clone()?)
            .stdout(many[0].try_clone()?)
            .spawn()?;
        let (one, other) = UnixStream::pair()?;
        let in_flight = {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let files = [socket.as_fd()];
            let mut room = [std::mem::MaybeUninit::uninit(); 64];
            let mut ancillary = SendAncillaryBuffer::new(&mut room);
            ancillary.push(SendAncillaryMessage::ScmRights(&files));
            let flags = SendFlags::empty();
            sendmsg(&one, &[IoSlice::new(b".")], &mut ancillary, flags)?;
            inode(&socket)?
        };
        // Only its path is open.
        let place = tempfile::tempdir()?;
        let path = place.path().join("socket");
        let listener = UnixListener::bind(&path)?;
        let by_path = open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        many.push(listener.into());
        let (net, uts) = (
            File::open("/proc/self/ns/net")?,
            File::open("/proc/self/ns/uts")?,
        );
        Ok(Self {
            many,
            child,
            in_flight,
            apart: Apart::start()?,
            limit,
            _others: (one, other, by_path, net, uts),
        })
    }

    /// Whether a walk has what is certain, whatever `/proc` says.
    fn is_there(&self, check: &mut Check, walked: &Owners) {
        let pid = std::process::id();
        let of = |inode| -> Vec<Descriptor> { walked.of(inode).collect() };
        for one in &self.many {
            let fd = one.as_raw_fd();
            let found = inode(one).map(of).unwrap_or_default();
            check.that(found.contains(&Descriptor { pid, fd }), || {
                format!("{fd} is not among {found:?}")
            });
        }
        let first = inode(&self.many[0]).map(of).unwrap_or_default();
        let by_child = |held: &&Descriptor| held.pid == self.child.id();
        let fds: Vec<i32> = first.iter().filter(by_child).map(|held| held.fd).collect();
        check.equal("the child's", fds, vec![0, 1]);
        check.equal("in flight", of(self.in_flight), Vec::new());
    }

    fn leave(mut self) -> Result<(), Failed> {
        self.child.kill()?;
        self.child.wait()?;
        self.apart.end()?;
        drop(self.many);
        let mut soft = getrlimit(Resource::Nofile);
        soft.current = self.limit.current;
        Ok(setrlimit(Resource::Nofile, soft)?)
    }
}

/// A thread with a table of descriptors of its own, and a socket in it.
struct Apart {
    inode: u32,
    held: Descriptor,
    go: Sender<()>,
    thread: JoinHandle<()>,
}

impl Apart {
    fn start() -> Result<Self, Failed> {
        let (tell, said) = channel();
        let (go, wait): (_, Receiver<()>) = channel();
        let thread = thread::spawn(move || {
            // SAFETY: what this thread opens from here on is its own, and what others have open it
            // does not close.
            let parted = unsafe { unshare_unsafe(UnshareFlags::FILES) };
            let listener = TcpListener::bind("127.0.0.1:0").ok();
            let known = parted.ok().and(listener.as_ref());
            let _ = tell.send(known.and_then(|one| Some((inode(one).ok()?, one.as_raw_fd()))));
            let _ = wait.recv();
            drop(listener);
        });
        let (inode, fd) = said.recv()?.ok_or("no table of its own")?;
        let pid = std::process::id();
        let held = Descriptor { pid, fd };
        Ok(Self {
            inode,
            held,
            go,
            thread,
        })
    }

    fn end(self) -> Result<(), Failed> {
        drop(self.go);
        self.thread.join().map_err(|_| "the thread panicked".into())
    }
}

/// Where the numbers of processes are others, or not shown, those that are shown are said.
fn numbers() -> Result<(), Failed> {
    let mut check = Check::default();
    nothing_is_left()?;
    let crowd = Crowd::gather()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let wanted = inode(&listener)?;
    let ours = named(Descriptor {
        pid: std::process::id(),
        fd: listener.as_raw_fd(),
    });
    // It has the socket as its standard input, too.
    let with = |command: &mut Command| -> Result<Vec<(u32, String, i32)>, Failed> {
        let output = command
            .stdin(OwnedFd::from(listener.try_clone()?))
            .stdout(Stdio::piped())
            .output()?;
        let snapshot: Value = serde_json::from_slice(&output.stdout)
            .map_err(|e| format!("{command:?}: {e}: {output:?}"))?;
        let row = rows(&snapshot).iter().find(|row| row["inode"] == wanted);
        Ok(row.map(holders).unwrap_or_default())
    };
    let asked = ["snapshot", "--json"];
    let plain = with(Command::new(SKMEM).args(asked))?;
    check.that(plain.contains(&ours), || format!("{ours:?} in {plain:?}"));
    // In a pid namespace of its own, with its `/proc`, and with ours.
    let inside = ["-p", "-f", "--mount-proc", SKMEM];
    let inside = with(Command::new("unshare").args(inside).args(asked))?;
    check.equal("of its own", inside, vec![(1, "skmem".to_owned(), 0)]);
    let outside = with(
        Command::new("unshare")
            .args(["-p", "-f", SKMEM])
            .args(asked),
    )?;
    check.that(outside.contains(&ours), || {
        format!("{ours:?} in {outside:?}")
    });
    let itself = |held: &(u32, String, i32)| held.0 > 1 && held.1 == "skmem" && held.2 == 0;
    check.that(outside.iter().any(itself), || format!("{outside:?}"));
    // With two capabilities: as `/proc` hides processes, or not.
    let mut somebody = Command::new(SKMEM);
    somebody.args(asked);
    let needed = needed();
    // SAFETY: between fork and exec it makes system calls, and no allocation.
    unsafe { somebody.pre_exec(move || becomes_somebody(needed)) };
    let seen = with(&mut somebody)?;
    check.that(seen.contains(&ours), || format!("{ours:?} in {seen:?}"));
    let hidden = thread::scope(|scope| {
        let hidden = scope.spawn(|| -> Result<_, Failed> {
            // SAFETY: only this thread and its children see other mounts from here on.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }?;
            let arguments = ["-t", "proc", "-o", "hidepid=2", "proc", "/proc"];
            let mounted = Command::new("mount").args(arguments).status()?;
            check.that(mounted.success(), || "no /proc that hides".into());
            with(&mut somebody)
        });
        hidden.join().map_err(|_| "the thread panicked")
    })??;
    check.that(hidden.iter().all(itself), || format!("hidden: {hidden:?}"));
    drop(listener);
    crowd.leave()?;
    check.done()
}
