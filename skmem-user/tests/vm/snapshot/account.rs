//! The account beside sockets whose memory is counted in another way than most: it closes all the
//! same, within bounds that say something; and it does not close where memory is charged to sockets
//! that no list shows.

use std::{
    fs,
    io::{self, Write as _},
    mem::size_of_val,
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd as _},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use io_uring::{IoUring, opcode, types::Fd};
use libtest_mimic::{Completion, Failed, Trial};
use rustix::{
    net::sockopt::{
        set_socket_linger, set_socket_recv_buffer_size, set_socket_recv_buffer_size_force,
        set_socket_send_buffer_size_force,
    },
    process::{Resource, Rlimit, Signal, getrlimit, setrlimit},
};
use serde_json::Value;
use skmem::diag::{MemInfo, TcpInfo, TcpState};
use socket2::{Domain, Protocol, Socket, Type};

use super::{checked, closes, int, json, nothing_is_left, own::fill, rows, skmem};
use crate::{
    Outcome,
    check::Check,
    process::{Process, wait_for},
};

pub(super) fn trials() -> Vec<Trial> {
    let with = |name: &str, run: fn() -> Outcome| {
        Trial::ignorable_test(format!("snapshot::the-account-closes-with-{name}"), run)
    };
    vec![
        with("bypass_prot_mem", bypass),
        with("open-TLS-records", open_records),
        with("SEND_ZC", send_zc),
        with("a-stalled-MPTCP-connection", mptcp),
        with("MD5-keys", md5),
        with("SO_RESERVE_MEM", reserve),
        with("netem", netem),
        Trial::test("snapshot::the-account-closes-beside-skmem-record", recorded),
        Trial::test(
            "snapshot::the-account-is-open-where-no-list-shows-a-socket",
            leak,
        ),
    ]
}

/// What the kernel lacks.
fn none(what: &str) -> Outcome {
    Ok(Completion::ignored_with(format!(
        "this kernel has no {what}"
    )))
}

fn done(check: Check) -> Outcome {
    check.done().map(|()| Completion::Completed)
}

/// The bound is no wider than what CPUs hold back and a hundredth of what sockets hold.
fn tight(check: &mut Check, account: &Value) {
    let reserve =
        int(&account["cpu_reserve"], "cpus") * int(&account["cpu_reserve"], "bytes_per_cpu");
    let most = reserve + int(account, "charged_bytes") / 100 + int(account, "drift_bytes");
    let bound = int(account, "bound_bytes") + int(account, "uncharged_bytes");
    check.that(bound <= most, || {
        format!("a bound of {bound}, more than {most}: {account}")
    });
}

/// `SO_SNDBUF`, forced: enough to hold several times what CPUs hold back.
const LARGE: usize = 1 << 20;

/// Connections whose senders hold about 2 MiB each.
pub(super) fn stalled(connections: usize) -> Result<Vec<(TcpStream, TcpStream)>, Failed> {
    stalled_after(connections, |_| Ok(()))
}

fn stalled_after(
    connections: usize,
    prepare: impl Fn(&TcpStream) -> io::Result<()>,
) -> Result<Vec<(TcpStream, TcpStream)>, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut pairs = Vec::new();
    for _ in 0..connections {
        let client = TcpStream::connect(listener.local_addr()?)?;
        set_socket_send_buffer_size_force(&client, LARGE)?;
        let server = listener.accept()?.0;
        prepare(&client)?;
        fill(&client)?;
        pairs.push((client, server));
    }
    Ok(pairs)
}

fn held(sockets: &[(TcpStream, TcpStream)]) -> Result<i64, Failed> {
    let mut held = 0;
    for (client, server) in sockets {
        held += i64::from(MemInfo::read(client.as_fd())?.wmem_queued);
        held += i64::from(MemInfo::read(server.as_fd())?.rmem_alloc);
    }
    Ok(held)
}

/// A sysctl that has its old value again at the end.
pub(super) struct Sysctl(PathBuf, String);

impl Sysctl {
    pub(super) fn set(name: &str, value: &str) -> io::Result<Self> {
        let path = PathBuf::from(format!("/proc/sys/{name}"));
        let before = fs::read_to_string(&path)?;
        fs::write(&path, value)?;
        Ok(Self(path, before))
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        let _ = fs::write(&self.0, self.1.trim());
    }
}

/// A memory cgroup with this process in it, until it is dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn enter() -> io::Result<Self> {
        let root = PathBuf::from("/sys/fs/cgroup");
        // Where it is on already, this changes nothing.
        fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        let path = root.join("skmem-account");
        fs::create_dir(&path)?;
        let cgroup = Self(path);
        fs::write(
            cgroup.0.join("cgroup.procs"),
            std::process::id().to_string(),
        )?;
        Ok(cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let id = std::process::id().to_string();
        let _ = fs::write("/sys/fs/cgroup/cgroup.procs", id);
        wait_for(|| fs::remove_dir(&self.0).is_ok() || !self.0.exists());
    }
}

fn bypass() -> Outcome {
    if !PathBuf::from("/proc/sys/net/core/bypass_prot_mem").exists() {
        return none("net.core.bypass_prot_mem");
    }
    nothing_is_left()?;
    let mut check = Check::default();
    let cgroup = Cgroup::enter()?;
    let sysctl = Sysctl::set("net/core/bypass_prot_mem", "1")?;
    let pairs = stalled(4)?;
    drop(sysctl);
    // In no look but the exact one: the sysctl is off by now, and the sockets' own bits tell.
    let account = closes(&mut check, "bypass_prot_mem")?;
    let held = held(&pairs)?;
    let bypassed = int(&account["seen"], "bypassed_bytes");
    check.that(bypassed >= held, || {
        format!("{bypassed} bypassed, but {held} are held: {account}")
    });
    tight(&mut check, &account);
    let in_cgroups = int(&account["seen"], "in_cgroups_bytes");
    check.that(in_cgroups >= held, || {
        format!("{in_cgroups} in cgroups, but {held} are held: {account}")
    });
    drop(pairs);
    drop(cgroup);
    done(check)
}

/// `struct tls12_crypto_info_aes_gcm_128`: TLS 1.2, AES-GCM, some key.
fn tls_key() -> [u8; 40] {
    let mut key = [7; 40];
    key[..2].copy_from_slice(&0x0303_u16.to_ne_bytes());
    key[2..4].copy_from_slice(&51_u16.to_ne_bytes());
    key
}

const SOL_TLS: libc::c_int = 282;
const TLS_TX: libc::c_int = 1;
const TCP_MD5SIG: libc::c_int = 14;
const SO_RESERVE_MEM: libc::c_int = 73;

pub(super) fn option<T>(socket: &impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = size_of_val(value) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the value is valid for that length; the kernel copies it.
    let set = unsafe { libc::setsockopt(fd, level, name, (&raw const *value).cast(), length) };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn more(socket: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let flags = rustix::net::SendFlags::MORE;
    let sent = rustix::net::send(socket, bytes, flags)?;
    assert_eq!(sent, bytes.len(), "the send buffer is large enough");
    Ok(())
}

fn open_records() -> Outcome {
    const RECORDS: usize = 300;
    nothing_is_left()?;
    let limit = getrlimit(Resource::Nofile);
    let larger = Rlimit {
        current: limit
            .maximum
            .map_or(Some(4096), |most| Some(most.min(4096))),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, larger)?;
    let mut check = Check::default();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut pairs = Vec::new();
    for n in 0..RECORDS {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let server = listener.accept()?.0;
        if let Err(error) = option(&client, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls\0") {
            check.that(n == 0, || format!("TCP_ULP: {error}"));
            return none("TLS on sockets");
        }
        option(&client, SOL_TLS, TLS_TX, &tls_key())?;
        // All lengths, the worst ones among them.
        more(&client, &vec![1; 1 + n * 16_382 / (RECORDS - 1)])?;
        pairs.push((client, server));
    }
    let account = closes(&mut check, "open TLS records")?;
    check.equal(
        "open records",
        int(&account["seen"], "open_records"),
        RECORDS as i64,
    );
    let hidden = int(&account["seen"], "open_record_bytes");
    let sent: i64 = (0..RECORDS as i64)
        .map(|n| 1 + n * 16_382 / (RECORDS as i64 - 1))
        .sum();
    let (exact, slack) = (
        2 * sent + 29 * RECORDS as i64,
        int(&account["seen"], "open_record_slack_bytes"),
    );
    check.that((hidden - exact).abs() <= slack, || {
        format!("open records: {hidden} ± {slack}, but they are {exact}")
    });
    check.that(slack <= 4096 * RECORDS as i64, || format!("slack {slack}"));
    let snapshot = json(&["snapshot", "--json"])?;
    let below = rows(&snapshot)
        .iter()
        .filter(|row| int(&row["memory"], "forward_alloc") < 0);
    let said = below.map(|row| row["findings"].to_string());
    check.that(said.clone().count() > 0, || "no f below 0".into());
    for text in said {
        check.that(text.contains("a TLS record is open"), || text);
    }
    drop(pairs);
    setrlimit(Resource::Nofile, limit)?;
    done(check)
}

fn send_zc() -> Outcome {
    const SOCKETS: usize = 30;
    const SENDS: u32 = 40;
    static DATA: [u8; 1024] = [5; 1024];
    nothing_is_left()?;
    let Ok(mut ring) = IoUring::new(64) else {
        return none("io_uring");
    };
    let mut probe = io_uring::Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    if !probe.is_supported(opcode::SendZc::CODE) {
        return none("IORING_OP_SEND_ZC");
    }
    let mut check = Check::default();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    set_socket_recv_buffer_size(&listener, 8192)?;
    let mut pairs = Vec::new();
    for _ in 0..SOCKETS {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let server = listener.accept()?.0;
        // The peer takes nothing more: what is sent from now on stays in w.
        shut(&client)?;
        for n in 0..SENDS {
            let send = opcode::SendZc::new(Fd(client.as_raw_fd()), DATA.as_ptr(), 1024);
            // SAFETY: the data is static.
            unsafe { ring.submission().push(&send.build().user_data(n.into())) }?;
        }
        ring.submit_and_wait(SENDS as usize)?;
        let short = ring.completion().filter(|done| done.result() < 0).count();
        check.equal("sends that failed", short, 0);
        pairs.push((client, server));
    }
    let account = checked(&mut check, "SEND_ZC")?;
    check.that(int(&account, "difference_bytes") < 0, || {
        format!("nothing is uncharged: {account}")
    });
    let text = skmem(&["snapshot", "--account"])?;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    check.that(!text.contains("leaked"), || text.clone());
    drop(pairs);
    done(check)
}

/// Shuts the peer's window, and leaves room in the send buffer.
fn shut(socket: &TcpStream) -> io::Result<()> {
    let mut socket = socket;
    set_socket_send_buffer_size_force(socket, 64 << 10)?;
    socket.set_nonblocking(true)?;
    let probes = || TcpInfo::read(socket.as_fd()).is_ok_and(|info| info.backoff > 0);
    // The timer is set when nothing more may be sent, and the first probe has come to nothing.
    wait_for(|| {
        while socket.write(&[3; 16 << 10]).is_ok() {}
        probes()
    });
    set_socket_send_buffer_size_force(socket, LARGE)?;
    Ok(())
}

fn mptcp() -> Outcome {
    nothing_is_left()?;
    let Ok(listener) = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP)) else {
        return none("MPTCP");
    };
    let mut check = Check::default();
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>()?.into())?;
    listener.listen(16)?;
    let to = listener.local_addr()?;
    let mut pairs = Vec::new();
    for _ in 0..3 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP))?;
        client.connect(&to)?;
        let client = TcpStream::from(client);
        let server = TcpStream::from(listener.accept()?.0);
        fill(&client)?;
        pairs.push((client, server));
    }
    let account = closes(&mut check, "MPTCP")?;
    check.that(int(&account["seen"], "mptcp") >= 6, || {
        format!("MPTCP sockets: {account}")
    });
    tight(&mut check, &account);
    drop(pairs);
    done(check)
}

/// `struct tcp_md5sig`: an IPv4 peer's address and a key of one byte.
fn md5_key() -> [u8; 216] {
    let mut key = [0; 216];
    key[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    key[4..8].copy_from_slice(&[127, 0, 0, 1]);
    // tcpm_keylen, behind struct sockaddr_storage, flags and prefix length.
    key[130..132].copy_from_slice(&1_u16.to_ne_bytes());
    key[136] = b'k';
    key
}

fn md5() -> Outcome {
    nothing_is_left()?;
    let mut check = Check::default();
    // Both ends are this machine: the receivers have keys by the listener's.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    if option(&listener, libc::IPPROTO_TCP, TCP_MD5SIG, &md5_key()).is_err() {
        return none("TCP_MD5SIG");
    }
    let mut pairs = Vec::new();
    for _ in 0..3 {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        option(&client, libc::IPPROTO_TCP, TCP_MD5SIG, &md5_key())?;
        client.connect(&listener.local_addr()?.into())?;
        let client = TcpStream::from(client);
        set_socket_send_buffer_size_force(&client, LARGE)?;
        let server = listener.accept()?.0;
        fill(&client)?;
        pairs.push((client, server));
    }
    let optmem = MemInfo::read(pairs[0].0.as_fd())?.optmem;
    check.that(optmem > 0, || "no option memory: no key".into());
    let account = closes(&mut check, "MD5 keys")?;
    check.equal(
        "maybe zero-copy",
        int(&account["seen"], "maybe_zerocopy"),
        0,
    );
    tight(&mut check, &account);
    drop(pairs);
    done(check)
}

fn reserve() -> Outcome {
    nothing_is_left()?;
    let mut check = Check::default();
    let Ok(cgroup) = Cgroup::enter() else {
        return none("memory cgroups");
    };
    let reserved: libc::c_int = 1 << 20;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let probe = TcpStream::connect(listener.local_addr()?)?;
    let other = listener.accept()?.0;
    if option(&probe, libc::SOL_SOCKET, SO_RESERVE_MEM, &reserved).is_err() {
        drop((probe, other));
        drop(cgroup);
        return none("SO_RESERVE_MEM");
    }
    let pairs = stalled_after(3, |client| {
        option(client, libc::SOL_SOCKET, SO_RESERVE_MEM, &reserved)
    })?;
    let account = closes(&mut check, "SO_RESERVE_MEM")?;
    check.that(int(&account["seen"], "forward_alloc") >= 1 << 20, || {
        format!("nothing is reserved: {account}")
    });
    let snapshot = json(&["snapshot", "--json"])?;
    let said = rows(&snapshot)
        .iter()
        .map(|row| row["findings"].to_string());
    check.that(
        said.into_iter().any(|text| text.contains("SO_RESERVE_MEM")),
        || format!("no word of SO_RESERVE_MEM: {:?}", rows(&snapshot)),
    );
    tight(&mut check, &account);
    drop((pairs, probe, other));
    drop(cgroup);
    done(check)
}

fn netem() -> Outcome {
    nothing_is_left()?;
    let tc = |words: &[&str]| Command::new("tc").args(words).output();
    let delay = [
        "qdisc", "add", "dev", "lo", "root", "netem", "delay", "50ms", "rate", "20mbit",
    ];
    if !tc(&delay)?.status.success() {
        return none("netem");
    }
    let mut check = Check::default();
    let pairs = stalled(3);
    let account = closes(&mut check, "netem");
    tc(&["qdisc", "del", "dev", "lo", "root"])?;
    tight(&mut check, &account?);
    drop(pairs?);
    done(check)
}

fn recorded() -> Result<(), Failed> {
    nothing_is_left()?;
    let mut check = Check::default();
    let file = std::env::temp_dir().join(format!("account-{}.skm", std::process::id()));
    let name = file.to_str().ok_or("a name")?;
    let pid = std::process::id().to_string();
    let mut record = Process::skmem(&["record", "-o", name, "-p", &pid])?;
    record.attached()?;
    let pairs = stalled(4)?;
    let account = closes(&mut check, "beside skmem record")?;
    check.equal(
        "maybe zero-copy",
        int(&account["seen"], "maybe_zerocopy"),
        0,
    );
    tight(&mut check, &account);
    record.signal(Signal::INT)?;
    let output = record.output()?;
    check.equal("status of record", output.status.code(), Some(0));
    fs::remove_file(file)?;
    drop(pairs);
    check.done()
}

/// Sockets that the peer has reset are in no list, and their unread data stays charged until they
/// are closed.
fn leak() -> Result<(), Failed> {
    nothing_is_left()?;
    let mut check = Check::default();
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    set_socket_recv_buffer_size_force(&listener, 2 << 20)?;
    listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>()?.into())?;
    listener.listen(16)?;
    let listener = TcpListener::from(listener);
    let mut reset = Vec::new();
    let mut held = 0;
    while held < 8 << 20 && reset.len() < 40 {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let server = listener.accept()?.0;
        fill(&client)?;
        set_socket_linger(&client, Some(Duration::ZERO))?;
        drop(client);
        // The reset may be on its way.
        let closed = || TcpInfo::read(server.as_fd()).is_ok_and(|i| i.state == TcpState::Close);
        check.that(wait_for(closed), || "a socket is not reset".into());
        held += i64::from(MemInfo::read(server.as_fd())?.rmem_alloc);
        reset.push(server);
    }
    let output = skmem(&["snapshot", "--check"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    check.equal(
        format_args!("status with {held} held, {text}"),
        output.status.code(),
        Some(3),
    );
    for part in [
        "DOES NOT CLOSE",
        "sockets in no list",
        "held by skmem-vm-tests",
    ] {
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        check.that(flat.contains(part), || format!("no {part:?}: {text}"));
    }
    let snapshot = json(&["snapshot", "--json"])?;
    check.that(
        rows(&snapshot)
            .iter()
            .all(|row| int(&row["memory"], "rmem_alloc") < 1 << 20),
        || "a list shows them".into(),
    );
    drop(reset);
    closes(&mut check, "once they are closed")?;
    check.done()
}
