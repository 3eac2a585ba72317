#!/usr/bin/env bash
# node_exporter 1.5.0 (Debian 12), textfile collector: a file with process_… metrics of another program.
#
# Expected: the names are those that Prometheus' client libraries give a program's own price, so a program that writes its
# metrics into a text file writes them along; they are shown beside node_exporter's, or the file is refused as a whole.
# Seen: node_exporter has the same names of itself. Each scrape logs an error for each of them ("has help … but should
# have …"), shows node_exporter's value alone and drops the other program's; nothing of it shows in the scrape
# (node_textfile_scrape_error is 0, the status is 200), and the rest of the file is there.
#
# Fails when that has changed. Needs python3, and a package of Debian 12.
set -euo pipefail
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get -q -o APT::Sandbox::User= download "prometheus-node-exporter=1.5.0-1+b6" >/dev/null
dpkg -x prometheus-node-exporter_*.deb root
mkdir texts
cat >texts/other.prom <<'END'
# HELP process_open_fds Descriptors of another program.
# TYPE process_open_fds gauge
process_open_fds 123456
# HELP other_things Things of another program.
# TYPE other_things gauge
other_things 7
END
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
exporter=root/usr/bin/prometheus-node-exporter
$exporter --version 2>&1 | head -n 1
$exporter --collector.disable-defaults --collector.textfile --collector.textfile.directory="$dir/texts" \
    --web.listen-address="127.0.0.1:$port" 2>log &
cat >ask.py <<'END'
import sys, time, urllib.request
for _ in range(100):
    try:
        answer = urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/metrics')
        break
    except OSError:
        time.sleep(0.1)
lines = answer.read().decode().splitlines()
of = lambda name: [line for line in lines if line.startswith(name + ' ')]
fds, things, error = of('process_open_fds'), of('other_things'), of('node_textfile_scrape_error')
print('status', answer.status, *fds, *things, *error, sep='; ')
log = open('log').read()
errors = log.count('metric family process_open_fds has help')
print('errors in the log:', errors)
good = answer.status == 200 and len(fds) == 1 and fds != ['process_open_fds 123456'] and things == ['other_things 7'] \
    and error == ['node_textfile_scrape_error 0'] and errors == 1
print('AS DESCRIBED' if good else 'CHANGED')
END
python3 ask.py "$port" | tee seen
grep -qx 'AS DESCRIBED' seen
