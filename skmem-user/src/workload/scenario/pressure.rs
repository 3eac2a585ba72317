//! Memory that the kernel refuses: over `tcp_mem`, or over a cgroup's limit.
//!
//! `__sk_mem_raise_allocated` then shrinks the limit of a socket that has not fixed it by
//! `SO_SNDBUF` (`sk_stream_moderate_sndbuf`: half of what is queued), and goes on; a socket that
//! has is refused while it is below its limit, and its writer waits for memory.

use std::{fs, os::fd::AsFd, sync::Arc, thread, time::Duration};

use anyhow::{Context, Result, bail};
use socket2::Socket;

use super::{
    Scenario, Stage, WRITER, bulk::PASSED_AT_ONCE, client_setup, drain, fill, pace,
    raise_open_files, send, server_setup,
};
use crate::{
    diag::{MemInfo, SockstatTcp},
    workload::{
        Params,
        cgroup::MemoryCgroup,
        net::{Net, set_sysctl},
        protocol::Done,
        reader::Reader,
        sender::Sender,
        settle::settle,
        skip::Skip,
        sockets::{Listener, Setup},
        undo::{Guard, Undo},
        writer::{Pace, Writer},
    },
};

const OPTIONS: &[&str] = &[
    "sndbuf",
    "rcvbuf",
    "write-size",
    "bytes",
    "mtu",
    "nodelay",
    "roomy",
];
const TCP_MEM_FILE: &str = "/proc/sys/net/ipv4/tcp_mem";

/// Pages that must show in `memory_allocated` before its limit is put below it: well above what
/// each CPU may keep beside the shared counter between two readings.
const VISIBLE_PAGES: u64 = 512;
/// Connections that may be needed for that: each CPU hides up to 1 MiB.
const MOST_BALLAST: usize = 400;

pub(super) const TCP_MEM: Scenario = Scenario {
    name: "tcp-mem",
    summary: "tcp_mem exceeded by a socket without SO_SNDBUF: its limit shrinks to half of its queue",
    provokes: &[
        "shrunk-by-memory-pressure",
        "granted-over-tcp_mem",
        "autotuned-up",
        "new-skb",
    ],
    needs: &["the initial network namespace, whose tcp_mem is lowered for a second and put back"],
    accepts: OPTIONS,
    defaults: Params {
        sndbuf: None,
        rcvbuf: Some(65_536),
        write_size: 16 << 10,
        // What the receiver reads first, so that the limit is autotuned up.
        bytes: Some(2 << 20),
        ..Params::BASE
    },
    play: tcp_mem,
};

pub(super) const TCP_MEM_LOCKED: Scenario = Scenario {
    name: "tcp-mem-locked",
    summary: "tcp_mem exceeded by a socket with SO_SNDBUF: refused below its limit, the writer waits",
    provokes: &["refused", "new-skb"],
    needs: TCP_MEM.needs,
    accepts: OPTIONS,
    defaults: Params {
        sndbuf: Some(200_000),
        ..TCP_MEM.defaults
    },
    play: tcp_mem,
};

pub(super) const TCP_MEM_FRESH: Scenario = Scenario {
    name: "tcp-mem-fresh",
    summary: "a new socket while tcp_mem is exceeded: it gets tcp_wmem[0] bytes by force, then waits",
    provokes: &["forced", "refused", "new-skb"],
    needs: TCP_MEM.needs,
    accepts: OPTIONS,
    defaults: Params {
        sndbuf: Some(200_000),
        ..TCP_MEM.defaults
    },
    play: tcp_mem_fresh,
};

pub(super) const MEMCG_LIMIT: Scenario = Scenario {
    name: "memcg-limit",
    summary: "a cgroup's memory.max reached by the socket: its limit shrinks to half of its queue",
    provokes: &[
        "shrunk-by-memory-pressure",
        "granted-over-memcg",
        "autotuned-up",
        "new-skb",
    ],
    needs: &["cgroup2 with the memory controller"],
    accepts: OPTIONS,
    defaults: TCP_MEM.defaults,
    play: memcg,
};

fn tcp_mem(stage: &Stage) -> Result<Done> {
    let before = limits()?;
    let net = Net::veth(&stage.params)?;
    raise_open_files(2 * MOST_BALLAST as u64 + 64)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = half_full(stage, &net, &listener)?;
    let _ballast = ballast(&net, &listener)?;

    let guard = exceed(stage, before)?;
    write_on(stage, &net, sender, server, || {
        drop(guard);
        Ok(())
    })
}

/// More for a starving socket than the page that an empty skb leaves free: with the default of 4096
/// there is nothing to force.
const FLOOR: &str = "16384 16384 4194304";

fn tcp_mem_fresh(stage: &Stage) -> Result<Done> {
    let before = limits()?;
    let net = Net::veth(&stage.params)?;
    set_sysctl(&net.client, "ipv4/tcp_wmem", FLOOR)?;
    raise_open_files(2 * MOST_BALLAST as u64 + 64)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let _ballast = ballast(&net, &listener)?;
    let guard = exceed(stage, before)?;
    let (sender, server) = net.connect(&listener, client_setup(stage))?;
    write_on(stage, &net, sender, server, || {
        drop(guard);
        Ok(())
    })
}

/// `tcp_mem` as it is.
fn limits() -> Result<String> {
    fs::read_to_string(TCP_MEM_FILE).map_err(|error| {
        Skip::error(format!(
            "{TCP_MEM_FILE} is out of reach ({error}): not in the initial network namespace"
        ))
    })
}

/// Puts `tcp_mem` below what is in use, until the guard goes.
fn exceed(stage: &Stage, before: String) -> Result<Guard> {
    let guard = Guard::start(&Undo::Write {
        path: TCP_MEM_FILE.into(),
        value: before,
    })?;
    if !stage.params.roomy {
        let limit = SockstatTcp::read()?.mem_pages / 2;
        fs::write(TCP_MEM_FILE, format!("{limit} {limit} {limit}"))
            .with_context(|| format!("cannot lower {TCP_MEM_FILE} to {limit} pages"))?;
    }
    Ok(guard)
}

fn memcg(stage: &Stage) -> Result<Done> {
    let cgroup = MemoryCgroup::new()?;
    let net = Net::veth(&stage.params)?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(server_setup(stage))?;
    let (sender, server) = cgroup.run(|| half_full(stage, &net, &listener))?;
    // Not a page more is to be had. (A part of what is charged would be a guess: `memory.stat` lags
    // behind by up to 64 pages a CPU since 6.8, `mem_cgroup_flush_stats`.)
    if !stage.params.roomy {
        cgroup.limit(0)?;
    }
    write_on(stage, &net, sender, server, || cgroup.limit(1 << 30))
}

/// A connection whose limit was autotuned (unless it is fixed) while its peer read, and whose queue
/// is then filled to more than half of that limit.
fn half_full(stage: &Stage, net: &Net, listener: &Listener) -> Result<(Sender, Arc<Socket>)> {
    let (sender, server) = net.connect(listener, client_setup(stage))?;
    let reader = Reader::spawn(&server, stage.params.bytes)?;
    let mut write = send(PASSED_AT_ONCE as usize, 0);
    let bytes = stage.params.bytes.unwrap_or(0);
    fill(&sender, &mut write, |written| written < bytes)?;
    reader.join()?;
    let senders = [sender];
    let mut write = send(stage.params.write_len(), libc::MSG_DONTWAIT);
    loop {
        let memory = MemInfo::read(senders[0].socket.as_fd())?;
        if memory.wmem_queued > memory.sndbuf / 8 * 5 {
            // At rest the window is shut: what is acknowledged later would give memory back.
            settle(&senders, &mut [])?;
            let memory = MemInfo::read(senders[0].socket.as_fd())?;
            if memory.wmem_queued > memory.sndbuf / 2 {
                let [sender] = senders;
                return Ok((sender, server));
            }
        }
        if fill(&senders[0], &mut write, |written| written == 0)? == 0 {
            bail!(
                "the queue stops at {} bytes, below half of its limit {}; try a smaller --write-size",
                memory.wmem_queued,
                memory.sndbuf
            );
        }
        // What the window still takes leaves the queue at once; what stays is counted above.
        thread::sleep(Duration::from_millis(1));
    }
}

/// Connections that hold memory, until enough of it shows in the shared counter.
fn ballast(net: &Net, listener: &Listener) -> Result<Vec<(Sender, Arc<Socket>)>> {
    let mut held = Vec::new();
    let mut write = send(64 << 10, libc::MSG_DONTWAIT);
    while SockstatTcp::read()?.mem_pages < VISIBLE_PAGES {
        if held.len() == MOST_BALLAST {
            bail!(
                "TCP's memory does not show in /proc/net/sockstat after {MOST_BALLAST} full connections"
            );
        }
        let pair = net.connect(listener, Setup::PLAIN)?;
        fill(&pair.0, &mut write, |_| true)?;
        held.push(pair);
    }
    Ok(held)
}

/// Writes on where no memory is to be had, reports rest, lifts the limit, and drains.
fn write_on(
    stage: &Stage,
    net: &Net,
    sender: Sender,
    server: Arc<Socket>,
    lift: impl FnOnce() -> Result<()>,
) -> Result<Done> {
    let until_blocked = Pace {
        bytes: None,
        ..pace(stage)
    };
    let write = send(stage.params.write_len(), 0);
    let mut writers = [Writer::spawn(WRITER, &sender, until_blocked, write)?];
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    stage.settled(&net.client, reason, &senders)?;
    lift()?;
    drain(stage, &net.client, &senders, &mut writers, &[server])
}
