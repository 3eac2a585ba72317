//! Where the limit of a receive buffer goes, as a sum that adds up.

use crate::{
    explain::numbers::grouped,
    render::{Style, layout::hang, style::Role},
    snapshot::Row,
};

/// The sum, and unless findings follow what it means.
pub(super) fn write(out: &mut String, row: &Row, findings: bool, style: &Style) {
    let Some(window) = &row.window else {
        if let Some(text) = from_outside(row) {
            hang(out, "  ", 4, &text, None, style);
        }
        return;
    };
    hang(out, "  ", 4, &window.sum(), None, style);
    let says = window.says().filter(|_| !findings);
    if let Some(text) = says {
        let role = window.is_shut().then_some(Role::Alarm);
        hang(
            out,
            if role.is_some() { "  ! " } else { "  - " },
            4,
            &text,
            role,
            style,
        );
    }
}

/// What `sock_diag` shows of a receive buffer; None where it shows nothing of it.
fn from_outside(row: &Row) -> Option<String> {
    let memory = row.memory.filter(|_| !row.listens())?;
    let (r, rb, backlog) = (
        i64::from(memory.rmem_alloc),
        i64::from(memory.rcvbuf),
        i64::from(memory.backlog),
    );
    let unread = i64::from(row.recv_q);
    let flow = row.flow?;
    if unread > r {
        return None;
    }
    let mut text = format!("rb {} = unread {}", grouped(rb), grouped(unread));
    let mut add = |name: &str, bytes: i64| {
        if bytes != 0 {
            let sign = if bytes < 0 { '-' } else { '+' };
            text.push_str(&format!(" {sign} {name} {}", grouped(bytes.abs())));
        }
    };
    add("other memory in r", r - unread);
    add("backlog", backlog);
    add("free", rb - r - backlog);
    if let Some(window) = flow.rcv_wnd {
        text.push_str(&format!(
            "; the window that was last offered is {}",
            grouped(window.into())
        ));
    }
    Some(text)
}
