//! What the colours are, with the bytes at the worst instant.

use super::{
    super::{
        figure::STACK_NOTE,
        palette::{FORWARD_ALLOC, SEND_Q, SNDBUF, WMEM_ALLOC},
        xml::Anchor,
    },
    BOLD, FAINT, INK, LEGEND, Page, WIDTH,
};
use crate::{explain::numbers::grouped, model::timeline::Sample, render::layout::wrap};

impl Page<'_> {
    /// What the colours are, with the bytes at the worst instant.
    pub(super) fn legend(&mut self) {
        let (dash, _) = self.send_q_line();
        let worst = self.figure.timeline.worst().copied();
        let mut y = self.top + 4.0;
        let end = WIDTH - 24.0;
        let head = if worst.is_some_and(|w| w.excess() > 0) {
            "bytes at the worst instant"
        } else {
            "bytes at the highest fill"
        };
        self.out.text((end, y), 9.5, Anchor::End, FAINT, head);
        y += 6.0;
        let value = |of: &dyn Fn(&Sample) -> i64| worst.map(|w| grouped(of(&w)));
        let bands: Vec<(String, String, Option<String>)> = self
            .bands
            .iter()
            .rev()
            .map(|b| {
                let style = format!(r#"fill="{}""#, b.look.colour);
                (b.name.clone(), style, value(&|s| b.of(s)))
            })
            .collect();
        for (name, style, bytes) in bands {
            y += 17.0;
            self.out.rect(LEGEND, y - 9.5, 14.0, 11.0, &style);
            self.entry(y, &name, INK, bytes);
        }
        y += 8.0;
        let rule = r##"stroke="#333333" stroke-width="0.8""##;
        self.out.line((LEGEND, y), (end, y), rule);
        y += 16.0;
        self.entry(y, "wmem_queued", BOLD, value(&|s| s.wmem_queued.into()));
        let lines: [(&str, &str, &str, f64, i64); 4] = [
            (
                "sndbuf, the limit",
                SNDBUF,
                "none",
                2.0,
                worst.map_or(0, |w| w.sndbuf.into()),
            ),
            (
                "Send-Q",
                SEND_Q,
                dash,
                1.8,
                worst.map_or(0, |w| w.send_q.into()),
            ),
            (
                "forward_alloc",
                FORWARD_ALLOC,
                "none",
                1.8,
                worst.map_or(0, |w| w.forward_alloc.into()),
            ),
            (
                "wmem_alloc (qdisc, NIC)",
                WMEM_ALLOC,
                "none",
                1.8,
                worst.map_or(0, |w| w.wmem_alloc.into()),
            ),
        ];
        for (name, colour, dash, width, bytes) in lines {
            y += 18.0;
            let style =
                format!(r#"stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}""#);
            self.out
                .line((LEGEND - 2.0, y - 4.0), (LEGEND + 16.0, y - 4.0), &style);
            self.entry(y, name, INK, worst.map(|_| grouped(bytes)));
        }
        y += 18.0;
        self.out.path(
            &format!("M{:.1} {:.1}l-4 7h8Z", LEGEND + 7.0, y - 8.0),
            r##"fill="#ffffff" stroke="#000000" stroke-width="1.1""##,
        );
        let (_, moves) = self.figure.timeline.moves();
        self.entry(y, "the limit moved", INK, Some(format!("{moves} ×")));
        y += 18.0;
        self.out
            .rect(LEGEND, y - 10.0, 14.0, 12.0, r#"fill="url(#asleep)""#);
        let (slept, _) = self.figure.slept();
        self.entry(
            y,
            "a sender sleeps (blocked)",
            INK,
            Some(format!("{slept} ×")),
        );
        y += 18.0;
        self.out.rect(LEGEND + 6.0, y - 10.0, 1.1, 11.0, INK);
        let admitted: u64 = self.figure.timeline.admissions().map(|a| a.count).sum();
        self.entry(
            y,
            "admission: new skb let in",
            INK,
            Some(format!("{} ×", grouped(admitted.cast_signed()))),
        );
        y += 12.0;
        for line in wrap(STACK_NOTE, 0, 0, 40) {
            y += 12.5;
            self.out.text((LEGEND, y), 9.0, Anchor::Start, FAINT, &line);
        }
    }

    fn entry(&mut self, y: f64, name: &str, style: &str, bytes: Option<String>) {
        self.out
            .text((LEGEND + 21.0, y), 10.5, Anchor::Start, style, name);
        if let Some(bytes) = bytes {
            self.out
                .text((WIDTH - 24.0, y), 10.5, Anchor::End, style, &bytes);
        }
    }
}
