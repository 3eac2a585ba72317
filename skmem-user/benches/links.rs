//! What it takes to load, attach, run and take away programs at the entry and the exit of
//! functions, in the ways that kernels have for it: 7.2 has sessions, one program for both, and
//! links of one program to many functions. The programs return at once. Below: what such programs
//! may do.
//!
//! `cargo bench --bench links`, as root, in a VM of one processor whose clock counts instructions
//! (`cargo xtask vm --icount`).

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::Instant,
};

use anyhow::{Context as _, Result};
use aya_obj::{
    btf::{Btf, BtfKind},
    generated::bpf_cmd,
};

/// Functions that skmem hooks; the first one's first argument is a socket.
const FUNCTIONS: &str = "tcp_sendmsg_locked tcp_sendmsg tcp_stream_alloc_skb __sk_mem_schedule \
     tcp_ack tcp_write_xmit tcp_fragment __tcp_retransmit_skb tcp_retransmit_skb tcp_send_fin \
     tcp_connect tcp_write_queue_purge tcp_trim_head tcp_write_wakeup tcp_send_loss_probe tcp_reset \
     sk_stream_wait_memory sk_stream_wait_connect sk_setsockopt sk_stream_write_space";
type Pair = (TcpStream, TcpStream);
/// Sends that are measured together.
const SENDS: u32 = 500;

// `enum bpf_attach_type`
const FSESSION: u32 = 58;
const FSESSION_MULTI: u32 = 61;

/// Types of the programs; those above `FSESSION` are for all functions, with one link.
const WAYS: [(&str, &[u32]); 4] = [
    ("fentry, fexit", &[24, 25]),
    ("fsession", &[FSESSION]),
    ("fentry.multi, fexit.multi", &[59, 60]),
    ("fsession.multi", &[FSESSION_MULTI]),
];

fn main() -> Result<()> {
    let btf = Btf::from_sys_fs()?;
    let function = |name: &str| btf.id_by_type_name_kind(name, BtfKind::Func).ok();
    let functions: Vec<u32> = FUNCTIONS.split(' ').filter_map(function).collect();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    let pair = &mut (client, listener.accept()?.0);
    send(pair)?;
    let mut out = io::stdout();
    writeln!(out, "a send with nothing attached: {}\n", send(pair)?)?;
    writeln!(out, "| | functions | load | attach | take away | a send |")?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|")?;
    for (name, types) in WAYS {
        for functions in [&functions[..], &functions[..1]] {
            let row = measure(types, functions, pair);
            let row = row.unwrap_or_else(|error| format!(" {error:#}"));
            writeln!(out, "| {name} | {} |{row}", functions.len())?;
        }
    }
    writeln!(out, "\n| | fsession | fsession.multi |\n|---|---|---|")?;
    for (what, code) in programs(&btf) {
        let code = [&code[..], &END].concat();
        let types = [(FSESSION, functions[0]), (FSESSION_MULTI, 0)];
        let [one, many] = types.map(|(kind, function)| match load(kind, function, &code) {
            Ok(_) => "yes".to_owned(),
            Err(error) => error.to_string(),
        });
        writeln!(out, "| {what} | {one} | {many} |")?;
    }
    Ok(())
}

/// What each step takes, as cells of a row; of sends, one.
fn measure(types: &[u32], functions: &[u32], pair: &mut Pair) -> Result<String> {
    let (targets, together) = match types[0] > FSESSION {
        true => (&[0][..], functions),
        false => (functions, &[][..]),
    };
    let (mut programs, mut links) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    for function in targets {
        for kind in types {
            let program = load(*kind, *function, &END).context("cannot be loaded")?;
            programs.push((*kind, program));
        }
    }
    let loaded = Instant::now();
    for (kind, program) in &programs {
        links.push(link(program, *kind, together).context("cannot be attached")?);
    }
    let (load, attach) = (loaded - begin, loaded.elapsed());
    let send = send(pair)?;
    let begin = Instant::now();
    drop((links, programs));
    let [load, attach, end] = [load, attach, begin.elapsed()].map(|time| time.as_nanos());
    Ok(format!(" {load} | {attach} | {end} | {send} |"))
}

/// What a program might want to do, and how.
fn programs(btf: &Btf) -> [(&'static str, Vec<u64>); 8] {
    let id = |name, kind| btf.id_by_type_name_kind(name, kind).unwrap_or(0) as i32;
    let sock = id("sock", BtfKind::Struct);
    let helper = |number| instruction(CALL, 0, 0, 0, number);
    let kfunc = |name| instruction(CALL, 0, 2, 0, id(name, BtfKind::Func));
    // ctx[0], or bpf_get_func_arg(ctx, 0, fp - 8)
    let typed = vec![instruction(LOAD, 1, 1, 0, 0)];
    let number = vec![
        instruction(SET, 2, 0, 0, 0),
        instruction(COPY, 3, 10, 0, 0),
        instruction(ADD, 3, 0, 0, -8),
        helper(183),
        instruction(LOAD, 1, 10, -8, 0),
    ];
    let mut cast = number.clone();
    cast.push(instruction(SET, 2, 0, 0, sock));
    cast.push(kfunc("bpf_rdonly_cast"));
    cast.push(instruction(COPY, 1, 0, 0, 0));
    let then = |code: &[u64], last| [code, &[last]].concat();
    let family = instruction(LOAD_HALF, 0, 1, 16, 0);
    [
        ("its cookie", vec![helper(174)]),
        ("entry or exit", vec![kfunc("bpf_session_is_return")]),
        ("a field of the argument", then(&typed, family)),
        ("`bpf_skc_to_tcp_sock` of it", then(&typed, helper(137))),
        ("the argument as a number", number),
        ("a field of it, by `bpf_rdonly_cast`", then(&cast, family)),
        ("`bpf_skc_to_tcp_sock` of that", then(&cast, helper(137))),
        ("`bpf_get_socket_cookie` of that", then(&cast, helper(46))),
    ]
}

/// What sending 1,024 bytes to oneself and reading them takes.
fn send((to, from): &mut Pair) -> Result<u128> {
    let mut room = [0; 1024];
    let begin = Instant::now();
    for _ in 0..SENDS {
        to.write_all(&[7; 1024])?;
        from.read_exact(&mut room)?;
    }
    Ok(begin.elapsed().as_nanos() / u128::from(SENDS))
}

fn load(attach_type: u32, function: u32, code: &[u64]) -> io::Result<OwnedFd> {
    // `union bpf_attr` of this command, in words of 4 bytes; 26 is BPF_PROG_TYPE_TRACING.
    let mut attribute = [0; 28];
    (attribute[0], attribute[1]) = (26, code.len() as u32);
    put(&mut attribute[2..], code.as_ptr().addr());
    put(&mut attribute[4..], c"Dual MIT/GPL".as_ptr().addr());
    (attribute[17], attribute[27]) = (attach_type, function);
    bpf(bpf_cmd::BPF_PROG_LOAD, &attribute)
}

/// Attaches a program to its function, or to these.
fn link(program: &OwnedFd, attach_type: u32, functions: &[u32]) -> io::Result<OwnedFd> {
    let mut attribute = [0; 10];
    (attribute[0], attribute[2]) = (program.as_raw_fd().cast_unsigned(), attach_type);
    if !functions.is_empty() {
        put(&mut attribute[4..], functions.as_ptr().addr());
        attribute[8] = functions.len() as u32;
    }
    bpf(bpf_cmd::BPF_LINK_CREATE, &attribute)
}

fn put(words: &mut [u32], address: usize) {
    (words[0], words[1]) = (address as u32, (address >> 32) as u32);
}

/// bpf(2), of the commands that give a descriptor.
fn bpf(command: bpf_cmd, attribute: &[u32]) -> io::Result<OwnedFd> {
    let (attribute, size) = (attribute.as_ptr(), size_of_val(attribute));
    // SAFETY: the attribute is valid for its size, and what it points to outlives the call; the
    // kernel only reads from both.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, attribute, size) };
    match result {
        // SAFETY: the kernel has just given it to us.
        0.. => Ok(unsafe { OwnedFd::from_raw_fd(result as libc::c_int) }),
        _ => Err(io::Error::last_os_error()),
    }
}

// Operations of `include/uapi/linux/bpf.h` and `bpf_common.h`.
const LOAD: u8 = 0x79;
const LOAD_HALF: u8 = 0x69;
const ADD: u8 = 0x07;
const SET: u8 = 0xb7;
const COPY: u8 = 0xbf;
const CALL: u8 = 0x85;
/// Returns 0.
const END: [u64; 2] = [instruction(SET, 0, 0, 0, 0), instruction(0x95, 0, 0, 0, 0)];

/// `struct bpf_insn`, of a machine whose low bytes come first.
const fn instruction(operation: u8, to: u8, from: u8, offset: i16, number: i32) -> u64 {
    let registers = ((to | from << 4) as u64) << 8;
    let offset = (offset.cast_unsigned() as u64) << 16;
    operation as u64 | registers | offset | (number.cast_unsigned() as u64) << 32
}
