#!/bin/sh
# fastparquet 2026.9.0: a column of lists of structs is None in every row, with no error and no warning. The same file
# has its lists in pyarrow 26.0.1.
#
# Fails when that has changed.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check fastparquet==2026.9.0 pyarrow==26.0.1 pandas==3.1.1
"$dir/env/bin/python" -W error -W ignore::ResourceWarning - "$dir/a.parquet" <<'PYTHON'
import sys

import fastparquet
import pyarrow as pa
import pyarrow.parquet as pq

path = sys.argv[1]
ops = pa.array([[{"op": "book", "bytes": 896}], [], [{"op": "admit", "bytes": 8192}]])
pq.write_table(pa.table({"n": [1, 2, 3], "ops": ops}), path)
expected = pq.read_table(path).column("ops").to_pylist()
frame = fastparquet.ParquetFile(path).to_pandas()
print(f"fastparquet {fastparquet.__version__}: a column LIST<STRUCT<op, bytes>> beside an INT64 one")
print(f"expected: {expected} (pyarrow {pa.__version__})")
print(f"seen:     columns {list(frame.columns)}: {frame.to_dict('list')}")
assert list(frame["n"]) == [1, 2, 3]
assert expected[0] == [{"op": "book", "bytes": 896}]
assert all(value is None for name in frame.columns if name != "n" for value in frame[name])
PYTHON
