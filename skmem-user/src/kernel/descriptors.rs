//! Who holds which socket, as [`Owners::read`] finds it in `/proc`, from an iterator program: the
//! kernel walks all descriptors itself, where `/proc` takes a system call for each.
//!
//! The program is 25 instructions, put together here from the places of five fields. To
//! load it with the others' object would take longer than the walk saves: that is unpacked,
//! parsed, and makes all maps.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, ErrorKind, Read as _},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_prog_type};

use super::{
    btf::{self, Picked},
    rights, system,
};
use crate::diag::owners::{Descriptor, Owners};

/// Open files of the machine from which on the program costs less than `/proc`: what it takes to
/// have it, and what it saves for each descriptor, in instructions, is in docs/cost.md, "Who holds
/// what" (`cargo bench --bench snapshot`, 6.12).
const MANY: u64 = 3000;

/// `PROC_PID_INIT_INO` (include/linux/proc_ns.h, 5.10 to 7.2): the first pid namespace.
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// `SOCKFS_MAGIC` (include/uapi/linux/magic.h): the file system that sockets are files of.
const SOCKFS: i32 = 0x534f_434b;
/// `NSFS_MAGIC`: that of namespaces.
const NSFS: i32 = 0x6e73_6673;

/// What the kernel calls the program for: `DEFINE_BPF_ITER_FUNC(task_file, …)`
/// (kernel/bpf/task_iter.c, 5.8 on).
const WALK: &str = "bpf_iter_task_file";
/// What the program reads, in the order of its parameters.
const FIELDS: [(&str, &str); 5] = [
    ("file", "f_inode"),
    ("inode", "i_sb"),
    ("inode", "i_ino"),
    ("super_block", "s_magic"),
    ("task_struct", "tgid"),
];

/// Bytes that the program writes of a descriptor: the inode's number (8), the process (4), the
/// descriptor (4).
const RECORD: usize = 16;
/// In the descriptor: it is a namespace, not a socket.
const NAMESPACE: u32 = 1 << 31;

/// The kernel has refused the program, and will again.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Who holds what, in the way that is faster here: by the program where there are many files and
/// rights allow, from `/proc` otherwise.
///
/// # Errors
/// As for [`Owners::read`].
pub fn owners() -> io::Result<Owners> {
    if are_many() && may_walk() {
        match walk() {
            Ok(owners) => return Ok(owners),
            Err(error) => {
                log::debug!("descriptors are read from /proc: {error}");
                REFUSED.store(true, Ordering::Relaxed);
            }
        }
    }
    Owners::read()
}

/// Whether the files that are open are enough for the program to pay.
fn are_many() -> bool {
    let counts = fs::read_to_string("/proc/sys/fs/file-nr").unwrap_or_default();
    let open = counts.split_whitespace().next().map(str::parse);
    open.is_some_and(|open| open.is_ok_and(|open: u64| open >= MANY))
}

/// Whether the program says the same as `/proc` would, and is not refused for sure.
fn may_walk() -> bool {
    if cfg!(target_endian = "big") {
        return false;
    }
    // It gives processes the numbers of the first pid namespace. A `/proc` of another one than ours
    // has no `self`, or says which one is ours.
    let namespace = fs::metadata("/proc/self/ns/pid").map(|meta| meta.ino());
    // Where `hidepid` hides processes, their names are hidden, too.
    let all_are_seen = || File::open("/proc/1/comm").is_ok();
    !REFUSED.load(Ordering::Relaxed)
        && rights::may_trace()
        && namespace.is_ok_and(|inode| inode == FIRST_PID_NAMESPACE)
        && all_are_seen()
}

/// Who holds what, by the program. Unlike `/proc/PID/fd` it also sees what a thread holds that has
/// a table of descriptors of its own; that counts as its process's.
///
/// # Errors
/// Where the kernel has no such iterator (5.8 on has), shows no BTF, or refuses the program.
pub fn walk() -> io::Result<Owners> {
    let places = btf::pick(&mut File::open(btf::VMLINUX)?, WALK, &FIELDS)?;
    let places = places.ok_or_else(|| io::Error::other("this kernel's BTF lacks a field"))?;
    let mut found = Found::default();
    let mut walk = File::from(start(&places)?);
    let mut room = vec![0; 64 << 10];
    loop {
        let length = match walk.read(&mut room) {
            Ok(0) => break,
            Ok(length) => length,
            // It has seen a million descriptors of other kinds (`MAX_ITER_OBJECTS`).
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let (records, []) = room[..length].as_chunks::<RECORD>() else {
            return Err(io::Error::other("half a record"));
        };
        records.iter().for_each(|record| found.take(record));
    }
    Ok(Owners::of_walk(found.sockets, found.namespaces))
}

/// Whether the program could be made of this BTF.
///
/// # Errors
/// Where it cannot be read, or is no BTF.
pub fn is_known(btf: &mut (impl io::Read + io::Seek)) -> io::Result<bool> {
    Ok(btf::pick(btf, WALK, &FIELDS)?.is_some())
}

/// What the program has written.
#[derive(Default)]
struct Found {
    sockets: Vec<(u32, Descriptor)>,
    /// Network namespaces, with a path that opens them.
    namespaces: HashMap<u64, PathBuf>,
    /// Namespaces of other kinds.
    others: HashSet<u64>,
}

impl Found {
    fn take(&mut self, record: &[u8; RECORD]) {
        let (inode, rest) = record.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let (pid, rest) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let (inode, pid) = (u64::from_ne_bytes(*inode), u32::from_ne_bytes(*pid));
        let fd = u32::from_ne_bytes(rest.first_chunk().copied().unwrap_or_default());
        if fd & NAMESPACE != 0 {
            self.namespace(inode, pid, fd & !NAMESPACE);
        } else {
            let fd = fd.cast_signed();
            // sock_diag reports the low half.
            self.sockets.push((inode as u32, Descriptor { pid, fd }));
        }
    }

    /// Looks of which kind a namespace is that a descriptor holds open.
    fn namespace(&mut self, inode: u64, pid: u32, fd: u32) {
        if self.namespaces.contains_key(&inode) || self.others.contains(&inode) {
            return;
        }
        let path = PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
        let Ok(link) = fs::read_link(&path) else {
            return;
        };
        let link = link.to_string_lossy();
        if link == format!("net:[{inode}]") {
            self.namespaces.insert(inode, path);
        } else if link.ends_with(&format!(":[{inode}]")) {
            self.others.insert(inode);
        }
    }
}

/// Loads the program and begins a walk, which ends what it has loaded when it is closed.
fn start(places: &Picked<{ FIELDS.len() }>) -> io::Result<OwnedFd> {
    system::lift_memlock();
    let program = load(places)?;
    let mut attribute = empty();
    // Its fields that are not set are 0, too: nothing is asked of which tasks.
    attribute.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attribute.link_create.attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    let link = bpf(bpf_cmd::BPF_LINK_CREATE, &attribute)?;
    let mut attribute = empty();
    attribute.iter_create.link_fd = link.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_ITER_CREATE, &attribute)
}

fn load(places: &Picked<{ FIELDS.len() }>) -> io::Result<OwnedFd> {
    let mut fields = [0; FIELDS.len()];
    for (field, place) in fields.iter_mut().zip(places.fields) {
        *field = i16::try_from(place).map_err(io::Error::other)?;
    }
    let code = instructions(fields);
    let mut attribute = empty();
    // SAFETY: all of the union is zero, which is a value of this member.
    let load = unsafe { &mut attribute.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
    load.expected_attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    load.attach_btf_id = places.function;
    load.insns = code.as_ptr().addr() as u64;
    load.insn_cnt = code.len() as u32;
    load.license = c"Dual MIT/GPL".as_ptr().addr() as u64;
    for (to, from) in load.prog_name.iter_mut().zip(b"descriptors") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    bpf(bpf_cmd::BPF_PROG_LOAD, &attribute)
}

/// An attribute that asks for nothing.
fn empty() -> bpf_attr {
    // SAFETY: all members are plain numbers, for which 0 is a value.
    unsafe { std::mem::zeroed() }
}

/// bpf(2), of the commands that give a descriptor.
fn bpf(command: bpf_cmd, attribute: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the attribute is valid for its size, and what it points to outlives the call; the
    // kernel only reads from both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            &raw const *attribute,
            size_of::<bpf_attr>(),
        )
    };
    match result {
        // SAFETY: the kernel has just given it to us.
        0.. => Ok(unsafe { OwnedFd::from_raw_fd(result as libc::c_int) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The program, of `struct bpf_iter__task_file { meta, task, fd, file }`:
///
/// ```c
/// if (!file || !task)
///         return 0;
/// inode = file->f_inode;
/// magic = inode->i_sb->s_magic;
/// if (magic == NSFS)
///         fd |= NAMESPACE;
/// else if (magic != SOCKFS)
///         return 0;
/// record = { inode->i_ino, task->tgid, fd };
/// bpf_seq_write(meta->seq, &record, sizeof(record));
/// return 0;
/// ```
///
/// All loads go through types that the verifier knows, so that a pointer that leads nowhere reads
/// as 0. Not the inode's mode but its file system says what it is: a path socket that is open with
/// `O_PATH` has the mode of a socket.
fn instructions(fields: [i16; FIELDS.len()]) -> [u64; 25] {
    // BPF_FUNC_seq_write
    const SEQ_WRITE: i32 = 127;
    let [f_inode, i_sb, i_ino, s_magic, tgid] = fields;
    // Jumps say which instruction they go to.
    let mut code = [
        instruction(COPY, 6, 1, 0, 0),
        instruction(LOAD_DOUBLE, 7, 6, 24, 0),
        instruction(IF_EQUAL, 7, 0, 23, 0),
        instruction(LOAD_DOUBLE, 8, 6, 8, 0),
        instruction(IF_EQUAL, 8, 0, 23, 0),
        instruction(LOAD_DOUBLE, 9, 7, f_inode, 0),
        instruction(LOAD_DOUBLE, 1, 9, i_sb, 0),
        instruction(LOAD_DOUBLE, 1, 1, s_magic, 0),
        instruction(LOAD_WORD, 2, 6, 16, 0),
        instruction(IF_EQUAL, 1, 0, 12, SOCKFS),
        instruction(UNLESS_EQUAL, 1, 0, 23, NSFS),
        instruction(OR, 2, 0, 0, NAMESPACE.cast_signed()),
        // 12: a socket, too.
        instruction(STORE_WORD, 10, 2, -4, 0),
        instruction(LOAD_WORD, 1, 8, tgid, 0),
        instruction(STORE_WORD, 10, 1, -8, 0),
        instruction(LOAD_DOUBLE, 1, 9, i_ino, 0),
        instruction(STORE_DOUBLE, 10, 1, -16, 0),
        instruction(LOAD_DOUBLE, 1, 6, 0, 0),
        instruction(LOAD_DOUBLE, 1, 1, 0, 0),
        instruction(COPY, 2, 10, 0, 0),
        instruction(ADD, 2, 0, 0, -(RECORD as i32)),
        instruction(SET, 3, 0, 0, RECORD as i32),
        instruction(CALL, 0, 0, 0, SEQ_WRITE),
        // 23: the end.
        instruction(SET, 0, 0, 0, 0),
        instruction(EXIT, 0, 0, 0, 0),
    ];
    for (at, one) in code.iter_mut().enumerate() {
        if matches!(*one as u8, IF_EQUAL | UNLESS_EQUAL) {
            // From the next one on.
            let offset = (*one >> 16) as i16 - at as i16 - 1;
            *one = *one & !(0xffff << 16) | u64::from(offset.cast_unsigned()) << 16;
        }
    }
    code
}

// Operations of `include/uapi/linux/bpf.h` and `bpf_common.h`: class, size or source, and what.
const LOAD_WORD: u8 = 0x61;
const STORE_WORD: u8 = 0x63;
const LOAD_DOUBLE: u8 = 0x79;
const STORE_DOUBLE: u8 = 0x7b;
const ADD: u8 = 0x07;
const OR: u8 = 0x47;
const SET: u8 = 0xb7;
const COPY: u8 = 0xbf;
const IF_EQUAL: u8 = 0x15;
const UNLESS_EQUAL: u8 = 0x55;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// `struct bpf_insn`, of a machine whose low bytes come first.
const fn instruction(operation: u8, to: u8, from: u8, offset: i16, number: i32) -> u64 {
    operation as u64
        | (to as u64) << 8
        | (from as u64) << 12
        | (offset.cast_unsigned() as u64) << 16
        | (number.cast_unsigned() as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_end_where_they_say() {
        let code = instructions([1, 2, 3, 4, 5]);
        let offset = |at: usize| (code[at] >> 16) as i16;
        assert_eq!((offset(2), offset(4), offset(10)), (20, 18, 12));
        assert_eq!((offset(9), offset(12), offset(15)), (2, -4, 3));
        assert_eq!(code[22], 127 << 32 | 0x85);
        assert_eq!(code[24], 0x95);
    }

    #[test]
    fn records_are_sockets_and_namespaces() {
        let mut found = Found::default();
        let record = |inode: u64, fd: u32| {
            let mut bytes = [0; RECORD];
            bytes[..8].copy_from_slice(&inode.to_ne_bytes());
            bytes[8..12].copy_from_slice(&u32::MAX.to_ne_bytes());
            bytes[12..].copy_from_slice(&fd.to_ne_bytes());
            bytes
        };
        found.take(&record(1 << 32 | 5, 7));
        // There is no such process.
        found.take(&record(6, NAMESPACE | 8));
        let held = Descriptor {
            pid: u32::MAX,
            fd: 7,
        };
        assert_eq!(found.sockets, [(5, held)]);
        assert!(found.namespaces.is_empty() && found.others.is_empty());
    }

    #[test]
    fn a_namespace_is_taken_for_what_its_link_says() {
        let mut found = Found::default();
        let open = |kind: &str| {
            let file = File::open(format!("/proc/self/ns/{kind}")).unwrap();
            let inode = file.metadata().unwrap().ino();
            (inode, file)
        };
        let ((net, net_file), (uts, uts_file)) = (open("net"), open("uts"));
        let pid = std::process::id();
        let fd = |file: &File| file.as_raw_fd().cast_unsigned();
        // Closed since, and something else is there.
        found.namespace(net, pid, fd(&uts_file));
        found.namespace(net, pid, fd(&net_file));
        found.namespace(uts, pid, fd(&uts_file));
        let path = PathBuf::from(format!("/proc/{pid}/fd/{}", fd(&net_file)));
        assert_eq!(found.namespaces, HashMap::from([(net, path)]));
        assert_eq!(found.others, HashSet::from([uts]));
    }

    #[test]
    fn owners_are_found_in_one_way_or_the_other() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
        let inode = fs::metadata(path).unwrap().ino() as u32;
        let held = Descriptor {
            pid: std::process::id(),
            fd: socket.as_raw_fd(),
        };
        assert!(owners().unwrap().of(inode).any(|other| other == held));
        // Where it may not be loaded, or there is none, that is an error.
        if may_walk()
            && let Ok(owners) = walk()
        {
            assert!(owners.of(inode).any(|other| other == held));
        }
    }
}
