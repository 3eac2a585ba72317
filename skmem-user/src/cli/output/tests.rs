//! Real files, FIFOs, links and devices.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

fn export(path: &Path, force: bool, text: &str) -> Result<()> {
    Output::new(Target::new(path, force)?, Access::Owner)?.write(|mut out| {
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    })
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("a name")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_file_that_is_there_is_refused_without_force() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.csv");
    export(&path, false, "one").expect("written");
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let error = export(&path, false, "two").expect_err("refused");
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(fs::read(&path).expect("a file"), b"one");
    export(&path, true, "two").expect("replaced");
    assert_eq!(fs::read(&path).expect("a file"), b"two");
    assert_eq!(names(dir.path()), ["a.csv"]);
}

#[test]
fn links_stay_and_what_they_point_to_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("far")).expect("a directory");
    let (link, other) = (dir.path().join("link"), dir.path().join("other"));
    symlink("other", &link).expect("a link");
    symlink("far/file", &other).expect("a link");
    // It points to nothing yet.
    export(&link, false, "one").expect("written");
    assert!(export(&link, false, "two").is_err());
    export(&link, true, "two").expect("written");
    assert_eq!(
        fs::read(dir.path().join("far/file")).expect("a file"),
        b"two"
    );
    assert!(link.is_symlink() && other.is_symlink());
    symlink("loop", dir.path().join("loop")).expect("a link");
    let error = export(&dir.path().join("loop"), true, "x").expect_err("a loop");
    assert!(format!("{error:#}").contains("loop"), "{error:#}");
}

#[test]
fn fifos_and_devices_are_written_to_and_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    let fifo = dir.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || {
            let mut text = String::new();
            File::open(fifo)
                .expect("opened")
                .read_to_string(&mut text)
                .expect("read");
            text
        }
    });
    export(&fifo, false, "through").expect("written");
    assert_eq!(reader.join().expect("a reader"), "through");
    assert!(fs::metadata(&fifo).expect("a FIFO").file_type().is_fifo());
    export(Path::new("/dev/null"), false, "x").expect("written");
    assert!(
        fs::metadata("/dev/null")
            .expect("it")
            .file_type()
            .is_char_device()
    );
    // A link to a device.
    let link = dir.path().join("null");
    symlink("/dev/null", &link).expect("a link");
    export(&link, true, "x").expect("written");
    assert!(link.is_symlink());
}

#[test]
fn a_full_disk_names_the_file_and_leaves_nothing() {
    let full = export(Path::new("/dev/full"), false, "x").expect_err("full");
    assert_eq!(
        format!("{full:#}"),
        "cannot write /dev/full: No space left on device (os error 28)"
    );
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.csv");
    fs::write(&path, "old").expect("a file");
    let target = Target::new(&path, true).expect("a target");
    let output = Output::new(target, Access::Owner).expect("begun");
    let failed = output.write(|mut out| {
        out.write_all(b"half")?;
        out.flush()?;
        bail!("the recording is damaged")
    });
    assert_eq!(
        failed.expect_err("it failed").to_string(),
        "the recording is damaged"
    );
    assert_eq!(fs::read(&path).expect("a file"), b"old");
    assert_eq!(names(dir.path()), ["a.csv"]);
}

#[test]
fn a_reader_that_goes_away_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let fifo = dir.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || drop(File::open(fifo).expect("opened"))
    });
    let target = Target::new(&fifo, false).expect("a target");
    let output = Output::new(target, Access::Owner).expect("begun");
    reader.join().expect("a reader");
    let error = output.write(|mut out| {
        out.write_all(b"to nobody")?;
        Ok(out.flush()?)
    });
    let error = error.expect_err("nobody reads");
    assert_eq!(
        format!("{error:#}"),
        format!("cannot write {}: its reader has gone away", fifo.display())
    );
}

#[test]
fn what_cannot_be_written_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let why = |path: &Path| format!("{:#}", Target::new(path, true).expect_err("refused"));
    assert!(why(dir.path()).ends_with("it is a directory"));
    let none = dir.path().join("none/a.csv");
    assert!(
        why(&none).contains("there is no directory"),
        "{}",
        why(&none)
    );
    assert!(
        why(Path::new("")).contains("not the name of a file"),
        "{}",
        why(Path::new(""))
    );
    let file = dir.path().join("file");
    fs::write(&file, "").expect("a file");
    assert!(why(&file.join("a.csv")).contains("Not a directory"));
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).expect("a socket");
    assert!(why(&dir.path().join("s")).ends_with("it is a socket"));
    assert!(
        Target::new(Path::new("-"), false)
            .expect("stdout")
            .is_stdout()
    );
}

#[test]
fn a_file_that_came_meanwhile_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.csv");
    let output = Output::new(Target::new(&path, false).expect("a target"), Access::Umask);
    fs::write(&path, "mine").expect("a file");
    let error = output.expect("begun").keep().expect_err("it is there");
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(fs::read(&path).expect("a file"), b"mine");
}
