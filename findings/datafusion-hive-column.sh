#!/bin/sh
# DataFusion 55.0.0: a table over Hive directories (host=a/) cannot be made where the files have the column as well, not
# even when PARTITIONED BY is not said. DuckDB 2.0.1 and polars 2.1.0 take the directory's value, and say nothing.
#
# Fails when that has changed.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check datafusion==55.0.0 duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1
"$dir/env/bin/python" - "$dir/lake" <<'PYTHON'
import os
import sys

import datafusion
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

lake = sys.argv[1]
os.makedirs(f"{lake}/host=000123")
pq.write_table(pa.table({"host": ["db-1"], "n": [1]}), f"{lake}/host=000123/a.parquet")
print(f"host=000123/a.parquet, in which host is 'db-1'")
d = duckdb.sql(f"SELECT host FROM read_parquet('{lake}/**/*.parquet', hive_partitioning = true)").fetchall()[0][0]
p = pl.scan_parquet(lake).collect()["host"][0]
print(f"DuckDB {duckdb.__version__}: {d!r}; polars {pl.__version__}: {p!r}")
for ddl in (f"CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{lake}/'",
            f"CREATE EXTERNAL TABLE t STORED AS PARQUET PARTITIONED BY (host) LOCATION '{lake}/'"):
    try:
        context = datafusion.SessionContext()
        context.sql(ddl)
        seen = str(context.sql("SELECT host FROM t").to_pylist())
    except Exception as failure:
        seen = str(failure).splitlines()[0]
    print(f"DataFusion {datafusion.__version__}: {ddl.replace(lake, 'lake')}\n    {seen}")
    assert "duplicate" in seen
PYTHON
