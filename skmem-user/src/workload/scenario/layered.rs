//! Protocols on top of the TCP socket: TLS in the kernel, and Multipath TCP.

use anyhow::{Result, anyhow};
use socket2::Protocol;

use super::{
    NEVER_READING_NO_SEND, Scenario, Stage, WRITER, client_setup, drain, never_reading_server,
    pace, send, server_setup,
};
use crate::{
    diag::{self, KernelReading, TcpState, inet_diag},
    workload::{
        Params,
        net::Net,
        protocol::Done,
        sender::{Sender, truths},
        settle::settle,
        skip::Skip,
        sockets::{Setup, set_option},
        writer::Writer,
    },
};

/// linux/tls.h
const SOL_TLS: libc::c_int = 282;
/// linux/tls.h
const TLS_TX: libc::c_int = 1;

/// `struct tls12_crypto_info_aes_gcm_128`
#[repr(C)]
#[derive(Clone, Copy)]
struct TlsKey {
    version: u16,
    cipher_type: u16,
    iv: [u8; 8],
    key: [u8; 16],
    salt: [u8; 4],
    rec_seq: [u8; 8],
}

/// TLS 1.2, AES-GCM-128, and a key that protects nothing: the receiver throws the records away.
const DUMMY_KEY: TlsKey = TlsKey {
    version: 0x0303,
    cipher_type: 51,
    iv: [1; 8],
    key: [2; 16],
    salt: [3; 4],
    rec_seq: [0; 8],
};

/// What an MPTCP socket passes on to its subflow.
const SUBFLOW: &[&str] = &[
    "interval",
    "sndbuf",
    "no-sndbuf",
    "rcvbuf",
    "write-size",
    "mtu",
    "gso-max-segs",
    "gso-off",
    "nodelay",
];

pub(super) const KTLS: Scenario = Scenario {
    name: "ktls",
    summary: "TLS in the kernel: a record waits in forward_alloc before it counts as queued",
    provokes: &["splice", "new-skb", "ktls-record"],
    needs: &["tls"],
    accepts: NEVER_READING_NO_SEND,
    defaults: Params {
        sndbuf: Some(16_384),
        write_size: 16 << 10,
        ..Params::BASE
    },
    play: ktls,
};

pub(super) const MPTCP: Scenario = Scenario {
    name: "mptcp",
    summary: "Multipath TCP with one subflow: the same bytes count on two sockets",
    provokes: &[
        "mptcp-data",
        "mptcp-frag-header",
        "mptcp-subflow",
        "mptcp-sync",
    ],
    needs: &["mptcp", "tcp_diag"],
    accepts: SUBFLOW,
    defaults: Params {
        sndbuf: Some(16_384),
        write_size: 4096,
        ..Params::BASE
    },
    play: mptcp,
};

fn ktls(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    never_reading_server(stage, &net, start_tls, send(stage.params.write_len(), 0))
}

/// `TCP_ULP`, then the key, as a TLS library does after its handshake.
fn start_tls(sender: &Sender) -> Result<()> {
    let none = |what: &str| Skip::error(format!("this kernel has no {what} (modprobe tls)"));
    set_option(&*sender.socket, libc::IPPROTO_TCP, libc::TCP_ULP, b"tls\0").map_err(|error| {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOPROTOOPT) => none("TLS on sockets"),
            _ => anyhow!(error).context("cannot set TCP_ULP to tls"),
        }
    })?;
    set_option(&*sender.socket, SOL_TLS, TLS_TX, &DUMMY_KEY).map_err(|error| {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::EOPNOTSUPP) => none("AES-GCM for TLS on sockets"),
            _ => anyhow!(error).context("cannot set TLS_TX"),
        }
    })
}

/// The senders reported on are the MPTCP socket and its subflows, which are TCP sockets without a
/// descriptor; so `sock_diag` is asked for all that the client's namespace holds.
fn mptcp(stage: &Stage) -> Result<Done> {
    let net = Net::veth(&stage.params)?;
    let subflows = || {
        net.client.run(|| {
            let mut found: Vec<KernelReading> = Vec::new();
            let all = inet_diag::dump(diag::Protocol::Tcp, inet_diag::IN_USE, |socket| {
                if socket.state != TcpState::Listen {
                    found.extend(socket.truth());
                }
            });
            match all {
                Ok(_) => Ok(found),
                Err(error) if error.is_unsupported() => Err(Skip::error(
                    "this kernel has no tcp_diag (modprobe tcp_diag)",
                )),
                Err(error) => Err(error.into()),
            }
        })
    };
    let multipath = |setup: Setup| Setup {
        protocol: Protocol::MPTCP,
        ..setup
    };
    // Before `ready`, so that a kernel without it is skipped before anything is attached.
    drop(net.client(multipath(Setup::PLAIN))?);
    subflows()?;
    stage.ready(&net.client, &[])?;
    let listener = net.listen(multipath(server_setup(stage)))?;
    let (sender, server) = net.connect(&listener, multipath(client_setup(stage)))?;
    let write = send(stage.params.write_len(), 0);
    let mut writers = [Writer::spawn(WRITER, &sender, pace(stage), write)?];
    let senders = [sender];
    let reason = settle(&senders, &mut writers)?;
    let all = || {
        let mut all = truths(&senders)?;
        all.extend(subflows()?);
        Ok(all)
    };
    stage.settled_with(&net.client, reason, all()?, all)?;
    drain(stage, &net.client, &senders, &mut writers, &[server])?;
    stage.done_with(&net.client, all()?)
}
