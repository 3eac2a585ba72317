//! How much an open TLS record is charged with, from what is left of its socket's f.
//!
//! A record that is not full yet (`MSG_MORE`, or a send of less than 16 KiB before the next) is
//! charged to f twice, as plaintext and as ciphertext (`tls_sw_sendmsg`: `msg_plaintext`,
//! `msg_encrypted`), and is in none of w, r and f. Pages are scheduled for the ciphertext only.
//! With p bytes of plaintext and c = p + overhead of ciphertext, m = p + c is missing from w + r +
//! f, and f stands between c - m and c - m + a page.

/// Largest payload of a record (`TLS_MAX_PAYLOAD_SIZE`), bytes.
const PAYLOAD: i64 = 16 << 10;
/// What encryption adds to it, at most: header, nonce, tag and content type, bytes.
const OVERHEAD: i64 = 5 + 8 + 16 + 1;

/// Bytes that the record is charged with, and how far that may be off. `charged` is w + r + f,
/// which is not whole pages.
pub(super) fn open_record(charged: i64, forward_alloc: i64, page: i64) -> (i64, i64) {
    let most = 2 * PAYLOAD + OVERHEAD;
    // m is what is missing to whole pages, and some whole pages.
    let first = (-charged).rem_euclid(page);
    // c = m - p lies between -f and -f + a page, but for the overhead: m = 2c - overhead.
    let (low, high) = (
        (-2 * forward_alloc - OVERHEAD).max(0),
        (-2 * forward_alloc + 2 * page + OVERHEAD).min(most),
    );
    let mut fits = (0..=most / page)
        .map(|pages| first + pages * page)
        .filter(|bytes| (low..=high).contains(bytes));
    match (fits.next(), fits.next_back()) {
        (Some(one), None) => (one, 0),
        (Some(least), Some(largest)) => {
            let middle = least + (largest - least) / 2 / page * page;
            (middle, (largest - middle).max(middle - least))
        }
        // Something else is in f: reserved memory.
        (None, _) => (0, most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f of an idle socket with an open record, as measured on 6.1, 6.12 and 7.2.
    fn forward_alloc(payload: i64, overhead: i64) -> i64 {
        let ciphertext = payload + overhead;
        (ciphertext + 4095) / 4096 * 4096 - payload - ciphertext
    }

    #[test]
    fn each_length_of_a_record_is_within_its_bound() {
        assert_eq!(forward_alloc(8000, 29), -7837);
        for payload in 1..=16_383 {
            for overhead in [22, 29] {
                // What was in f before, less than a page, takes part.
                for before in [0, 1000, 4095] {
                    let missing = 2 * payload + overhead;
                    let ciphertext = payload + overhead;
                    let scheduled = (ciphertext - before).max(0) + 4095;
                    let f = before + scheduled / 4096 * 4096 - missing;
                    // w and r are whole pages, less what was in f.
                    let charged = f - before;
                    let (bytes, slack) = open_record(charged, f, 4096);
                    assert!(
                        (bytes - missing).abs() <= slack,
                        "{payload} + {overhead}, {before} before: {bytes} ± {slack}, but it is {missing}"
                    );
                    assert!(slack <= 4096, "{payload}: {slack}");
                }
            }
        }
    }

    #[test]
    fn a_socket_with_reserved_memory_may_hold_any_record() {
        assert_eq!(open_record(1_048_476, 1_048_476, 4096), (0, 32_798));
    }
}
