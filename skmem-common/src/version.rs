//! A whole copy of an account that hooks change meanwhile.
//!
//! An account begins with its version. A hook adds 1 before it changes the
//! account and 1 when it is done, so the version is odd while it is at work. A
//! reader copies the account between two looks at the version: the copy is
//! whole where both saw the same even number.
//!
//! That holds if the hook's additions keep their place among its other stores,
//! and the reader's looks among its other loads. x86 keeps the order of stores
//! and of loads by itself; other processors are made to: the hook adds with an
//! atomic instruction that is fully ordered, the reader has a barrier at each
//! side of the copy. `tests/version.rs` tries all orders that the rules allow,
//! and shows that without these barriers some copies are torn.

/// One attempt: what `copy` gave, if it is whole. `version` looks at the
/// version, and `acquire` keeps later loads behind earlier ones
/// (`fence(Acquire)`).
#[inline(always)]
pub fn whole<T>(
    version: impl Fn() -> u64,
    acquire: impl Fn(),
    copy: impl FnOnce() -> T,
) -> Option<T> {
    let before = version();
    acquire();
    let copied = copy();
    acquire();
    (version() == before && before.is_multiple_of(2)).then_some(copied)
}
