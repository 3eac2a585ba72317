//! A ring that is too small: records are lost and counted, and the account is as exact as ever.

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    Vec::new()
}
