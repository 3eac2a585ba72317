//! The probe plan: for each hook, which programs go onto which function of
//! this kernel, and what it costs where that function is missing.
//!
//! A new kernel that renames or reshapes a function needs a line in
//! `PROBES`, no more.

use skmem_common::hook::Hook;

use super::{KernelError, Result, btf::KernelBtf, symbols::Symbols};

/// How a program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// At a function's entry, through a trampoline.
    Fentry,
    /// At a function's exit, through a trampoline.
    Fexit,
    /// At a function's entry, through a breakpoint.
    Kprobe,
    /// At a tracepoint, with typed arguments.
    Tracepoint,
}

/// How much depends on a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Without it nothing can be explained.
    Essential,
    /// Without it bytes are named from the fields: inferred, not observed.
    Exact,
    /// Without it a label or a context is missing.
    Label,
}

/// Which hooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Set {
    /// All, at the entry and at the exit.
    #[default]
    All,
    /// Those that keep the account exact at the least price: see [`skmem_common::lean`].
    Lean,
    /// All, and the entries of the functions of the receive side that are hooked at their exits
    /// alone: what these are tested against.
    #[value(skip)]
    Entries,
}

/// Programs of the full set that the lean set does without, and what it has in their place.
static LEAN: &[(&str, Option<&str>)] = &[
    ("sendmsg_locked_entry", Some("lean_sendmsg_entry")),
    ("sendmsg_locked_exit", Some("lean_sendmsg_exit")),
    ("alloc_skb_exit", Some("lean_alloc_exit")),
    ("alloc_skb_sized_exit", Some("lean_alloc_sized_exit")),
    ("mem_schedule_exit", Some("lean_mem_schedule_exit")),
    ("ack_entry", None),
    ("ack_exit", Some("lean_ack_exit")),
    ("entail_entry", None),
    ("write_xmit_entry", None),
    ("write_xmit_exit", Some("lean_write_xmit_exit")),
];

/// Programs at the entries of functions of the receive side. `tcp_cleanup_rbuf`, which ends a read
/// on 5.10, begins after the read, and `tcp_collapse_one` after `tcp_collapse` has charged an skb.
static ENTRIES: &[(&str, &str)] = &[
    ("tcp_queue_rcv", "queue_rcv_entry"),
    ("tcp_data_queue", "data_queue_entry"),
    ("tcp_read_done", "read_done_entry"),
    ("tcp_disconnect", "disconnect_entry"),
    ("tcp_prune_ofo_queue", "prune_entry"),
    ("tcp_set_rcvlowat", "set_rcvlowat_entry"),
];

/// At the entry of `tcp_recvmsg_locked`: nothing but clocks depends on it. The set [`Set::Entries`]
/// has another program there, which does the same and books.
const READS_BEGIN: &str = "recvmsg_begin";
const READS_BEGIN_AND_BOOK: &str = "recvmsg_entry";

/// One way to serve a hook.
#[derive(Debug)]
struct Probe {
    hook: Hook,
    need: Need,
    function: &'static str,
    /// Only where the function has this many parameters.
    parameters: Option<usize>,
    programs: &'static [(&'static str, Kind)],
}

macro_rules! only {
    () => {
        None
    };
    ($n:literal) => {
        Some($n)
    };
}

macro_rules! probe {
    ($hook:ident, $need:ident, $function:literal $(/ $n:literal)?: $($program:literal @ $kind:ident),+) => {
        Probe {
            hook: Hook::$hook,
            need: Need::$need,
            function: $function,
            parameters: only!($($n)?),
            programs: &[$(($program, Kind::$kind)),+],
        }
    };
}

/// All ways, the newest kernel's first. Where several lines serve one hook,
/// the first that fits is taken; but both retransmission functions are, since
/// compilers inline one into the other (on 6.1, `__tcp_retransmit_skb` is out
/// of line and yet never called), and both ways to disconnect.
static PROBES: &[Probe] = &[
    probe!(SendmsgLocked, Essential, "tcp_sendmsg_locked": "sendmsg_locked_entry" @ Fentry, "sendmsg_locked_exit" @ Fexit),
    probe!(AllocSkb, Essential, "tcp_stream_alloc_skb" / 3: "alloc_skb_exit" @ Fexit),
    probe!(AllocSkb, Essential, "tcp_stream_alloc_skb" / 4: "alloc_skb_sized_exit" @ Fexit),
    probe!(AllocSkb, Essential, "sk_stream_alloc_skb" / 4: "alloc_skb_sized_exit" @ Fexit),
    probe!(MemSchedule, Essential, "__sk_mem_schedule": "mem_schedule_exit" @ Fexit),
    probe!(Ack, Exact, "tcp_ack": "ack_entry" @ Fentry, "ack_exit" @ Fexit),
    probe!(WriteXmit, Exact, "tcp_write_xmit": "write_xmit_entry" @ Fentry, "write_xmit_exit" @ Fexit),
    probe!(Fragment, Exact, "tcp_fragment": "fragment_entry" @ Fentry, "fragment_exit" @ Fexit),
    probe!(Retransmit, Exact, "__tcp_retransmit_skb": "retransmit_entry" @ Fentry, "retransmit_exit" @ Fexit),
    probe!(Retransmit, Exact, "tcp_retransmit_skb": "retransmit_outer_entry" @ Fentry, "retransmit_outer_exit" @ Fexit),
    probe!(SendFin, Exact, "tcp_send_fin": "send_fin_entry" @ Fentry, "send_fin_exit" @ Fexit),
    probe!(Connect, Exact, "tcp_connect": "connect_entry" @ Fentry, "connect_exit" @ Fexit),
    probe!(SendSynack, Exact, "tcp_send_synack": "send_synack_entry" @ Fentry, "send_synack_exit" @ Fexit),
    probe!(Purge, Exact, "tcp_write_queue_purge": "purge_entry" @ Fentry, "purge_exit" @ Fexit),
    probe!(Sendpages, Exact, "do_tcp_sendpages" / 5: "sendpages_entry" @ Fentry, "sendpages_exit" @ Fexit),
    probe!(MptcpFrag, Exact, "mptcp_sendmsg_frag" / 4: "mptcp_frag_entry" @ Fentry, "mptcp_frag_exit" @ Fexit),
    probe!(MptcpRelease, Exact, "mptcp_release_cb": "mptcp_release_entry" @ Fentry, "mptcp_release_exit" @ Fexit),
    probe!(MptcpCleanUna, Exact, "__mptcp_clean_una": "mptcp_clean_una_entry" @ Fentry, "mptcp_clean_una_exit" @ Fexit),
    probe!(MptcpCleanUna, Exact, "__mptcp_data_acked": "mptcp_data_acked_entry" @ Fentry, "mptcp_data_acked_exit" @ Fexit),
    probe!(MptcpDestroy, Exact, "mptcp_destroy": "mptcp_destroy_entry" @ Fentry, "mptcp_destroy_exit" @ Fexit),
    probe!(MptcpSendmsg, Exact, "mptcp_sendmsg" / 3: "mptcp_sendmsg_entry" @ Fentry),
    probe!(Walk, Label, "mptcp_diag_fill_info" / 2: "mptcp_info_entry" @ Fentry),
    probe!(Entail, Label, "tcp_skb_entail": "entail_entry" @ Fentry),
    probe!(Entail, Label, "skb_entail" / 2: "entail_entry" @ Fentry),
    probe!(Sendmsg, Label, "tcp_sendmsg": "sendmsg_exit" @ Fexit),
    probe!(Zerocopy, Label, "__zerocopy_sg_from_iter" / 6: "zerocopy_exit" @ Fexit),
    probe!(Zerocopy, Label, "__zerocopy_sg_from_iter" / 5: "zerocopy_exit" @ Fexit),
    probe!(Zerocopy, Label, "__zerocopy_sg_from_iter" / 4: "zerocopy_old_exit" @ Fexit),
    probe!(WaitMemory, Label, "sk_stream_wait_memory": "wait_memory_entry" @ Fentry, "wait_memory_exit" @ Fexit),
    probe!(WaitConnect, Label, "sk_stream_wait_connect": "wait_connect_entry" @ Fentry, "wait_connect_exit" @ Fexit),
    probe!(Setsockopt, Label, "sk_setsockopt" / 5: "setsockopt_exit" @ Fexit),
    probe!(Setsockopt, Label, "sock_setsockopt" / 5: "setsockopt_probe" @ Kprobe),
    probe!(SndbufExpand, Label, "tcp_sndbuf_expand": "sndbuf_expand_entry" @ Fentry),
    probe!(WriteSpace, Label, "sk_stream_write_space": "write_space_entry" @ Fentry),
    probe!(ForcedSchedule, Label, "sk_forced_mem_schedule": "forced_schedule_entry" @ Fentry),
    probe!(MsgAlloc, Label, "sk_msg_alloc" / 4: "msg_alloc_exit" @ Fexit),
    probe!(QueueRcv, Label, "tcp_queue_rcv": "queue_rcv_exit" @ Fexit),
    probe!(Accept, Label, "inet_csk_accept" / 2: "accept_exit" @ Fexit),
    probe!(Accept, Label, "inet_csk_accept" / 4: "accept_old_exit" @ Fexit),
    probe!(DataQueue, Label, "tcp_data_queue": "data_queue_exit" @ Fexit),
    probe!(Recvmsg, Label, "tcp_recvmsg_locked": "recvmsg_begin" @ Fentry, "recvmsg_exit" @ Fexit),
    probe!(Recvmsg, Label, "tcp_cleanup_rbuf": "recvmsg_exit" @ Fexit),
    probe!(ReadSock, Label, "__tcp_read_sock": "read_sock_exit" @ Fexit),
    probe!(ReadSock, Label, "tcp_read_sock": "read_sock_entry" @ Fentry, "read_sock_exit" @ Fexit),
    probe!(ReadDone, Label, "tcp_read_done": "read_done_exit" @ Fexit),
    probe!(ReadZerocopy, Label, "tcp_zerocopy_receive": "read_zerocopy_entry" @ Fentry, "read_zerocopy_exit" @ Fexit),
    probe!(ReadSkb, Label, "tcp_read_skb": "read_skb_entry" @ Fentry, "read_skb_exit" @ Fexit),
    probe!(SockmapRecvmsg, Label, "__sk_msg_recvmsg" / 6: "sockmap_recvmsg_entry" @ Fentry, "sockmap_recvmsg_exit" @ Fexit),
    probe!(SockmapRecvmsg, Label, "sk_msg_recvmsg" / 5: "sockmap_recvmsg_entry" @ Fentry, "sockmap_recvmsg_exit" @ Fexit),
    probe!(SockmapRecvmsg, Label, "__tcp_bpf_recvmsg" / 5: "sockmap_recvmsg_entry" @ Fentry, "sockmap_recvmsg_exit" @ Fexit),
    probe!(Close, Label, "__tcp_close": "close_entry" @ Fentry),
    probe!(Disconnect, Label, "tcp_disconnect": "disconnect_exit" @ Fexit),
    probe!(Disconnect, Label, "mptcp_disconnect" / 2: "mptcp_disconnect_exit" @ Fexit),
    probe!(MptcpMove, Label, "__mptcp_move_skb" / 2: "mptcp_move_exit" @ Fexit),
    probe!(MptcpMove, Label, "mptcp_set_owner_r" / 2: "mptcp_set_owner_exit" @ Fexit),
    probe!(MptcpMerge, Label, "mptcp_try_coalesce" / 3: "mptcp_merge_exit" @ Fexit),
    probe!(MptcpJoin, Label, "__mptcp_ofo_queue" / 1: "mptcp_join_exit" @ Fexit),
    probe!(MptcpRead, Label, "__mptcp_update_rmem" / 1: "mptcp_read_exit" @ Fexit),
    probe!(MptcpRead, Label, "mptcp_rcv_space_adjust" / 2: "mptcp_read_entry" @ Fentry),
    probe!(MptcpRecvmsg, Label, "mptcp_recvmsg": "mptcp_recvmsg_entry" @ Fentry),
    probe!(WaitData, Label, "sk_wait_data": "wait_data_entry" @ Fentry, "wait_data_exit" @ Fexit),
    probe!(ReleaseSock, Label, "__release_sock": "release_sock_entry" @ Fentry),
    probe!(CollapseOne, Label, "tcp_collapse_one": "collapse_exit" @ Fexit),
    probe!(PruneOfo, Label, "tcp_prune_ofo_queue": "prune_exit" @ Fexit),
    probe!(SetRcvlowat, Label, "tcp_set_rcvlowat": "set_rcvlowat_exit" @ Fexit),
    probe!(ErrorQueue, Label, "sock_queue_err_skb": "error_queue_entry" @ Fentry, "error_queue_exit" @ Fexit),
    probe!(ErrorFree, Label, "sock_rmem_free": "error_free_entry" @ Fentry, "error_free_exit" @ Fexit),
    probe!(TrimHead, Label, "tcp_trim_head": "trim_head_entry" @ Fentry, "trim_head_exit" @ Fexit),
    probe!(RemoveEmpty, Label, "tcp_remove_empty_skb": "remove_empty_entry" @ Fentry, "remove_empty_exit" @ Fexit),
    probe!(LossProbe, Label, "tcp_send_loss_probe": "loss_probe_entry" @ Fentry, "loss_probe_exit" @ Fexit),
    probe!(WriteWakeup, Label, "tcp_write_wakeup": "write_wakeup_entry" @ Fentry, "write_wakeup_exit" @ Fexit),
    probe!(Reset, Label, "tcp_reset": "reset_entry" @ Fentry, "reset_exit" @ Fexit),
    probe!(SetState, Label, "inet_sock_set_state": "set_state" @ Tracepoint),
    probe!(Destroy, Label, "tcp_destroy_sock": "destroy" @ Tracepoint),
];

/// Hooks on functions that run often: with a tripwire, their programs are on them only while a
/// socket has an account.
const OFTEN: [Hook; 14] = [
    Hook::SendmsgLocked,
    Hook::AllocSkb,
    Hook::MemSchedule,
    Hook::Ack,
    Hook::WriteXmit,
    Hook::Entail,
    Hook::ReleaseSock,
    Hook::Sendpages,
    Hook::Zerocopy,
    Hook::MsgAlloc,
    Hook::MptcpFrag,
    Hook::MptcpSendmsg,
    Hook::MptcpRelease,
    Hook::MptcpCleanUna,
];

/// Hooks that only MPTCP sockets and their subflows come by.
pub const OF_MPTCP: [Hook; 11] = [
    Hook::MptcpFrag,
    Hook::MptcpSendmsg,
    Hook::MptcpRelease,
    Hook::MptcpCleanUna,
    Hook::MptcpDestroy,
    Hook::MptcpMove,
    Hook::MptcpMerge,
    Hook::MptcpJoin,
    Hook::MptcpRead,
    Hook::MptcpRecvmsg,
    Hook::Walk,
];

/// Hooks that a socket comes by before its connection is made. `sk_stream_wait_connect` also sees
/// sends after a shutdown, which queue nothing; a socket that is disconnected and connects again
/// is seen at its next call.
pub const OF_CONNECTING: [Hook; 4] = [
    Hook::Connect,
    Hook::SendSynack,
    Hook::WaitConnect,
    Hook::Accept,
];

/// Looks at each send call whether its socket meets the tripwire.
pub const TRIPWIRE: Attachment = Attachment {
    hook: Hook::SendmsgLocked,
    need: Need::Essential,
    program: "tripwire_exit",
    kind: Kind::Fexit,
    function: "tcp_sendmsg_locked",
};

/// The tracepoint that follows a command's children.
pub const FORK: &str = "sched_process_fork";

/// All functions that a plan may name.
pub fn functions() -> impl Iterator<Item = &'static str> {
    PROBES.iter().map(|probe| probe.function)
}

/// The kernel's types that programs attach to, by name: functions, tracepoints'
/// definitions, and the walk over all sockets.
pub fn attached_to() -> Vec<String> {
    let named = functions().chain(["bpf_iter_tcp"]);
    let tracepoints = functions().chain([FORK]);
    named
        .map(str::to_owned)
        .chain(tracepoints.map(|name| format!("btf_trace_{name}")))
        .collect()
}

/// What is lost without a hook.
#[must_use]
pub fn cost(hook: Hook) -> &'static str {
    match hook {
        Hook::None
        | Hook::Open
        | Hook::Task
        | Hook::Read
        | Hook::ReceiveSeen
        | Hook::ReceiveWalk => "nothing",
        Hook::Walk => {
            "MPTCP sockets that are older than the trace will be found at their next call"
        }
        Hook::SendmsgLocked => "payload of tcp_sendmsg will be inferred from write_seq",
        Hook::AllocSkb => "new skbs will be inferred",
        Hook::MemSchedule => "forward_alloc will be known, but not who asked for it",
        Hook::Ack => "ACK frees will be inferred from snd_una",
        Hook::WriteXmit => "splits and merges before sending will be inferred",
        Hook::Fragment => "splits for retransmission will be inferred",
        Hook::Retransmit => "merges for retransmission will be inferred",
        Hook::SendFin => "the FIN's skb will be inferred",
        Hook::Connect => "sockets are first seen when they send; the SYN will show as pre-existing",
        Hook::SendSynack => "the copy of a crossed SYN-ACK will be inferred",
        Hook::Purge => "queues emptied at the end will be inferred",
        Hook::Sendpages => "sendfile and splice will be inferred from write_seq",
        Hook::MptcpFrag => "bytes on MPTCP subflows will be inferred from write_seq",
        Hook::MptcpSendmsg => "MPTCP sockets will not be traced, only their subflows",
        Hook::MptcpRelease => "what MPTCP sockets queue will be seen late",
        Hook::MptcpCleanUna => "what is acknowledged on MPTCP sockets will be inferred",
        Hook::MptcpDestroy => "ends of MPTCP sockets will not be seen",
        Hook::Entail => "the limit that a new skb was tested against will not be known",
        Hook::Sendmsg => "traces will lack the system call's own size and result",
        Hook::Zerocopy => "traces will lack the moment at which user pages are attached",
        Hook::WaitMemory => {
            "blocked senders will not be seen, and labels may be wrong with several writers"
        }
        Hook::WaitConnect => "labels may be wrong for senders that wait for the connection",
        Hook::Setsockopt => "SO_SNDBUF will be inferred from sk_sndbuf",
        Hook::SndbufExpand => {
            "an excess that ends because the limit is raised while an skb is sent may be missed"
        }
        Hook::WriteSpace => "limits that setsockopt moved will be seen at the socket's next call",
        Hook::TrimHead => "partial ACKs will show as ack",
        Hook::RemoveEmpty => "skbs taken back unused will be inferred",
        Hook::LossProbe | Hook::WriteWakeup => "splits for probes will show as other splits",
        Hook::Reset => "queues emptied by a reset will show as purge",
        Hook::ForcedSchedule => "traces will lack memory that is forced",
        Hook::MsgAlloc => "memory that kTLS has charged and not queued yet will not be known",
        Hook::QueueRcv => "data that arrives will not be traced",
        Hook::Accept => "accepted connections are first seen when they read or send",
        Hook::DataQueue => "data out of order will be inferred or have no name",
        Hook::Recvmsg => "reads will be inferred, and how long readers copy will not be known",
        Hook::ReadSock => "reads by splice will show as read or be inferred",
        Hook::ReadDone => "reads by kTLS will be inferred",
        Hook::ReadZerocopy => "TCP_ZEROCOPY_RECEIVE will show as read or be inferred",
        Hook::ReadSkb => "what a sockmap takes will have no name",
        Hook::SockmapRecvmsg => "what a sockmap puts into a receive buffer will have no name",
        Hook::Close => "data that close() throws away will have no name",
        Hook::Disconnect => "data that a disconnect throws away will have no name",
        Hook::MptcpMove => "data that arrives for MPTCP sockets will be inferred",
        Hook::MptcpMerge => "data that MPTCP sockets merge will be inferred",
        Hook::MptcpJoin => "data out of order of MPTCP sockets will be booked late or inferred",
        Hook::MptcpRead => {
            "reads and what arrived meanwhile may be booked as one for MPTCP sockets"
        }
        Hook::MptcpRecvmsg => "MPTCP sockets that only receive will be seen late",
        Hook::WaitData => "the time that readers sleep will not be known",
        Hook::ReleaseSock => "reads and what arrived meanwhile may be booked as one",
        Hook::CollapseOne | Hook::PruneOfo => {
            "receive buffers that are collapsed or pruned will show as out of order"
        }
        Hook::SetRcvlowat => {
            "a receive buffer that SO_RCVLOWAT raises will show as raised by data that arrives"
        }
        Hook::ErrorQueue => "messages on the error queue will have no name",
        Hook::ErrorFree => "messages that leave the error queue will have no name",
        Hook::SetState => "traces will lack changes of state",
        Hook::Destroy => "ends of sockets will be seen in tcp_write_queue_purge or by their state",
    }
}

/// One program onto one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachment {
    /// The hook served.
    pub hook: Hook,
    /// How much depends on it.
    pub need: Need,
    /// The eBPF program.
    pub program: &'static str,
    /// How.
    pub kind: Kind,
    /// The kernel function or tracepoint.
    pub function: &'static str,
}

impl Attachment {
    /// Whether its function runs often.
    #[must_use]
    pub fn runs_often(&self) -> bool {
        OFTEN.contains(&self.hook)
    }
}

impl Set {
    /// The program that does the work of one of the full set, if there is work.
    fn program(self, full: &'static str) -> Option<&'static str> {
        match (self, LEAN.iter().find(|(name, _)| *name == full)) {
            (Self::Lean, Some((_, lean))) => *lean,
            (Self::Entries, _) if full == READS_BEGIN => Some(READS_BEGIN_AND_BOOK),
            _ => Some(full),
        }
    }
}

/// What to attach, and what cannot be.
#[derive(Debug, Default)]
pub struct Plan {
    /// In order of attachment.
    pub attachments: Vec<Attachment>,
    /// Hooks that no function serves.
    pub missing: Vec<Hook>,
}

impl Plan {
    /// Hooks that only some kernels have, where their lack costs nothing.
    #[must_use]
    pub fn is_expected_missing(hook: Hook) -> bool {
        matches!(
            hook,
            Hook::Sendpages
                | Hook::MptcpFrag
                | Hook::MptcpSendmsg
                | Hook::MptcpRelease
                | Hook::MptcpCleanUna
                | Hook::MptcpDestroy
                | Hook::MptcpMove
                | Hook::MptcpMerge
                | Hook::MptcpJoin
                | Hook::MptcpRead
                | Hook::MptcpRecvmsg
                | Hook::Walk
                | Hook::MsgAlloc
                | Hook::ReadDone
                | Hook::ReadSkb
                | Hook::SockmapRecvmsg
        )
    }

    /// Whether a program tells when a reader comes into `recv`: there is none on 5.10, where
    /// `tcp_recvmsg` takes the lock itself.
    #[must_use]
    pub fn tells_when_reads_begin(&self) -> bool {
        let tells = [READS_BEGIN, READS_BEGIN_AND_BOOK];
        self.attachments.iter().any(|a| tells.contains(&a.program))
    }

    /// How much depends on a hook; None where no function serves it.
    #[must_use]
    pub fn need(hook: Hook) -> Option<Need> {
        PROBES.iter().find(|p| p.hook == hook).map(|p| p.need)
    }

    /// Makes the plan for a kernel. `without` names hooks to leave out.
    ///
    /// # Errors
    /// Where an essential hook cannot be served.
    pub fn new(btf: &KernelBtf, symbols: &Symbols, without: &[Hook], set: Set) -> Result<Self> {
        let fits = |probe: &Probe| {
            if probe.programs.iter().all(|(_, k)| *k == Kind::Tracepoint) {
                return true;
            }
            let parameters = btf.parameters(probe.function);
            symbols.has(probe.function)
                && parameters.is_some()
                && probe.parameters.is_none_or(|n| parameters == Some(n))
        };
        let mut plan = Self::default();
        for hook in Hook::ALL {
            let mut probes = PROBES.iter().filter(|p| p.hook == *hook).peekable();
            let Some(need) = probes.peek().map(|p| p.need) else {
                continue;
            };
            let candidates: Vec<_> = probes.clone().map(|p| p.function).collect();
            let all = matches!(hook, Hook::Retransmit | Hook::Disconnect);
            let chosen: Vec<_> = probes
                .filter(|p| !without.contains(hook) && fits(p))
                .take(if all { usize::MAX } else { 1 })
                .collect();
            if chosen.is_empty() {
                if need == Need::Essential {
                    return Err(KernelError::NoHook {
                        function: candidates.join(" or "),
                        reason: "not in this kernel's BTF and symbols in a known form; skmem cannot do without it".into(),
                    });
                }
                plan.missing.push(*hook);
            }
            for probe in chosen {
                let programs = probe.programs.iter();
                let programs = programs.filter_map(|(program, kind)| {
                    Some(Attachment {
                        hook: *hook,
                        need,
                        program: set.program(program)?,
                        kind: *kind,
                        function: probe.function,
                    })
                });
                plan.attachments.extend(programs);
                let entry = ENTRIES.iter().find(|(f, _)| *f == probe.function);
                if let (Set::Entries, Some((function, program))) = (set, entry) {
                    plan.attachments.push(Attachment {
                        hook: *hook,
                        need,
                        program,
                        kind: Kind::Fentry,
                        function,
                    });
                }
            }
        }
        Ok(plan)
    }
}
