#!/bin/sh
# dlmalloc 0.2.14, the Rust crate: large memory that is freed stays resident.
#
# Expected: it is a port of dlmalloc, which maps pieces of 256 KiB and more (DEFAULT_MMAP_THRESHOLD) by themselves and
# unmaps them when they are freed, as glibc's malloc does from 128 KiB on.
# Seen: it takes all of them from one heap. 100 pieces of 1 MiB, written to and freed, with a small one after each that
# lives on, stay resident; under glibc they are gone.
#
# Fails when that has changed. Needs cargo, and a C library that is glibc.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat > "$dir/Cargo.toml" <<'END'
[package]
name = "held"
version = "0.0.0"
edition = "2021"
[features]
port = ["dep:dlmalloc"]
[dependencies]
dlmalloc = { version = "=0.2.14", features = ["global"], optional = true }
END
cat > "$dir/src/main.rs" <<'END'
#[cfg(feature = "port")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096 >> 20
}

fn main() {
    let before = resident();
    let mut large = Vec::new();
    let mut small = Vec::new();
    for n in 0..100_u8 {
        large.push(vec![n | 1; 1 << 20]);
        small.push(Box::new([n; 64]));
    }
    let full = resident();
    drop(large);
    let freed = resident();
    println!("{} {} {}", full - before, freed - before, small.len());
}
END
cd "$dir"
report() {
    # shellcheck disable=SC2086
    cargo run --quiet --release $1
}
glibc=$(report "")
port=$(report "--features port")
echo "MiB that 100 pieces of 1 MiB take, and that are left when they are freed"
echo "glibc:           $glibc"
echo "dlmalloc 0.2.14: $port"
[ "$(getconf PAGESIZE)" = 4096 ]
[ "$(echo "$glibc" | cut -d' ' -f2)" -lt 10 ]
[ "$(echo "$port" | cut -d' ' -f2)" -ge 95 ]
