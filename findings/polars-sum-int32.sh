#!/bin/sh
# polars 2.1.0: the sum of a column of 32 bits has 32 bits, in SQL, too, and wraps in silence. SQL's SUM of INTEGER is
# wider in DuckDB 2.0.1, and in most engines.
#
# Fails when that has changed.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 duckdb==2.0.1 pyarrow==26.0.1
"$dir/env/bin/python" - <<'PYTHON'
import duckdb
import polars as pl

t = pl.DataFrame({"bytes": pl.Series([2_000_000_000, 2_000_000_000], dtype=pl.Int32)})
query = "SELECT SUM(bytes) AS bytes FROM t"
seen = pl.SQLContext(t=t).execute(query, eager=True)
expected = duckdb.sql(query).fetchall()[0][0]
print(f"polars {pl.__version__}: {query} of two times 2,000,000,000 (Int32)")
print(f"expected: {expected} (DuckDB {duckdb.__version__})")
print(f"seen:     {seen['bytes'][0]} ({seen['bytes'].dtype}), no error")
assert int(expected) == 4_000_000_000
assert seen["bytes"][0] == -294_967_296
PYTHON
