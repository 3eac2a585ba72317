use proptest::prelude::*;

use super::*;

const ESTABLISHED: u8 = 1;

/// A receiver of 6.6 or newer, with `read` of `arrived` bytes read.
fn receiver(rcvbuf: i32, arrived: u32, read: u32) -> Receiver {
    Receiver {
        rcvbuf,
        rcv_nxt: 1_000 + arrived,
        copied_seq: 1_000 + read,
        rcv_wup: 1_000 + arrived,
        rcv_ssthresh: 65_535,
        window_clamp: 1 << 20,
        rcv_mss: 1_448,
        rcv_wscale: 7,
        scaling_ratio: 128,
        state: ESTABLISHED,
        flags: WALKED_ALL | HAS_HEAD | LOCKED,
        head_seq: 1_000,
        head_end: 1_000 + arrived,
        ..Receiver::default()
    }
}

fn adds_up(window: &Window) {
    let sum: i64 = window.parts().iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(sum, window.rcvbuf, "{window:?}");
}

#[test]
fn an_skb_that_was_read_in_part_holds_the_buffer() {
    // 5.10, a reader of 4 KiB a millisecond.
    let r = Receiver {
        rmem_alloc: 125_728,
        queued: 125_728,
        queued_skbs: 1,
        scaling_ratio: 0,
        adv_win_scale: 1,
        ..receiver(131_072, 124_448, 113_184)
    };
    let window = Window::of(&r).unwrap();
    adds_up(&window);
    assert_eq!(
        (window.unread, window.held, window.overhead),
        (11_264, 113_184, 1_280)
    );
    assert_eq!(
        (window.reserve, window.rule, window.window),
        (2_672, 2_672, 0)
    );
    assert_eq!(window.head_left, 11_264);
    let text = window.says().unwrap();
    assert!(
        text.starts_with(
            "The window is 0, but only 11,264 of 125,728 bytes in r are unread: 113,184 bytes were read already"
        ),
        "{text}"
    );
}

#[test]
fn autotuning_that_has_not_grown_is_the_cap() {
    // 7.2, after a drain.
    let r = Receiver {
        scaling_ratio: 227,
        window_clamp: u32::MAX,
        rcv_ssthresh: 844_952,
        rcv_wnd: 845_056,
        flags: WALKED_ALL | LOCKED,
        ..receiver(4_127_714, 0, 0)
    };
    let window = Window::of(&r).unwrap();
    adds_up(&window);
    assert_eq!(
        (window.reserve, window.cap, window.rounding, window.window),
        (467_593, 2_815_169, -104, 845_056)
    );
    assert!(window.says().unwrap().contains("rcv_ssthresh (844,952)"));
}

#[test]
fn a_buffer_made_smaller_keeps_its_promise() {
    // 7.2, SO_RCVBUF 4,096 under load.
    let r = Receiver {
        rmem_alloc: 298_424,
        queued: 298_424,
        queued_skbs: 5,
        scaling_ratio: 195,
        window_clamp: 8_192,
        rcv_wnd: 3_245_056,
        ..receiver(8_192, 293_944, 2_344)
    };
    let window = Window::of(&r).unwrap();
    adds_up(&window);
    assert_eq!(
        (
            window.reserve,
            window.rule,
            window.unannounced,
            window.window
        ),
        (-69_156, -221_076, -3_245_056, 3_245_056)
    );
    assert!(
        window
            .says()
            .unwrap()
            .starts_with("rb was lowered to 8,192 bytes (SO_RCVBUF)")
    );
}

#[test]
fn an_error_queue_shuts_the_window() {
    let r = Receiver {
        rmem_alloc: 79_632,
        errors: 79_632,
        errors_skbs: 56,
        flags: WALKED_ALL | LOCKED,
        ..receiver(80_000, 5_000, 5_000)
    };
    let window = Window::of(&r).unwrap();
    adds_up(&window);
    assert_eq!(
        (window.error_queue, window.reserve, window.rule),
        (79_632, 184, 184)
    );
    let text = window.says().unwrap();
    assert!(
        text.contains("56 messages on it hold 79,632 bytes"),
        "{text}"
    );
}

#[test]
fn a_promise_that_does_not_fit_any_more_is_said() {
    // 6.1, SO_RCVBUF 20,000: no segment has come that could close the window.
    let r = Receiver {
        rmem_alloc: 39_816,
        errors: 39_816,
        errors_skbs: 21,
        rcv_wnd: 18_000,
        flags: WALKED_ALL | LOCKED,
        ..receiver(40_000, 0, 0)
    };
    let window = Window::of(&r).unwrap();
    adds_up(&window);
    assert_eq!((window.window, window.unannounced), (18_000, -18_000));
    assert_eq!(
        window.says().unwrap(),
        "The peer was promised 18,000 bytes before, and r takes 39,816 of rb 40,000: what does not fit is dropped, \
         and sent again. Most of r is 21 messages on the error queue, which nobody has collected (MSG_ERRQUEUE)."
    );
    // A reader that is slow, and a window that fits still.
    let slow = Receiver {
        rmem_alloc: 120_000,
        queued: 120_000,
        rcv_wnd: 4_000,
        ..receiver(131_072, 110_000, 0)
    };
    assert_eq!(Window::of(&slow).unwrap().says(), None);
}

#[test]
fn less_than_a_segment_is_not_offered() {
    // 6.1, loopback, SO_RCVBUF 65,536.
    let r = Receiver {
        rmem_alloc: 74_469,
        queued: 74_469,
        queued_skbs: 1,
        scaling_ratio: 0,
        adv_win_scale: 1,
        rcv_mss: 65_483,
        ..receiver(131_072, 73_189, 0)
    };
    let window = Window::of(&r).unwrap();
    adds_up(&window);
    assert_eq!(
        window.says().unwrap(),
        "The window is 0: the application has not read 73,189 bytes. r takes 74,469 of rb 131,072; of the 56,603 \
         that are free, 28,302 may be offered, which is less than a segment or a sixteenth of all. The reader is \
         slow. A window is offered again when 8,932 bytes more of r are freed."
    );
}

#[test]
fn what_is_behind_a_hole_is_neither_read_nor_readable() {
    let r = Receiver {
        rmem_alloc: 130_000,
        flags: WALKED_ALL | LOCKED | HAS_OUT_OF_ORDER,
        ..receiver(131_072, 5_000, 5_000)
    };
    let window = Window::of(&r).unwrap();
    adds_up(&window);
    assert_eq!(window.out_of_order, 130_000);
    assert!(window.says().unwrap().contains("behind a hole"));
}

#[test]
fn a_fin_is_no_data() {
    let r = Receiver {
        rmem_alloc: 896,
        queued: 896,
        queued_skbs: 1,
        state: CLOSE_WAIT,
        ..receiver(131_072, 1, 0)
    };
    let window = Window::of(&r).unwrap();
    adds_up(&window);
    assert_eq!((window.unread, window.overhead), (0, 896));
}

#[test]
fn a_window_that_is_not_the_sockets_own_is_not_explained() {
    let mut r = receiver(131_072, 0, 0);
    r.flags |= SUBFLOW;
    assert_eq!(Window::of(&r), None);
    r.flags = 0;
    r.state = LISTEN;
    assert_eq!(Window::of(&r), None);
}

proptest! {
    #[test]
    fn every_byte_of_the_limit_has_a_name(
        buffers in (1_i32..1 << 24, 0_i32..1 << 24, 0_i32..1 << 20),
        queues in (0_u32..1 << 24, 0_u32..1 << 20),
        bytes in (0_u32..1 << 24, 0_u32..1 << 24, 0_u32..1 << 24),
        limits in (1_u32..1 << 24, 1_u32..1 << 24, 1_u16..9_000, 0_u8..15),
        scale in (0_u8..=255, -3_i8..4, 0_u8..2, 0_u8..8),
    ) {
        let (arrived, read, head) = bytes;
        let r = Receiver {
            rmem_alloc: buffers.1,
            backlog: buffers.2,
            queued: queues.0,
            errors: queues.1,
            head_seq: 1_000_u32.wrapping_add(head),
            rcv_wnd: limits.0,
            rcv_ssthresh: limits.1,
            rcv_mss: limits.2,
            rcv_wscale: limits.3,
            scaling_ratio: scale.0,
            adv_win_scale: scale.1,
            shrink_window: scale.2,
            flags: scale.3,
            ..receiver(buffers.0, arrived, read)
        };
        adds_up(&Window::of(&r).unwrap());
    }

    #[test]
    fn what_is_to_be_freed_is_exact(
        rcvbuf in 4_000_i32..1 << 24,
        used in 0_i32..100,
        mss in 1_u16..9_000,
        wscale in 1_u8..15,
        ratio in 1_u8..=255,
        shrinks in 0_u8..2,
    ) {
        let r = Receiver {
            rmem_alloc: i32::try_from(i64::from(rcvbuf) * i64::from(100 - used / 10) / 100).unwrap(),
            rcv_mss: mss,
            rcv_wscale: wscale,
            scaling_ratio: ratio,
            shrink_window: shrinks,
            window_clamp: 1 << 24,
            rcv_ssthresh: 1 << 24,
            ..receiver(rcvbuf, 0, 0)
        };
        let to_open = Window::of(&r).unwrap().to_open;
        if to_open <= 0 || to_open > i64::from(r.rmem_alloc) {
            // It is offered already, or never.
            return Ok(());
        }
        let less = |bytes: i64| {
            let rmem_alloc = i32::try_from(i64::from(r.rmem_alloc) - bytes).unwrap();
            Window::of(&Receiver { rmem_alloc, ..r }).unwrap().unannounced
        };
        prop_assert!(less(to_open) > 0);
        prop_assert!(less(to_open - 1) <= 0);
    }
}
