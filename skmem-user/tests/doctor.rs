//! `skmem doctor --btf FILE`: a file of types from anywhere, whole, cut or no such thing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn doctor(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skmem"))
        .args(["doctor", "--btf"])
        .arg(file)
        .output()
        .unwrap()
}

fn seed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/btf/all-fields")
}

/// One line on stderr that begins so, nothing on stdout, and no panic.
fn refused(output: &Output, begin: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with(begin), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(output.stdout, [] as [u8; 0]);
}

#[test]
fn the_types_of_another_kernel() {
    let output = doctor(&seed());
    let text = String::from_utf8_lossy(&output.stdout);
    // All fields, and no function at all.
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(
        text.starts_with("skmem cannot trace on a kernel with these types"),
        "{text}"
    );
    assert!(text.contains("tcp_sendmsg_locked"), "{text}");
    assert!(
        text.contains("not known: no function of ftrace is named"),
        "{text}"
    );
    assert!(!text.contains("field "), "{text}");
}

#[test]
fn cut_and_foreign_files_are_refused_in_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let whole = fs::read(seed()).unwrap();
    for length in [0, 1, 23, 24, whole.len() / 2, whole.len() - 1] {
        let file = directory.path().join("cut");
        fs::write(&file, &whole[..length]).unwrap();
        refused(&doctor(&file), "skmem: cannot parse ");
    }
    // Without an end.
    refused(&doctor(Path::new("/dev/zero")), "skmem: cannot parse ");
    refused(&doctor(directory.path()), "skmem: cannot read ");
    let hostile = directory.path().join("a\x1b[2J\nb");
    let output = doctor(&hostile);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains('\x1b'), "{stderr:?}");
}
