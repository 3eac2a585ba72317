//! Each advice has a cause in the verdict that justifies it, and a price.

use skmem_common::cause::{Cause, LimitCause};

use crate::explain::{Verdict, pages::Kind, texts, verdict::AnyCause};
use crate::testing::socket::{Socket, article};

fn has(list: &[crate::explain::verdict::Advice], words: &str) -> bool {
    list.iter().any(|a| a.advice.contains(words))
}

fn justified(v: &Verdict) {
    for a in v.advice.iter().chain(&v.not_helpful) {
        let grew = match a.cause {
            AnyCause::Queue(cause) => v.cause(cause) > 0 || v.cause_total(cause) > 0,
            AnyCause::Limit(_) | AnyCause::NotsentLowat => true,
        };
        assert!(grew, "{a:?}");
        assert!(!a.price.is_empty() && !a.evidence.is_empty());
    }
}

#[test]
fn a_closed_window_comes_first_and_says_that_the_sender_cannot_help() {
    let v = article(896).verdict();
    justified(&v);
    assert!(v.peer_window.closed);
    assert!(
        v.advice[0].advice.starts_with("Make the receiver read"),
        "{:?}",
        v.advice
    );
    assert_eq!(v.advice[0].cause.name(), "tail-append");
    assert!(has(&v.advice, "gso_max_segs"));
    assert!(has(&v.advice, "MSG_EOR"));
    // Tried on this very case: on 6.12 and 7.2 it makes it worse.
    assert!(!has(&v.advice, "SO_RCVBUF"));
    assert!(has(&v.not_helpful, "GSO and TSO off"));
    assert!(has(&v.not_helpful, "A smaller SO_SNDBUF"));
    assert!(has(&v.not_helpful, "TCP_NOTSENT_LOWAT"));
    assert!(!has(&v.advice, "TCP_NOTSENT_LOWAT"));
}

#[test]
fn an_open_window_is_no_reason_to_look_at_the_receiver() {
    let mut socket = Socket::with_sndbuf(4096, 896);
    socket.view.snd_wnd = 65_536;
    while socket.write(1024) {}
    let v = socket.verdict();
    justified(&v);
    assert!(!v.peer_window.closed);
    assert!(!has(&v.advice, "Make the receiver read"));
}

#[test]
fn a_large_limit_keeps_the_advice_that_fits_it() {
    let mut socket = Socket::with_sndbuf(65_536, 896);
    while socket.write(65_536) {}
    let v = socket.verdict();
    justified(&v);
    assert_eq!(v.send_q, 9 * 14_480);
    // More than one skb is unsent: here TCP_NOTSENT_LOWAT does something.
    assert!(has(&v.advice, "TCP_NOTSENT_LOWAT"));
    assert!(!has(&v.not_helpful, "A smaller SO_SNDBUF"));
    assert!(has(&v.advice, "twice SO_SNDBUF"));
}

#[test]
fn small_skbs_call_for_larger_writes() {
    let mut socket = Socket::with_sndbuf(8192, 896);
    socket.view.gso_segs = 1;
    socket.view.mss = 100;
    while socket.write(100) {}
    let v = socket.verdict();
    assert!(has(&v.advice, "Write more at a time"), "{:?}", v.advice);
    assert!(!has(&v.advice, "gso_max_segs"));
}

#[test]
fn every_cause_has_words_that_fit_a_table_and_end_as_sentences_do() {
    let all = Cause::ALL.iter().map(|c| (c.name(), texts::of(*c)));
    let limits = LimitCause::ALL
        .iter()
        .map(|c| (c.name(), texts::of_limit(*c)));
    for (name, words) in all.chain(limits) {
        assert!(words.brief.chars().count() <= 50, "{name}");
        assert!(words.sentence.ends_with('.'), "{name}");
        let grows = crate::explain::pages::find(name).unwrap().kind != Kind::Shrink;
        assert_eq!(words.because.is_empty(), !grows, "{name}");
        assert!(!words.because.ends_with('.'), "{name}");
        assert!(
            !words.sentence.contains("  ") && !words.because.contains("  "),
            "{name}"
        );
        assert!(
            !words.function.is_empty() && !words.versions.is_empty(),
            "{name}"
        );
        for remedy in words.remedies {
            let words = remedy.words();
            assert!(
                words.advice.ends_with('.') && !words.price.ends_with('.'),
                "{words:?}"
            );
            assert!(!words.advice.contains("  ") && !words.price.contains("  "));
        }
    }
}
