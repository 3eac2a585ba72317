//! The files of the black box: which there are, how many there may be, and reading one of them.
//! Only what is called like a file of the black box is looked at, in one directory that is held
//! open: no name leads out of it.

use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, open, openat, unlinkat},
    io::Errno,
};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use crate::{recording::Recording, render};

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files.
    pub files: usize,
}

/// A file of the black box.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Kept {
    /// Its name, to ask for as `/flight/NAME`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, ns since 1970.
    pub realtime_ns: u64,
    /// The conditions that were met; None: it cannot be read as a recording.
    pub trigger: Option<String>,
    /// The sockets in it, both ends of each; of many the first ones.
    pub sockets: Vec<String>,
    /// How many sockets are in it.
    pub socket_count: u64,
}

/// `/flight.json`
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct List {
    /// Version of this contract: 1.
    pub schema: u32,
    /// Most bytes of all files: `--max-size`.
    pub max_bytes: u64,
    /// Most files: `--max-files`.
    pub max_files: u64,
    /// What there is, the newest first.
    pub files: Vec<Kept>,
}

/// Of `/flight.json`.
#[must_use]
pub fn schema() -> Schema {
    schema_for!(List)
}

/// The directory.
#[derive(Debug, Clone)]
pub struct Files {
    path: PathBuf,
    room: Arc<OwnedFd>,
    bounds: Bounds,
    /// What was said of a file last, so that it is not opened again for each list.
    known: Arc<Mutex<Vec<Kept>>>,
}

/// A file by the name that it has, its size, and when it was written, ns since 1970.
type Entry = (String, u64, u64);

impl Files {
    /// Opens the directory.
    ///
    /// # Errors
    /// Where there is none, or it may not be read.
    pub fn open(path: &Path, bounds: Bounds) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self {
            path: path.to_owned(),
            room: Arc::new(open(path, flags, Mode::empty())?),
            bounds,
            known: Arc::default(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What there may be.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// All files, the newest first.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn list(&self) -> io::Result<List> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.entries()?.into_iter().rev().map(|entry| {
            let (name, bytes, realtime_ns) = entry;
            let same = |kept: &&Kept| (&kept.name, kept.bytes) == (&name, bytes);
            known.iter().find(same).cloned().unwrap_or_else(|| Kept {
                realtime_ns,
                ..self.described(name, bytes)
            })
        });
        let files: Vec<Kept> = files.collect();
        known.clone_from(&files);
        Ok(List {
            schema: 1,
            max_bytes: self.bounds.bytes,
            max_files: self.bounds.files as u64,
            files,
        })
    }

    /// Opens a file, with its size; None: there is no such file of the black box.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&self, name: &str) -> io::Result<Option<(File, u64)>> {
        if !is_name(name) {
            return Ok(None);
        }
        // Not what a link points to, and not waiting for the other end of a pipe.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::RDONLY | OFlags::CLOEXEC;
        let file = match openat(&*self.room, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let meta = file.metadata()?;
        Ok(meta.is_file().then_some((file, meta.len())))
    }

    /// Removes the oldest files until there is room for one more of `bytes`; how many that were.
    ///
    /// # Errors
    /// Where it is too large for all of the room, or files cannot be removed.
    pub fn make_room(&self, bytes: u64) -> io::Result<usize> {
        if bytes > self.bounds.bytes {
            return Err(io::Error::other(format!(
                "{bytes} bytes are more than --max-size allows for all files ({})",
                self.bounds.bytes
            )));
        }
        let entries = self.entries()?;
        let mut left = entries.len();
        let mut sum: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (name, size, _) in &entries {
            if left < self.bounds.files && sum + bytes <= self.bounds.bytes {
                break;
            }
            match unlinkat(&*self.room, name.as_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(e.into()),
            }
            left -= 1;
            sum -= size;
        }
        Ok(entries.len() - left)
    }

    /// All files, the oldest first: names begin with the date, but the clock may have been set.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        // A reader of its own: where it is in the directory is nobody else's affair.
        for entry in Dir::read_from(&*self.room)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().ok().filter(|name| is_name(name)) else {
                continue;
            };
            // One that has gone meanwhile, or is no file.
            let Some((file, bytes)) = self.read(name)? else {
                continue;
            };
            let meta = file.metadata()?;
            let ns = meta.mtime().max(0).unsigned_abs() * 1_000_000_000
                + meta.mtime_nsec().unsigned_abs();
            entries.push((name.to_owned(), bytes, ns));
        }
        entries.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
        Ok(entries)
    }

    /// What the file says of itself.
    fn described(&self, name: String, bytes: u64) -> Kept {
        let file = self.read(&name).ok().flatten();
        let recording = file.and_then(|(file, _)| Recording::new(io::BufReader::new(file)).ok());
        let meta = recording.as_ref().map(Recording::meta);
        let selected = meta.and_then(|meta| meta.selected.last());
        let sockets = selected.iter().flat_map(|selected| &selected.filters);
        Kept {
            bytes,
            realtime_ns: 0,
            trigger: meta.map(|meta| meta.trigger.clone().unwrap_or_default()),
            sockets: sockets
                .filter(|(option, _)| option == "socket")
                .map(|(_, value)| value.clone())
                .collect(),
            socket_count: selected.map_or(0, |selected| selected.sockets),
            name,
        }
    }
}

/// Whether a file of the black box is called so: `skmem-20261129-021530.skm`, and where there are
/// more of one second `skmem-20261129-021530.2.skm`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let digits = |text: &str, n| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let middle = name
        .strip_prefix("skmem-")
        .and_then(|rest| rest.strip_suffix(".skm"));
    let Some((day, rest)) = middle.and_then(|middle| middle.split_once('-')) else {
        return false;
    };
    let (time, part) = rest.split_once('.').unwrap_or((rest, "2"));
    digits(day, 8) && digits(time, 6) && (1..=3).any(|n| digits(part, n))
}

impl List {
    /// As a page.
    #[must_use]
    pub fn html(&self) -> String {
        let mut rows = String::new();
        for kept in &self.files {
            let name = escaped(&kept.name);
            let more = kept.socket_count.saturating_sub(kept.sockets.len() as u64);
            let mut sockets: Vec<String> = kept.sockets.iter().map(|s| escaped(s)).collect();
            if more != 0 {
                sockets.push(format!("and {more} more"));
            }
            rows.push_str(&format!(
                "<tr><td><a href=\"/flight/{name}\" download>{name}</a><td>{}<td class=\"n\">{}<td>{}<td>{}\n",
                escaped(&render::utc(kept.realtime_ns)),
                crate::explain::numbers::grouped(i64::try_from(kept.bytes).unwrap_or(i64::MAX)),
                escaped(kept.trigger.as_deref().unwrap_or("cannot be read")),
                sockets.join("<br>"),
            ));
        }
        let none = match self.files.is_empty() {
            true => "<p>No socket has met a condition yet.\n",
            false => "",
        };
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>skmem: black box</title>\n\
             <style>body{{font-family:sans-serif}}td,th{{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}}\
             .n{{text-align:right}}</style>\n\
             <h1>Black box</h1>\n<p>The last seconds of sockets that met a condition, {} files and {} bytes at most. Download \
             one, and look at it with <code>skmem report FILE</code> or <code>skmem plot FILE</code>.\n{none}\
             <table>\n<tr><th>file<th>written<th class=\"n\">bytes<th>condition<th>sockets\n{rows}</table>\n</html>\n",
            self.max_files,
            crate::explain::numbers::grouped(i64::try_from(self.max_bytes).unwrap_or(i64::MAX)),
        )
    }

    /// As lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for kept in &self.files {
            text.push_str(&format!(
                "{:<32} {:>12} {} {} {}\n",
                kept.name,
                kept.bytes,
                render::utc(kept.realtime_ns),
                kept.trigger.as_deref().unwrap_or("cannot be read"),
                kept.sockets.join(" "),
            ));
        }
        text
    }
}

fn escaped(text: &str) -> String {
    render::plot::escape(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn files(room: &Path, bytes: u64, files: usize) -> Files {
        Files::open(room, Bounds { bytes, files }).unwrap()
    }

    #[test]
    fn each_field_is_documented_and_shown() {
        let list = List {
            schema: 1,
            max_bytes: 1 << 20,
            max_files: 5,
            files: vec![Kept {
                name: "skmem-20261129-021530.skm".to_owned(),
                bytes: 12_345,
                realtime_ns: 1_795_450_070_395_000_000,
                trigger: Some("blocked>1s".to_owned()),
                sockets: vec!["10.0.0.1:1>10.0.0.2:2".to_owned()],
                socket_count: 3,
            }],
        };
        let doc = include_str!("../../../docs/json.md");
        let json = serde_json::to_value(&list).unwrap();
        for object in [&json, &json["files"][0]] {
            for (key, value) in object.as_object().unwrap() {
                assert!(doc.contains(&format!("`{key}`")), "{key}: {value}");
            }
        }
        let html = list.html();
        for part in [
            "href=\"/flight/skmem-20261129-021530.skm\"",
            "12,345",
            "blocked&gt;1s",
            "2026-11-23 16:07:50.395 UTC",
            "10.0.0.1:1&gt;10.0.0.2:2<br>and 2 more",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(list.text().contains("blocked>1s 10.0.0.1:1>10.0.0.2:2"));
    }

    #[test]
    fn only_names_of_the_black_box_are_names() {
        for good in ["skmem-20261129-021530.skm", "skmem-20261129-021530.12.skm"] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "..",
            "skmem-20261129-021530",
            "skmem-20261129-021530.skm/",
            "../skmem-20261129-021530.skm",
            "skmem-20261129-021530./etc.skm",
            "skmem-20261129-02153x.skm",
            "skmem-20261129-021530..skm",
            "skmem-20261129-021530.%2e.skm",
            "skmem-x-y.skm",
            "other.skm",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn no_link_and_no_other_file_is_read() {
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("secret");
        fs::write(&secret, "secret").unwrap();
        let room = tempfile::tempdir().unwrap();
        let files = files(room.path(), 1000, 10);
        let path = |name: &str| room.path().join(name);
        symlink(&secret, path("skmem-20261129-000001.skm")).unwrap();
        fs::create_dir(path("skmem-20261129-000002.skm")).unwrap();
        fs::write(path("other"), "other").unwrap();
        fs::write(path("skmem-20261129-000003.skm"), "12345").unwrap();
        for name in [
            "skmem-20261129-000001.skm",
            "skmem-20261129-000002.skm",
            "skmem-20261129-000004.skm",
            "other",
            "../secret",
        ] {
            assert!(files.read(name).unwrap().is_none(), "{name}");
        }
        let (_, bytes) = files.read("skmem-20261129-000003.skm").unwrap().unwrap();
        assert_eq!(bytes, 5);
        let list = files.list().unwrap().files;
        assert_eq!(list.len(), 1);
        // It is no recording, which is said and harms nothing.
        assert_eq!((list[0].bytes, &list[0].trigger), (5, &None));
    }

    #[test]
    fn the_oldest_give_way_and_nothing_else_does() {
        let room = tempfile::tempdir().unwrap();
        let files = files(room.path(), 100, 3);
        let write = |n: u64, bytes: usize| {
            let name = format!("skmem-20261129-00000{n}.skm");
            let file = File::create(room.path().join(&name)).unwrap();
            file.set_len(bytes as u64).unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000 + n);
            file.set_modified(at).unwrap();
        };
        let names = || -> Vec<String> {
            let list = files.list().unwrap().files;
            list.into_iter()
                .map(|kept| kept.name[15..22].to_owned())
                .collect()
        };
        fs::write(room.path().join("other"), [0; 500]).unwrap();
        for (n, bytes) in [(1, 40), (3, 10), (2, 30)] {
            assert_eq!(files.make_room(bytes).unwrap(), 0);
            write(n, usize::try_from(bytes).unwrap());
        }
        assert_eq!(names(), ["000003.", "000002.", "000001."]);
        // By count: one goes. By size: two do.
        assert_eq!(files.make_room(1).unwrap(), 1);
        write(4, 1);
        assert_eq!(files.make_room(95).unwrap(), 2);
        assert!(files.make_room(101).is_err());
        assert_eq!(names(), ["000004."]);
        assert!(room.path().join("other").exists());
    }
}
