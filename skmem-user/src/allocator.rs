//! Large memory straight from the kernel, and back to it as soon as it is freed.
//!
//! `dlmalloc.c` (`DEFAULT_MMAP_THRESHOLD`) and glibc do so; the port of the former to Rust takes
//! all from one heap, which keeps what is freed within it. The kernel's BTF at the start, or a list
//! of ten thousand sockets, would stay resident for as long as `skmem serve` runs.

use std::{
    alloc::{GlobalAlloc, Layout},
    ptr,
};

/// Bytes from which on memory is large. Fresh pages cost time: what zlib takes, 371 KiB for each
/// column of a Parquet file, must come from the heap, and a column of an Arrow batch, 512 KiB.
const LARGE: usize = 1 << 20;
/// The smallest page that a kernel has: any mapping is aligned to it.
const PAGE: usize = 4096;

/// An allocator for all that is not large.
pub struct Direct<A>(pub A);

/// Whether the kernel is asked: the same for a piece of memory from its beginning to its end.
fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE
}

/// Fresh pages, all zero; null where the kernel has none.
fn map(bytes: usize) -> *mut u8 {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a mapping of its own, wherever there is room.
    pointer(unsafe { libc::mmap(ptr::null_mut(), bytes, rights, kind, -1, 0) })
}

fn pointer(mapped: *mut libc::c_void) -> *mut u8 {
    match mapped {
        libc::MAP_FAILED => ptr::null_mut(),
        mapped => mapped.cast(),
    }
}

// SAFETY: what is large is a mapping of its own, aligned to a page; all else is the other
// allocator's. Which of them a piece of memory is, its layout says.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Direct<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_large(layout) {
            true => map(layout.size()),
            // SAFETY: the caller's promise.
            false => unsafe { self.0.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_large(layout) {
            true => map(layout.size()),
            // SAFETY: the caller's promise.
            false => unsafe { self.0.alloc_zeroed(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: `map` made it, of as many bytes. Where it fails, they stay mapped.
            unsafe { libc::munmap(at.cast(), layout.size()) };
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { self.0.dealloc(at, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that such a layout may be.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: the caller's promise.
            (false, false) => unsafe { self.0.realloc(at, layout, size) },
            // SAFETY: `map` made it, of as many bytes. No page is copied.
            (true, true) => pointer(unsafe {
                libc::mremap(at.cast(), layout.size(), size, libc::MREMAP_MAYMOVE)
            }),
            // SAFETY: the caller's promises; both hold as many bytes as are copied.
            _ => unsafe {
                let to = self.alloc(wanted);
                if !to.is_null() {
                    ptr::copy_nonoverlapping(at, to, layout.size().min(size));
                    self.dealloc(at, layout);
                }
                to
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{alloc::System, fs};

    use super::*;

    fn is_mapped(at: *mut u8) -> bool {
        let at = at as usize;
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().any(|line| {
            let (range, _) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let number = |hex| usize::from_str_radix(hex, 16).unwrap();
            (number(from)..number(to)).contains(&at)
        })
    }

    #[test]
    fn memory_keeps_its_bytes_whatever_size_it_is_given() {
        let direct = Direct(System);
        for align in [1, 64, PAGE, 4 * PAGE] {
            let mut layout = Layout::from_size_align(100, align).unwrap();
            // SAFETY: of the layout that it has each time, and within it.
            unsafe {
                let mut at = direct.alloc_zeroed(layout);
                at.write(7);
                at.add(99).write(9);
                let sizes = [LARGE - 1, LARGE, 8 * LARGE + 5, 3 * LARGE, LARGE - 1, 100];
                for size in sizes {
                    at = direct.realloc(at, layout, size);
                    layout = Layout::from_size_align(size, align).unwrap();
                    assert_eq!((at.read(), at.add(99).read()), (7, 9), "{size}");
                    assert!((at as usize).is_multiple_of(align), "{size}");
                    at.add(size - 1).write(9);
                }
                direct.dealloc(at, layout);
            }
        }
    }

    #[test]
    fn what_is_large_is_zero_and_gone_when_it_is_freed() {
        let direct = Direct(System);
        let layout = Layout::from_size_align(64 * LARGE, 8).unwrap();
        // Other threads may map something in its place at once, but not each time.
        let is_gone = (0..20).any(|_| {
            // SAFETY: within the layout.
            let at = unsafe {
                let at = direct.alloc(layout);
                assert!(is_mapped(at));
                assert_eq!(at.add(64 * LARGE - 1).read(), 0);
                at.write(1);
                direct.dealloc(at, layout);
                at
            };
            !is_mapped(at)
        });
        assert!(is_gone);
        // More than there can be.
        let layout = Layout::from_size_align(isize::MAX as usize - PAGE, 8).unwrap();
        // SAFETY: a layout that may be.
        assert!(unsafe { direct.alloc(layout) }.is_null());
    }
}
