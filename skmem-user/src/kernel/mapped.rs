//! A map's memory in this process: all of it where it is small, else a window that goes where it is
//! asked for. What is mapped counts as resident memory of skmem, touched or not (`vm_insert_page`).

use std::{
    cell::Cell,
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    ptr::{self, NonNull},
};

/// Bytes of a window into a larger one.
const WINDOW: usize = 1 << 20;

/// The memory of a map.
#[derive(Debug)]
pub(super) struct Mapped {
    map: OwnedFd,
    /// Of the map, in whole pages.
    bytes: usize,
    /// Where windows are mapped.
    base: NonNull<u8>,
    /// Of a window.
    room: usize,
    /// Where in the map the window begins, and its bytes; 0: there is none.
    window: Cell<(usize, usize)>,
}

// SAFETY: the mapping belongs to this value alone.
unsafe impl Send for Mapped {}

impl Mapped {
    /// Maps the first `bytes` of `map`; where they are more than `whole`, the first part of them.
    pub fn new(map: OwnedFd, bytes: usize, whole: usize) -> io::Result<Self> {
        let room = if bytes <= whole { bytes } else { WINDOW };
        let bytes = bytes.next_multiple_of(rustix::param::page_size());
        Self::with_room(
            map,
            bytes,
            room.next_multiple_of(rustix::param::page_size()),
        )
    }

    fn with_room(map: OwnedFd, bytes: usize, room: usize) -> io::Result<Self> {
        // SAFETY: a fresh shared mapping.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                room.min(bytes),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        let base = NonNull::new(base.cast::<u8>()).filter(|_| base != libc::MAP_FAILED);
        let base = base.ok_or_else(io::Error::last_os_error)?;
        Ok(Self {
            map,
            bytes,
            base,
            room: room.min(bytes),
            window: Cell::new((0, room.min(bytes))),
        })
    }

    /// Where `length` bytes from `from` on are: until this is asked for others. None: they do not
    /// exist, or the kernel refuses to map them.
    pub fn at(&self, from: usize, length: usize) -> Option<*mut u8> {
        let to = from.checked_add(length).filter(|to| *to <= self.bytes)?;
        let (mut begins, mut bytes) = self.window.get();
        if from < begins || to > begins + bytes {
            begins = from - from % rustix::param::page_size();
            bytes = self.room.min(self.bytes - begins);
            self.window.set((0, 0));
            self.map(begins, bytes)?;
            self.window.set((begins, bytes));
            if to > begins + bytes {
                return None;
            }
        }
        // SAFETY: the window holds these bytes.
        Some(unsafe { self.base.as_ptr().add(from - begins) })
    }

    /// Maps a part in the place of the part before.
    fn map(&self, begins: usize, bytes: usize) -> Option<()> {
        let begins = libc::off_t::try_from(begins).ok()?;
        // SAFETY: `base` is the beginning of a mapping of ours of at least as many bytes, to which
        // nothing points any more.
        let base = unsafe {
            libc::mmap(
                self.base.as_ptr().cast(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                self.map.as_raw_fd(),
                begins,
            )
        };
        (base == self.base.as_ptr().cast()).then_some(())
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference into it is left.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.room) };
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt as _};

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    #[test]
    fn each_part_is_where_it_is_asked_for() {
        let page = rustix::param::page_size();
        let (length, count) = (page + 100, 50);
        let file = File::from(memfd_create("map", MemfdFlags::CLOEXEC).unwrap());
        let bytes = (length * count).next_multiple_of(page);
        file.set_len(bytes as u64).unwrap();
        for n in 0..count {
            let word = (n as u64 + 1).to_le_bytes();
            file.write_all_at(&word, (n * length) as u64).unwrap();
        }
        let mapped = Mapped::with_room(file.try_clone().unwrap().into(), bytes, 3 * page).unwrap();
        let word = |n: usize| {
            let at = mapped.at(n * length, length).unwrap();
            // SAFETY: it points to as many bytes.
            unsafe { at.cast::<u64>().read_unaligned() }
        };
        for n in (0..count).chain((0..count).rev()).chain([7, 7, 49, 0, 25]) {
            assert_eq!(word(n), n as u64 + 1, "{n}");
        }
        assert!(mapped.at(bytes - 1, 2).is_none() && mapped.at(0, 4 * page).is_none());
        let at = mapped.at(length, 8).unwrap();
        // SAFETY: as above.
        unsafe { at.write(77) };
        let mut one = [0];
        file.read_exact_at(&mut one, length as u64).unwrap();
        assert_eq!(one, [77]);
    }
}
