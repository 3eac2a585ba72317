#!/bin/sh
# The README's case, with programs that everybody has, and what other tools show of it (docs/compare.md):
#
#   cargo xtask vm --kernel 6.12 --memory 3G --with ss,socat,bpftrace,libbpf-tools,pcp \
#       --put docs/compare.sh=/opt/compare.sh -- sh /opt/compare.sh
#
# `dd` writes 1,024 bytes at a time to a socket whose SO_SNDBUF is 4,096; `sleep` holds the other end, and reads nothing.
PATH=/usr/sbin:/usr/bin:$PATH
ip=$(command -v ip) ss=/usr/bin/ss
$ip netns add a && $ip netns add b || exit
$ip link add va netns a type veth peer name vb netns b
$ip -n a addr add 192.0.2.1/24 dev va
$ip -n b addr add 192.0.2.2/24 dev vb
$ip -n a link set va gso_max_segs 10
$ip -n a link set va up
$ip -n b link set vb up

# Tools that follow what happens begin before it does.
follow() { timeout -s INT 90 "$@" > "/tmp/followed.$1" 2>&1 & }
follow bpftrace -e 'kprobe:sk_stream_wait_memory {
    $sk = (struct sock *)arg0;
    printf("%s waits: sk_wmem_queued %d, sk_sndbuf %d\n", comm, $sk->sk_wmem_queued, $sk->sk_sndbuf);
}'
follow tcptop
follow tcprtt
follow tcplife
until grep -q Attach /tmp/followed.bpftrace; do sleep 0.5; done
# The others say nothing when they are ready; emulated, they take seconds.
sleep 5

$ip netns exec b socat TCP-LISTEN:5001,reuseaddr EXEC:'sleep 900',nofork &
until $ip netns exec b $ss -Hltn | grep -q 5001; do sleep 0.1; done
$ip netns exec a socat TCP:192.0.2.2:5001,sndbuf=4096 EXEC:'dd if=/dev/zero bs=1024',nofork &
# Nothing is sent any more but window probes.
sleep 20

show() { echo "== $*"; "$@" 2>&1; }
show $ss -V
show $ip netns exec a $ss -tmi
show $ip netns exec b $ss -tm
show $ip netns exec a cat /proc/net/sockstat
show $ip netns exec a /usr/bin/nstat -as
# PCP's agent as a library of pminfo: no daemon. Its own list of names is complete only where PCP is installed.
agent=/usr/lib/pcp/pmdas/sockets
{ echo 'root { network }'; sed -n '/^network/,$p' $agent/pmns | sed 's/SOCKETS/154/'; } > /tmp/names
pcp="/usr/bin/pminfo -n /tmp/names -L -K clear -K add,154,$agent/pmda_sockets.so,sockets_init -f"
show /usr/bin/pminfo -V
names=$(printf 'network.persocket.%s ' sendq skmem.str skmem.wmem_queued skmem.snd_buf notsent timer.str busy)
show $ip netns exec a $pcp $names
show skmem snapshot --all-netns --explain
show skmem explain -d 4s --all --dport 5001 --brief
# Their summaries come with the end.
sleep 60
for file in /tmp/followed.*; do
    echo "== ${file#*.}"
    # tcptop draws a screen each second: those with a connection.
    grep -aE '[0-9A-Za-z]' "$file" | grep -avE '^PID|loadavg|: 0  ' | head -n 30
done
