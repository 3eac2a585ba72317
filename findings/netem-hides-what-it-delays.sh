#!/usr/bin/env bash
# Linux 6.12, iproute2 6.1.0: t in ss -m (sk_wmem_alloc) is next to nothing while a netem queueing discipline holds 65 kB of
# the socket's packets.
#
# Expected: t is what the queueing discipline and the network card still hold.
# Seen: netem takes packets from their socket when it queues them (skb_orphan), so t does not count them. With the same
# data behind tbf, t does.
. "$(dirname "$0")/guest.bash"

GUEST_PACKAGES="iproute2"
cat >"$TEMP/program.py" <<'END'
from sockets import *
import re, subprocess
def tc(*words): return subprocess.run(('/sbin/tc',) + words, check=True, capture_output=True, text=True).stdout
def held(*qdisc):
    tc('qdisc', 'replace', 'dev', 'lo', 'root', *qdisc)
    # The connection itself is quick: its packets are few.
    a, b = pair()
    a.setblocking(False)
    a.send(b'x' * 100000)
    time.sleep(0.1)
    backlog = int(re.search(r'backlog (\d+)(K?)b', tc('-s', 'qdisc', 'show', 'dev', 'lo')).group(1))
    backlog *= 1024 if 'Kb' in tc('-s', 'qdisc', 'show', 'dev', 'lo').split('backlog')[1][:12] else 1
    t = mem(a)['t']
    tc('qdisc', 'del', 'dev', 'lo', 'root')
    return backlog, t
netem = held('netem', 'delay', '600ms')
tbf = held('tbf', 'rate', '1mbit', 'burst', '70000', 'limit', '1000000')
print('netem: backlog', netem[0], 'bytes, t', netem[1])
print('tbf:   backlog', tbf[0], 'bytes, t', tbf[1])
good = netem[0] > 10000 and netem[1] * 10 < netem[0] and tbf[0] > 10000 and tbf[1] * 4 > tbf[0]
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "sch_netem sch_tbf" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
