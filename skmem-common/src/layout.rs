//! Where the running kernel keeps its fields: read from its BTF in user space
//! and handed to the programs as read-only globals before load.

/// An offset that no field has: the running kernel lacks this field.
pub const ABSENT: u32 = u32::MAX;

/// Slot of the map `SHARED`: 1 once all programs are attached; until then no
/// socket gets an account, so no program does anything.
pub const SHARED_ENABLED: u32 = 0;
/// Slot of the map `SHARED`: truesize of an empty skb, in bytes, the same for
/// all sockets of a kernel; 0: not known, each socket's own first skb shows it.
pub const SHARED_OVERHEAD: u32 = 1;

/// Slot of the map `SHARED`, lean set: 1 once memory was refused to a traced socket: from then on
/// memory that is granted is looked at, too.
pub const SHARED_REFUSED: u32 = 2;
/// Slot of the map `SHARED`: goes up each time that a socket meets the tripwire.
pub const SHARED_TRIPS: u32 = 3;
/// Slots of the map `SHARED`.
pub const SHARED_SLOTS: u32 = 4;

/// Where the programs find a socket's slot: nowhere, so that they return at
/// once, for the bench; other values than these are the offset of
/// `sk_bpf_storage`, which says at a glance that a socket has none.
pub const SLOTS_NOWHERE: u32 = 0;
/// In a hash table, by the socket's address.
pub const SLOTS_IN_HASH: u32 = 1;
/// In socket storage, and it takes a call to see that a socket has none.
pub const SLOTS_IN_STORAGE: u32 = 2;

/// Which records the programs make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Records {
    /// Only where an account's state changes: over the limit for the first time or twice as far as
    /// last reported, held up, limit moved, closed. Replay cannot follow these.
    Transitions = 0,
    /// One for each call that changed the account: all that replay needs.
    Calls = 1,
    /// Also one for each hook within a call, for traces: allocations, memory
    /// granted or forced, user pages attached.
    Hooks = 2,
}

macro_rules! offsets {
    ($($(#[$m:meta])* $field:ident: $ty:literal . $path:literal $(optional $opt:literal)?,)*) => {
        /// Byte offsets of the fields that the programs read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(C)]
        pub struct Offsets {
            $($(#[$m])* #[doc = concat!("`", $ty, ".", $path, "`, in bytes, or [`ABSENT`].")] pub $field: u32,)*
            /// How far `sk_userlocks` is shifted within its byte, in bits: it
            /// is a bit-field of four bits up to 6.1, a `u8` after.
            pub userlocks_shift: u32,
            /// Mask of `sk_userlocks` after the shift.
            pub userlocks_mask: u32,
            /// How far `skc_bypass_prot_mem` is shifted within its byte, in bits.
            pub bypass_shift: u32,
            /// How far `rcv_wscale` is shifted within its byte, in bits.
            pub wscale_shift: u32,
            /// How far `chrono_type` is shifted within its byte, in bits.
            pub chrono_shift: u32,
            /// A jiffy, in ns.
            pub tick_ns: u32,
        }

        /// Type, path and offset slot of each field, for the reader of BTF:
        /// `(name, type, path, what its lack costs)`; an empty cost means that
        /// skmem cannot do without, "nothing" that a kernel which lacks the
        /// field lacks the thing.
        pub const FIELDS: &[(&str, &str, &str, &str)] = &[$((stringify!($field), $ty, $path, concat!("" $(, $opt)?)),)*];

        impl Offsets {
            /// No field known.
            pub const NONE: Self = Self { $($field: ABSENT,)* userlocks_shift: 0, userlocks_mask: 0, bypass_shift: 0, wscale_shift: 0, chrono_shift: 0, tick_ns: 0 };

            /// The slot of the field called `name`.
            pub fn slot(&mut self, name: &str) -> Option<&mut u32> {
                match name { $(stringify!($field) => Some(&mut self.$field),)* _ => None }
            }
        }
    };
}

offsets! {
    family: "sock_common"."skc_family",
    state: "sock_common"."skc_state",
    flags: "sock_common"."skc_flags" optional "sockets whose last runs the kernel skipped will seem to be open",
    num: "sock_common"."skc_num",
    dport: "sock_common"."skc_dport",
    daddr: "sock_common"."skc_daddr",
    rcv_saddr: "sock_common"."skc_rcv_saddr",
    v6_daddr: "sock_common"."skc_v6_daddr" optional "IPv6 addresses will be missing",
    v6_rcv_saddr: "sock_common"."skc_v6_rcv_saddr" optional "IPv6 addresses will be missing",
    net: "sock_common"."skc_net",
    net_inum: "net"."ns.inum",
    cookie: "sock_common"."skc_cookie" optional "sockets will have no cookie",
    protocol: "sock"."sk_protocol",
    sndbuf: "sock"."sk_sndbuf",
    wmem_queued: "sock"."sk_wmem_queued",
    forward_alloc: "sock"."sk_forward_alloc",
    wmem_alloc: "sock"."sk_wmem_alloc",
    userlocks: "sock"."sk_userlocks",
    write_queue: "sock"."sk_write_queue",
    rtx_queue: "sock"."tcp_rtx_queue" optional "acknowledged bytes still held will count as overhead",
    bpf_storage: "sock"."sk_bpf_storage" optional "sockets that no filter matched will cost more",
    socket_sk: "socket"."sk",
    sk_socket: "sock"."sk_socket" optional "owners of sockets older than skmem will not be found",
    socket_flags: "socket"."flags" optional "senders that wait in poll() will be missed where no call of theirs was refused",
    inode: "socket_alloc"."vfs_inode.i_ino" optional "owners of sockets older than skmem will not be found",
    write_seq: "tcp_sock"."write_seq",
    snd_una: "tcp_sock"."snd_una",
    snd_nxt: "tcp_sock"."snd_nxt",
    snd_wnd: "tcp_sock"."snd_wnd",
    mss_cache: "tcp_sock"."mss_cache",
    gso_segs: "tcp_sock"."gso_segs",
    notsent_lowat: "tcp_sock"."notsent_lowat" optional "waits for TCP_NOTSENT_LOWAT will be named after the limit",
    sysctl_notsent_lowat: "net"."ipv4.sysctl_tcp_notsent_lowat" optional "waits for net.ipv4.tcp_notsent_lowat will be named after memory",
    probe_size: "inet_connection_sock"."icsk_mtup.probe_size" optional "MTU probes will be named by the rest of their bytes",
    is_mptcp: "tcp_sock"."is_mptcp" optional "nothing",
    ulp_ops: "inet_connection_sock"."icsk_ulp_ops" optional "nothing",
    prot: "sock_common"."skc_prot" optional "memory granted over tcp_mem will show as granted",
    memory_allocated: "proto"."memory_allocated" optional "memory granted over tcp_mem will show as granted",
    memory_pressure: "proto"."memory_pressure" optional "memory granted over tcp_mem will show as granted",
    sysctl_mem: "proto"."sysctl_mem" optional "memory granted over tcp_mem will show as granted",
    rmem_alloc: "sock"."sk_backlog.rmem_alloc" optional "the receive side will not be traced",
    backlog_len: "sock"."sk_backlog.len" optional "the receive side will not be traced",
    rcvbuf: "sock"."sk_rcvbuf" optional "the receive side will not be traced",
    rcv_nxt: "tcp_sock"."rcv_nxt" optional "the receive side will not be traced",
    copied_seq: "tcp_sock"."copied_seq" optional "the receive side will not be traced",
    rcv_wnd: "tcp_sock"."rcv_wnd" optional "the receive side will not be traced",
    rcv_wup: "tcp_sock"."rcv_wup" optional "the receive side will not be traced",
    receive_queue: "sock"."sk_receive_queue" optional "what fills a receive buffer will not be known",
    error_queue: "sock"."sk_error_queue" optional "what fills a receive buffer will not be known",
    ofo_queue: "tcp_sock"."out_of_order_queue" optional "what fills a receive buffer will not be known",
    rcv_ssthresh: "tcp_sock"."rcv_ssthresh" optional "why a receive window is what it is will not be known",
    window_clamp: "tcp_sock"."window_clamp" optional "why a receive window is what it is will not be known",
    rcv_mss: "inet_connection_sock"."icsk_ack.rcv_mss" optional "why a receive window is what it is will not be known",
    rcv_wscale: "tcp_sock"."rx_opt.rcv_wscale" optional "why a receive window is what it is will not be known",
    scaling_ratio: "tcp_sock"."scaling_ratio" optional "nothing",
    adv_win_scale: "net"."ipv4.sysctl_tcp_adv_win_scale" optional "nothing",
    shrink_window: "net"."ipv4.sysctl_tcp_shrink_window" optional "nothing",
    msg_size: "sk_msg"."sg.size" optional "nothing",
    skb_truesize: "sk_buff"."truesize",
    skb_len: "sk_buff"."len" optional "the receive side will not be traced",
    user_data: "sock"."sk_user_data" optional "what a sockmap redirects will have no name until it is read",
    skb_sk: "sk_buff"."sk" optional "what leaves the error queue will be inferred",
    skb_cb: "sk_buff"."cb",
    msg_flags: "msghdr"."msg_flags" optional "spliced and zero-copied bytes will be named after the skb they are in",
    bypass: "sock_common"."skc_bypass_prot_mem" optional "nothing",
    reserved_mem: "sock"."sk_reserved_mem" optional "nothing",
    lock_owned: "sock"."sk_lock.owned" optional "MPTCP sockets will not be traced",
    msk_write_seq: "mptcp_sock"."write_seq" optional "nothing",
    msk_snd_una: "mptcp_sock"."snd_una" optional "nothing",
    msk_snd_nxt: "mptcp_sock"."snd_nxt" optional "nothing",
    msk_wnd_end: "mptcp_sock"."wnd_end" optional "nothing",
    msk_token: "mptcp_sock"."token" optional "nothing",
    msk_notsent_lowat: "mptcp_sock"."notsent_lowat" optional "nothing",
    msk_ack_seq: "mptcp_sock"."ack_seq" optional "nothing",
    msk_rcv_wnd_sent: "mptcp_sock"."rcv_wnd_sent" optional "nothing",
    msk_bytes_received: "mptcp_sock"."bytes_received" optional "nothing",
    msk_bytes_consumed: "mptcp_sock"."bytes_consumed" optional "nothing",
    msk_receive_queue: "mptcp_sock"."receive_queue" optional "nothing",
    msk_first: "mptcp_sock"."first" optional "nothing",
    task_flags: "task_struct"."flags" optional "MPTCP sockets that are accepted will be found when they read or send",
    cwnd: "tcp_sock"."snd_cwnd" optional "what holds a sender up will not be known",
    ssthresh: "tcp_sock"."snd_ssthresh" optional "what holds a sender up will not be known",
    srtt_us: "tcp_sock"."srtt_us" optional "what holds a sender up will not be known",
    packets_out: "tcp_sock"."packets_out" optional "what holds a sender up will not be known",
    lost_out: "tcp_sock"."lost_out" optional "what holds a sender up will not be known",
    sacked_out: "tcp_sock"."sacked_out" optional "what holds a sender up will not be known",
    retrans_out: "tcp_sock"."retrans_out" optional "what holds a sender up will not be known",
    total_retrans: "tcp_sock"."total_retrans" optional "what holds a sender up will not be known",
    retransmits: "inet_connection_sock"."icsk_retransmits" optional "timeouts in a row will not be counted",
    rto: "inet_connection_sock"."icsk_rto" optional "timeouts in a row will not be counted",
    lsndtime: "tcp_sock"."lsndtime" optional "timeouts in a row will not be counted",
    rcv_tstamp: "tcp_sock"."rcv_tstamp" optional "timeouts in a row will not be counted",
    backoff: "inet_connection_sock"."icsk_backoff" optional "window probes will not be counted",
    probes_out: "inet_connection_sock"."icsk_probes_out" optional "window probes will not be counted",
    ca_state: "inet_connection_sock"."icsk_ca_state" optional "the state of congestion control will not be known",
    wstamp_ns: "tcp_sock"."tcp_wstamp_ns" optional "pacing will not be seen",
    pacing_rate: "sock"."sk_pacing_rate" optional "pacing will not be seen",
    max_pacing_rate: "sock"."sk_max_pacing_rate" optional "pacing will not be seen",
    pacing_status: "sock"."sk_pacing_status" optional "pacing will not be seen",
    tsq_flags: "sock"."sk_tsq_flags" optional "a full queueing discipline will not be seen",
    chrono_start: "tcp_sock"."chrono_start" optional "the kernel's clocks of what limits a sender will not be read",
    chrono_stat: "tcp_sock"."chrono_stat" optional "the kernel's clocks of what limits a sender will not be read",
    chrono_type: "tcp_sock"."chrono_type" optional "the kernel's clocks of what limits a sender will not be read",
    task_tgid: "task_struct"."tgid" optional "children of a traced command will not be followed",
}
