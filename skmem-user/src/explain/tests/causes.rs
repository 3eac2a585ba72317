//! One cause, one small account.

use skmem_common::cause::Cause;

use crate::explain::verdict::AnyCause;
use crate::testing::socket::Socket;

#[test]
fn tail_append_over_the_limit() {
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.view.gso_segs = 23;
    while socket.write(100) {}
    let v = socket.verdict();
    assert_eq!(v.send_q, 33_304);
    assert_eq!(v.wmem_queued, 34_200);
    assert_eq!(v.cause(Cause::TailAppend), 33_304 - 100);
    assert_eq!(v.advice[0].cause.name(), "tail-append");
}

#[test]
fn first_fill_by_one_large_write() {
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.write(100_000);
    let v = socket.verdict();
    assert_eq!(v.send_q, 14_480);
    assert_eq!(v.cause(Cause::FirstFill), 14_480);
    assert_eq!(v.cause(Cause::TailAppend), 0);
}

#[test]
fn tail_refill_after_the_front_was_sent() {
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.view.snd_wnd = 4 * 1448;
    while socket.write(1000) {}
    socket.transmit_front(4 * 1448);
    while socket.write(1000) {}
    let v = socket.verdict();
    assert_eq!(v.send_q, 14_480 + 4 * 1448);
    assert_eq!(v.cause(Cause::TailRefill), 4 * 1448);
    assert_eq!(v.cause(Cause::TsoSplit), 896);
    assert_eq!(v.skbs, Some(2));
    assert_eq!(v.unsent, 14_480);
}

#[test]
fn zerocopy_counts_whole_pages() {
    let mut socket = Socket::with_sndbuf(4096, 832);
    while socket.write_zerocopy(1024) {}
    let v = socket.verdict();
    // 14 calls of 1024 bytes and one of 144: a page each.
    assert_eq!(v.send_q, 14_480);
    assert_eq!(v.wmem_queued, 832 + 15 * 4096);
    assert_eq!(v.cause(Cause::ZerocopyPageRounding), 15 * 4096 - 14_480);
    assert_eq!(v.skb_overhead, 832 + 15 * 4096 - 14_480);
    assert_eq!(v.skbs, None);
    assert_eq!(v.causes.iter().map(|c| c.inferred).sum::<i64>(), 0);
    let first = &v.advice[0];
    assert_eq!(first.cause.name(), "zerocopy-page-rounding");
    assert!(first.advice.contains("without MSG_ZEROCOPY"), "{first:?}");
}

#[test]
fn copying_is_no_advice_where_one_call_is_over_the_limit_by_itself() {
    let mut socket = Socket::with_sndbuf(4096, 960);
    socket.page = 16_384;
    socket.write_zerocopy(1024);
    let v = socket.verdict();
    assert_eq!(v.excess, 960 + 16_384 - 8_192);
    assert_eq!(v.explanation[0].cause.name(), "zerocopy-page-rounding");
    assert_eq!(v.advice, [], "copied, the tail skb takes up to size_goal");
}

#[test]
fn what_nothing_names_is_said_loudly() {
    use skmem_common::hook::Hook;
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.write(1024);
    socket.view.wmem_queued += 10_001;
    socket.enter(Hook::Ack, 0, 0);
    socket.leave(Hook::Ack);
    let v = socket.verdict();
    assert_eq!((v.unattributed, v.unattributed_count), (10_001, 1));
    assert!(
        v.advice
            .iter()
            .any(|a| a.cause == AnyCause::Queue(Cause::Unattributed)),
        "{:?}",
        v.advice
    );
}

#[test]
fn names_that_were_inferred_are_kept_apart() {
    use skmem_common::hook::Hook;
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.write(1024);
    // An append of which no hook of the send path was seen.
    socket.view.wmem_queued += 9000;
    socket.view.write_seq += 9000;
    socket.enter(Hook::Ack, 0, 0);
    socket.leave(Hook::Ack);
    let v = socket.verdict();
    assert_eq!((v.inferred, v.unattributed), (9000, 0));
    let append = v
        .causes
        .iter()
        .find(|c| c.cause == Cause::TailAppend)
        .unwrap();
    assert_eq!((append.bytes, append.inferred), (9000, 9000));
}
