//! One good capture, broken at every column.

use super::{
    super::*,
    damage::{May, agrees, capture, each, facts, hard, lost, prefixed, soft},
};

/// At any column a terminal breaks lines, a mail program wraps them, `cut` cuts them.
#[test]
fn no_width_gives_another_number_silently() {
    let good = capture();
    let right = facts(&parse(&good));
    let mut wrong = Vec::new();
    let mut check = |name: String, text: &str, whole: bool| {
        let read = parse(text);
        let found = facts(&read);
        for (_, copy) in &found {
            if !right.iter().any(|(_, good)| agrees(good, copy, May::Lose)) {
                wrong.push(format!("{name}: {copy:?}"));
            }
        }
        if let Some(lost) = lost(&right, &found)
            && (read.unread.is_empty() || whole)
        {
            wrong.push(format!(
                "{name}: {} sockets, lost {lost:?}, unread {:?}",
                found.len(),
                read.unread
            ));
        }
    };
    for width in (60..=200).step_by(3) {
        // Blanks at the edge go where a terminal is copied.
        let stripped = each(&hard(&good, width), |_, line| line.trim_end().to_owned());
        let under = format!("[root@host ~]# ss -tamnpeio\n{stripped}[root@host ~]# \n");
        check(format!("hard {width} under a prompt"), &under, false);
        let log = "Nov 28 00:50:00 web-01 app[1]: ";
        check(
            format!("hard {width} in a log"),
            &prefixed(&stripped, log),
            false,
        );
        check(
            format!("a log, hard {width}"),
            &hard(&prefixed(&good, log), width),
            false,
        );
        let pane = each(&stripped, |_, line| format!("{line:<width$}│"));
        check(format!("hard {width} in a pane"), &pane, false);
        let shell = each(&good, |_, line| {
            let chars: Vec<char> = line.chars().collect();
            let pieces = chars.chunks(width).map(|piece| piece.iter().collect());
            pieces.collect::<Vec<String>>().join("\\\n")
        });
        check(format!("hard {width} with backslashes"), &shell, false);
        for prefix in ["", "> "] {
            check(
                format!("hard {width} {prefix:?}"),
                &prefixed(&hard(&good, width), prefix),
                false,
            );
            check(
                format!("soft {width} {prefix:?}"),
                &prefixed(&soft(&good, width, ""), prefix),
                true,
            );
        }
        let first = each(&good, |_, line| {
            soft(&format!("> {line}"), width, "").trim_end().to_owned()
        });
        check(format!("soft {width}, only the first marked"), &first, true);
        let cut = each(&good, |_, line| {
            line.replace('\t', "        ").chars().take(width).collect()
        });
        check(format!("cut {width}"), &cut, false);
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
