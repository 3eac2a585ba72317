#!/usr/bin/env bash
# Rust 1.99.1: std's OpenOptionsExt::custom_flags(O_PATH) has no effect where the target is musl.
#
# Expected: "any access mode bits are masked out" of custom_flags (std's documentation), and O_PATH, which is none of O_RDONLY,
# O_WRONLY and O_RDWR, is passed on: the flags of the file have it, and the path of a socket can be opened.
# Seen: so it is with glibc. With musl, whose O_ACCMODE holds the bit of O_PATH, too (fcntl.h: for O_SEARCH and O_EXEC), that bit is
# masked out: nothing warns, a directory is opened for reading, and the path of a socket cannot be opened at all (ENXIO).
#
# Fails when that has changed. Needs rustup, which puts the toolchain into a temporary folder, and a linker of the system.
set -euo pipefail
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT
export RUSTUP_HOME=$TEMP/rustup
rustup toolchain install 1.99.1 --profile minimal --target x86_64-unknown-linux-gnu,x86_64-unknown-linux-musl \
    --no-self-update >/dev/null 2>&1
cat >"$TEMP/open.rs" <<'END'
use std::{fs, os::fd::AsRawFd, os::unix::{fs::OpenOptionsExt, net::UnixListener}};
/// O_PATH of asm-generic/fcntl.h.
const O_PATH: i32 = 0o10000000;
fn opened(path: &str) -> String {
    match fs::OpenOptions::new().read(true).custom_flags(O_PATH).open(path) {
        Err(error) => format!("cannot be opened: {error}"),
        Ok(file) => {
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
            let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
            format!("{} O_PATH", if flags & O_PATH != 0 { "has" } else { "lacks" })
        }
    }
}
fn main() {
    let directory = std::env::args().nth(1).unwrap();
    let socket = format!("{directory}/socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    println!("directory {}; socket {}", opened(&directory), opened(&socket));
    fs::remove_file(socket).unwrap();
}
END
rustup run 1.99.1 rustc --version
for libc in gnu musl; do
    rustup run 1.99.1 rustc -O --target "x86_64-unknown-linux-$libc" -o "$TEMP/open-$libc" "$TEMP/open.rs"
    printf '%s: ' "$libc" | tee -a "$TEMP/seen"
    "$TEMP/open-$libc" "$TEMP" | tee -a "$TEMP/seen"
done
grep -qx 'gnu: directory has O_PATH; socket has O_PATH' "$TEMP/seen"
grep -qx 'musl: directory lacks O_PATH; socket cannot be opened: No such device or address (os error 6)' "$TEMP/seen"
