//! The protocol of [`skmem_common::version`], in all orders that the processors' rules allow
//! (loom).
//!
//! loom knows the memory model of C11, so each side is written in its terms. What is weaker in C11
//! than on the processor only adds orders that must come out well, too.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
    thread,
};
use skmem_common::version::whole;

/// An account of two numbers, which hooks always leave equal.
#[derive(Default)]
struct Shared {
    version: AtomicU64,
    words: [AtomicU64; 2],
}

/// How a hook adds 1 to the version.
type Count = fn(&AtomicU64);

/// An atomic that returns the old value, as BPF has it: fully ordered, which is a full barrier at
/// each side (`Documentation/atomic_t.txt`). arm64 makes `ldaddal` of it.
fn fully_ordered(version: &AtomicU64) {
    fence(Ordering::SeqCst);
    version.fetch_add(1, Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

/// A plain store where the processor keeps no order.
fn plain(version: &AtomicU64) {
    version.store(version.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The same on x86, where each store comes after all before it.
fn of_x86(version: &AtomicU64) {
    version.store(version.load(Ordering::Relaxed) + 1, Ordering::Release);
}

/// A store that waits for those before it, and for which those after it do not wait.
fn release(version: &AtomicU64) {
    version.fetch_add(1, Ordering::Release);
}

/// Two hooks, and one attempt to copy beside them: where `whole` says that it is, it must be.
fn check(count: Count, store: Ordering, load: Ordering, acquire: fn()) {
    loom::model(move || {
        let shared = Arc::new(Shared::default());
        let hooks = Arc::clone(&shared);
        let writer = thread::spawn(move || {
            for n in 1..=2 {
                count(&hooks.version);
                for word in &hooks.words {
                    word.store(n, store);
                }
                count(&hooks.version);
            }
        });
        let copied = whole(
            || shared.version.load(load),
            acquire,
            || [0, 1].map(|n| shared.words[n].load(load)),
        );
        if let Some([first, second]) = copied {
            assert_eq!(first, second, "torn");
        }
        writer.join().expect("a thread panicked");
    });
}

fn barrier() {
    fence(Ordering::Acquire);
}

#[test]
fn with_fully_ordered_counts_no_copy_is_torn() {
    check(fully_ordered, Ordering::Relaxed, Ordering::Relaxed, barrier);
}

#[test]
fn x86_needs_no_more_than_plain_stores() {
    check(of_x86, Ordering::Release, Ordering::Acquire, || {});
}

/// What arm64 may do with plain stores, which is why the programs for it have none.
#[test]
#[should_panic = "torn"]
fn plain_counts_are_not_enough() {
    check(plain, Ordering::Relaxed, Ordering::Relaxed, barrier);
}

#[test]
#[should_panic = "torn"]
fn release_is_not_enough() {
    check(release, Ordering::Relaxed, Ordering::Relaxed, barrier);
}

#[test]
#[should_panic = "torn"]
fn the_reader_needs_its_barriers() {
    check(fully_ordered, Ordering::Relaxed, Ordering::Relaxed, || {});
}
