#!/usr/bin/env bash
# PCP 6.0.3 (Debian 12), pmdasockets: of all sockets with the same local address and port, one is shown.
#
# Expected: "per socket metrics" (pmdasockets(1)): an instance for each socket that ss lists.
# Seen: an instance's name is the protocol and the local end (tcp/127.0.0.1:5000), so all connections that a server has
# accepted on a port, and its listener, are one instance, with the values of one of them. Clients have ports of their own
# and are all there.
#
# Fails when that has changed. Needs ss and python3, and packages of Debian 12.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
for package in pcp pcp-conf libpcp3 libpcp-pmda3 libpcp-web1 libpcp-archive1; do
    apt-get -q -o APT::Sandbox::User= download "$package=6.0.3-1.1" >/dev/null
done
for deb in *.deb; do dpkg -x "$deb" root; done
sed "s|=/|=$dir/root/|" root/etc/pcp.conf >pcp.conf
agent=$dir/root/usr/lib/pcp/pmdas/sockets
# The agent's names, complete: what they include is made when PCP is installed.
{ echo 'root { network }'; sed -n '/^network/,$p' "$agent/pmns" | sed 's/SOCKETS/154/'; } >names

cat >program.py <<'END'
import re, socket, subprocess, sys
server = socket.create_server(('127.0.0.1', 5000))
held = [server]
for _ in range(10):
    client = socket.create_connection(('127.0.0.1', 5000))
    held += [client, server.accept()[0]]
agent = sys.argv[1] + '/pmda_sockets.so'
said = subprocess.run(['root/usr/bin/pminfo', '-n', 'names', '-L', '-K', 'clear', '-K', f'add,154,{agent},sockets_init',
                       '-f', 'network.persocket.state'], capture_output=True, text=True).stdout
shown = re.findall(r'"(tcp/[^"]*)"', said)
listed = [l.split() for l in subprocess.run(['ss', '-Htan'], capture_output=True, text=True).stdout.splitlines()]
ends = [line[3] for line in listed]
print('ss lists', len(ends), 'sockets,', ends.count('127.0.0.1:5000'), 'of them with the local end 127.0.0.1:5000')
print('pmdasockets has', len(shown), 'instances,', shown.count('tcp/127.0.0.1:5000'), 'of them of that end')
good = len(ends) == 21 and len(shown) == 11 and shown.count('tcp/127.0.0.1:5000') == 1
print('AS DESCRIBED' if good else 'CHANGED')
END
export PCP_CONF=$dir/pcp.conf LD_LIBRARY_PATH=$dir/root/usr/lib
root/usr/bin/pminfo -V
unshare --map-root-user --net sh -c 'ip link set lo up && exec python3 program.py "$1"' sh "$agent" | tee seen
grep -qx 'AS DESCRIBED' seen
