#!/usr/bin/env bash
# bpftrace 0.17.0 (Debian 12) on Linux 6.12: `func` of a kretprobe is the function that is returned to.
#
# Expected: "name of the current function being traced" (bpftrace(8)): the same at entry and at return, so that many functions
# can be timed with one script: kprobe:tcp_* { @start[tid, func] = nsecs } and its kretprobe.
# Seen: of kretprobe:tcp_sendmsg, func is the caller, __sys_sendto here. @start[tid, func] is never found at return, nothing warns,
# and a table by func has the callers' names.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
import re, subprocess
for kind, place in ('tracefs', '/sys/kernel/tracing'), ('debugfs', '/sys/kernel/debug'):
    subprocess.run(['/bin/busybox', 'mount', '-t', kind, kind, place], check=True)
script = '''
kprobe:tcp_sendmsg { @entered[func] = count(); @start[tid, func] = nsecs; }
kretprobe:tcp_sendmsg {
    @returned[func] = count();
    if (@start[tid, func] != 0) { @found += 1; }
    @n += 1;
    if (@n >= 100) { exit(); }
}
'''
tracer = subprocess.Popen(['/usr/bin/bpftrace', '-e', script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
a, b = pair()
end = time.time() + 180
while tracer.poll() is None and time.time() < end:
    a.send(b'x')
    b.recv(1)
    time.sleep(0.02)
tracer.kill()
said = tracer.communicate()[0]
print(subprocess.run(['/usr/bin/bpftrace', '--version'], capture_output=True, text=True).stdout.strip())
print(*[line for line in said.splitlines() if line.startswith('@') and not line.startswith('@start')], sep='\n')
def names(of): return re.findall(r'^@%s\[(\w+)\]' % of, said, re.M)
good = names('entered') == ['tcp_sendmsg'] and names('returned') and 'tcp_sendmsg' not in names('returned')
good = good and re.search('^@n: [1-9]', said, re.M) and not re.search('^@found: [1-9]', said, re.M)
print('AS DESCRIBED' if good else 'CHANGED')
END
GUEST_PACKAGES="libpython3.11-stdlib bpftrace=0.17.0-1" GUEST_MEMORY=2048
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
