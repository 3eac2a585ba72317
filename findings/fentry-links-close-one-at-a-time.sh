#!/usr/bin/env bash
# Linux 6.12 with CONFIG_PREEMPTION (Debian's): a tracer that ends waits more than 100 ms for each function that it
# had hooked with fentry or fexit, and closing its links from several threads does not help.
#
# Expected: closing a link costs its text patching, milliseconds, and waits of several links go on at the same time.
# Seen: each close() of the last link on a function waits in synchronize_rcu_tasks(), by ftrace_shutdown() in
# kernel/trace/ftrace.c; RCU Tasks sleeps at least 100 ms between grace periods (rcu_tasks.gp_sleep = HZ / 10 in
# kernel/rcu/tasks.h); and unregister_ftrace_direct() holds direct_mutex meanwhile. The process hardly runs in that time.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
import ctypes, os, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)
BPF, PROG_LOAD, RAW_TRACEPOINT_OPEN, TRACING, FENTRY = 321, 5, 17, 26, 24
FUNCTIONS = '''tcp_sendmsg tcp_recvmsg tcp_close tcp_connect tcp_v4_rcv tcp_rcv_established tcp_sendmsg_locked tcp_setsockopt
tcp_getsockopt tcp_shutdown tcp_disconnect tcp_poll'''.split()

def bpf(command, attributes):
    room = ctypes.create_string_buffer(attributes, 128)
    fd = libc.syscall(BPF, command, room, 128)
    if fd < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd

def functions():
    """Their numbers in the kernel's BTF."""
    btf = open('/sys/kernel/btf/vmlinux', 'rb').read()
    head, types, length, strings = struct.unpack_from('<4I', btf, 4)
    sizes = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0), 15: (0, 12), 17: (4, 0), 19: (0, 12)}
    at, number, found, end = head + types, 0, {}, head + types + length
    while at < end:
        name, info, _ = struct.unpack_from('<3I', btf, at)
        number, kind = number + 1, info >> 24 & 31
        if kind == 12:
            text = btf[head + strings + name:btf.index(0, head + strings + name)].decode()
            if text in FUNCTIONS: found[text] = number
        fixed, each = sizes.get(kind, (0, 0))
        at += 12 + fixed + each * (info & 0xffff)
    return list(found.values())

# r0 = 0; exit
CODE = ctypes.create_string_buffer(struct.pack('<BBhi', 0xb7, 0, 0, 0) + struct.pack('<BBhi', 0x95, 0, 0, 0))
LICENSE = ctypes.create_string_buffer(b'GPL')
def attach(function):
    load = struct.pack('<IIQQ', TRACING, 2, ctypes.addressof(CODE), ctypes.addressof(LICENSE)).ljust(68, b'\0')
    load = (load + struct.pack('<I', FENTRY)).ljust(108, b'\0') + struct.pack('<I', function)
    program = bpf(PROG_LOAD, load)
    return bpf(RAW_TRACEPOINT_OPEN, struct.pack('<QI', 0, program)), program

def timed(what):
    wall, own = time.monotonic(), time.process_time()
    what()
    return time.monotonic() - wall, time.process_time() - own

def one_by_one(links):
    for link, _ in links: os.close(link)

def in_threads(links):
    threads = [threading.Thread(target=os.close, args=(link,)) for link, _ in links]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

all = functions()
print(len(all), 'functions')
seen = []
for name, close in ('one after the other', one_by_one), ('from a thread each', in_threads):
    links = [attach(f) for f in all]
    wall, own = timed(lambda: close(links))
    for _, program in links: os.close(program)
    print('closed', name, ': %.2f s, of which the process ran %.2f s; %.3f s a function' % (wall, own, wall / len(all)))
    seen.append((wall, own))
wait = min(wall - own for wall, own in seen) / len(all)
print('AS DESCRIBED' if len(all) > 8 and wait > 0.05 else 'CHANGED')
END
GUEST_PACKAGES=python3.11
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
