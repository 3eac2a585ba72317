//! Why a window is shut or small, in words.

use super::Window;
use crate::explain::numbers::grouped;

/// What makes up most of a full receive buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Most {
    Unread,
    Held,
    Overhead,
    OutOfOrder,
    ErrorQueue,
}

impl Window {
    /// What makes up most of r.
    fn most(&self) -> Most {
        let parts = [
            (self.unread, Most::Unread),
            (self.held, Most::Held),
            (self.overhead, Most::Overhead),
            (self.out_of_order, Most::OutOfOrder),
            (self.error_queue, Most::ErrorQueue),
        ];
        let most = parts.into_iter().max_by_key(|(bytes, _)| *bytes);
        most.map_or(Most::Unread, |(_, most)| most)
    }

    /// Why the window is shut or small, in words; None where it is neither.
    #[must_use]
    pub fn says(&self) -> Option<String> {
        if self.unannounced < -self.rcvbuf.max(1) {
            return Some(self.lowered());
        }
        if self.is_shut() {
            return Some(self.shut());
        }
        let free = self.rcvbuf - self.rmem_alloc - self.backlog;
        if self.to_open > 0 && self.window > free.max(0) {
            return Some(self.promised());
        }
        if self.window == 0 && self.unannounced > 0 {
            return Some(format!(
                "The window was shut; {} are free again and not announced yet: the kernel does so at the next read, \
                 or at the peer's next probe.",
                bytes(self.unannounced)
            ));
        }
        let unused = self.reserve + self.cap + self.rule + self.rounding + self.unannounced;
        if self.cap > self.window && self.cap * 2 > unused {
            return Some(format!(
                "The window is {} though {} of rb are free: autotuning has not raised rcv_ssthresh ({}) further. It \
                 grows as data arrives and is read in time; a larger SO_RCVBUF does not speed it up.",
                bytes(self.window),
                bytes(self.rcvbuf - self.rmem_alloc - self.backlog),
                grouped(self.rcv_ssthresh)
            ));
        }
        None
    }

    fn shut(&self) -> String {
        let open = format!(
            "A window is offered again when {} more of r are freed.",
            bytes(self.to_open)
        );
        match self.most() {
            Most::Unread => format!(
                "The window is 0: the application has not read {}{}. r takes {} of rb {}{}. The reader is slow. {open}",
                bytes(self.unread),
                self.beside(),
                grouped(self.rmem_alloc),
                grouped(self.rcvbuf),
                self.too_little()
            ),
            Most::Held => format!(
                "The window is 0, but only {} of {} in r are unread: {} were read already, and stay until the last \
                 byte of their skb is read, {} further on. {open} Reads of more bytes at a time, or a larger \
                 SO_RCVBUF, help.",
                grouped(self.unread),
                bytes(self.rmem_alloc),
                bytes(self.held),
                bytes(self.head_left)
            ),
            Most::ErrorQueue => format!(
                "The window is 0 because of the error queue: {} on it hold {}, and nobody has collected them. Read \
                 them with recvmsg(MSG_ERRQUEUE); timestamps without the packet (SOF_TIMESTAMPING_OPT_TSONLY) take \
                 less. Collecting them announces no window: it comes back with the peer's next probe.",
                messages(self.error_skbs),
                bytes(self.error_queue)
            ),
            Most::OutOfOrder => format!(
                "The window is 0 because of {} of data behind a hole: a packet was lost or overtaken, and the reader \
                 cannot have what came after it. {open}",
                bytes(self.out_of_order)
            ),
            Most::Overhead => format!(
                "The window is 0 though only {} are unread: the skbs that hold them take {} more ({}). Small packets \
                 cost a whole skb each, unless the card or GRO merges them. {open}",
                bytes(self.unread),
                bytes(self.overhead),
                skbs(self.skbs)
            ),
        }
    }

    /// The peer may send more than there is room for.
    fn promised(&self) -> String {
        let holds = match self.most() {
            Most::Unread => format!("{} that the application has not read", bytes(self.unread)),
            Most::Held => format!(
                "{} that were read already, and stay until the last byte of their skb is read",
                bytes(self.held)
            ),
            Most::ErrorQueue => format!(
                "{} on the error queue, which nobody has collected (MSG_ERRQUEUE)",
                messages(self.error_skbs)
            ),
            Most::OutOfOrder => format!("{} of data behind a hole", bytes(self.out_of_order)),
            Most::Overhead => format!(
                "{} of overhead, in {}",
                bytes(self.overhead),
                skbs(self.skbs)
            ),
        };
        format!(
            "The peer was promised {} before, and r takes {} of rb {}: what does not fit is dropped, and sent again. \
             Most of r is {holds}.",
            bytes(self.window),
            grouped(self.rmem_alloc),
            grouped(self.rcvbuf)
        )
    }

    /// What is held beside unread data.
    fn beside(&self) -> String {
        match self.held {
            0 => String::new(),
            held => format!(
                " ({} more were read already, and stay until the last byte of their skb is read, {} further on)",
                grouped(held),
                bytes(self.head_left)
            ),
        }
    }

    /// Why nothing is offered of what is free.
    fn too_little(&self) -> String {
        match self.rcvbuf - self.rmem_alloc - self.backlog {
            ..=0 => String::new(),
            free => format!(
                "; of the {} that are free, {} may be offered, which is less than a segment or a sixteenth of all",
                grouped(free),
                grouped(self.rule)
            ),
        }
    }

    fn lowered(&self) -> String {
        format!(
            "rb was lowered to {} (SO_RCVBUF) with {} promised to the peer, which may still send them: r may pass rb. \
             What does not fit is dropped, and sent again.",
            bytes(self.rcvbuf),
            bytes(self.window)
        )
    }
}

fn bytes(n: i64) -> String {
    match n {
        1 => "1 byte".to_owned(),
        n => format!("{} bytes", grouped(n)),
    }
}

fn messages(n: u32) -> String {
    match n {
        1 => "1 message".to_owned(),
        n => format!("{} messages", grouped(n.into())),
    }
}

fn skbs(n: u32) -> String {
    match n {
        1 => "1 skb".to_owned(),
        n => format!("{} skbs", grouped(n.into())),
    }
}
