//! One good capture, and what mail, chat, logs, terminals and people make of it. No copy may give
//! another number than the capture has, unless what could not be read is named; and none may lose a
//! number without a word, unless the copy does not hold it.

use std::collections::BTreeMap;

use super::{super::*, corpus, pastes::values};

/// Six sockets of `ss -tamnpeio` on 7.3.
pub(super) fn capture() -> String {
    let (_, text) = corpus()
        .into_iter()
        .find(|(name, _)| name == "7.3.0-tamnpeio.txt")
        .unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let wanted = [
        "LISTEN     1 ",
        "SYN-SENT",
        "ESTAB      128240",
        "ESTAB      0      3812864",
        "FIN-WAIT-1",
        "CLOSE-WAIT",
    ];
    let mut out = format!("{}\n", lines[1]);
    for (at, line) in lines.iter().enumerate() {
        if wanted.iter().any(|head| line.starts_with(head)) {
            out.push_str(&format!("{line}\n{}\n", lines[at + 1]));
        }
    }
    assert_eq!(out.lines().count(), 13);
    out
}

/// What a copy is allowed to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum May {
    /// Nothing: all is read, and nothing is complained of.
    Nothing,
    /// Change how addresses and names are written.
    Rename,
    /// Lose what it does not hold, and what is lost is named.
    Lose,
    /// Lose what was cut away on purpose, as whole columns: nothing is there that could be named.
    Omit,
}

pub(super) fn each(text: &str, change: impl Fn(usize, &str) -> String) -> String {
    text.lines()
        .enumerate()
        .fold(String::new(), |all, (at, line)| {
            all + &change(at, line) + "\n"
        })
}

pub(super) fn prefixed(text: &str, prefix: &str) -> String {
    each(text, |_, line| format!("{prefix}{line}"))
}

/// Cut into pieces of `width` columns, tabs as they are.
pub(super) fn hard(text: &str, width: usize) -> String {
    each(text, |_, line| {
        let spaces = line.replace('\t', "        ");
        let chars: Vec<char> = spaces.chars().collect();
        let pieces: Vec<String> = chars
            .chunks(width)
            .map(|piece| piece.iter().collect())
            .collect();
        pieces.join("\n")
    })
}

/// Broken at spaces, which go.
pub(super) fn soft(text: &str, width: usize, indent: &str) -> String {
    each(text, |_, line| {
        let mut out = String::new();
        let mut column = 0;
        for word in line.split_whitespace() {
            if column > 0 && column + 1 + word.len() > width {
                out.push('\n');
                out.push_str(indent);
                column = 0;
            } else if column > 0 {
                out.push(' ');
            }
            out.push_str(word);
            column += word.len() + 1;
        }
        out
    })
}

fn squeezed(text: &str) -> String {
    each(text, |_, line| {
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

fn oneline(text: &str) -> String {
    text.replace("\n\t", " ")
}

fn quoted_printable(text: &str) -> String {
    each(&text.replace('=', "=3D"), |_, line| {
        let chars: Vec<char> = line.chars().collect();
        let mut out = String::new();
        let mut column = 0;
        let mut at = 0;
        while at < chars.len() {
            let step = if chars[at] == '=' { 3 } else { 1 };
            if column + step > 75 {
                out.push_str("=\n");
                column = 0;
            }
            out.extend(&chars[at..at + step]);
            column += step;
            at += step;
        }
        out
    })
}

fn hosts(text: &str, from: &[(&str, &str)]) -> String {
    from.iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn copies(good: &str) -> Vec<(String, String, May)> {
    let mut all: Vec<(String, String, May)> = Vec::new();
    let mut add = |name: &str, text: String, may: May| all.push((name.to_owned(), text, may));
    let header = good.lines().next().unwrap();
    // Layout that means nothing.
    add("CRLF", good.replace('\n', "\r\n"), May::Nothing);
    add("CR", good.replace('\n', "\r"), May::Nothing);
    add("byte order mark", format!("\u{feff}{good}"), May::Nothing);
    add(
        "tabs to spaces",
        good.replace('\t', "        "),
        May::Nothing,
    );
    add("one space", squeezed(good), May::Nothing);
    add(
        "no leading space",
        each(good, |_, line| line.trim_start().to_owned()),
        May::Nothing,
    );
    add(
        "no header",
        good.replacen(&format!("{header}\n"), "", 1),
        May::Nothing,
    );
    add("blank lines", good.replace('\n', "\n\n"), May::Nothing);
    add("fences", format!("```\n{good}```\n"), May::Nothing);
    add(
        "fence with language",
        format!("```text\n{good}```\n"),
        May::Nothing,
    );
    add(
        "rulers of grep",
        good.replace("\nESTAB", "\n--\nESTAB"),
        May::Nothing,
    );
    add("one line each", oneline(good), May::Nothing);
    add(
        "padded",
        each(good, |_, line| format!("{line:<800}")),
        May::Nothing,
    );
    add("indented", prefixed(good, "    "), May::Nothing);
    add("indented by a tab", prefixed(good, "\t"), May::Nothing);
    add("no-break spaces", good.replace(' ', "\u{a0}"), May::Nothing);
    add("half of them", good.replace("  ", " \u{a0}"), May::Nothing);
    add(
        "zero width spaces",
        good.replace("skmem", "\u{200b}skmem")
            .replace(" rto", "\u{200b} rto"),
        May::Nothing,
    );
    add(
        "smart quotes",
        hosts(good, &[("((\"", "((\u{201c}"), ("\",pid", "\u{201d},pid")]),
        May::Nothing,
    );
    add(
        "entities",
        good.replace('"', "&quot;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        May::Nothing,
    );
    add(
        "xargs",
        squeezed(&oneline(good)).replace('"', ""),
        May::Nothing,
    );
    add(
        "upper case of skmem",
        good.replace("skmem:(r", "SKMEM:(R"),
        May::Nothing,
    );
    add(
        "space before the bracket",
        good.replace("skmem:(", "skmem: ("),
        May::Nothing,
    );
    add(
        "spaces in the bracket",
        hosts(good, &[(",rb", ", rb"), (",tb", ", tb"), (",w", ", w")]),
        May::Nothing,
    );
    add(
        "equals in the bracket",
        hosts(
            good,
            &[
                ("(r", "(r="),
                (",rb", ",rb="),
                (",tb", ",tb="),
                (",w", ",w="),
            ],
        ),
        May::Nothing,
    );
    add(
        "bold",
        hosts(
            good,
            &[
                ("skmem:(", "**skmem:("),
                (") ts", ")** ts"),
                (") bbr", ")** bbr"),
            ],
        ),
        May::Nothing,
    );
    add(
        "code marks",
        hosts(
            good,
            &[
                ("skmem:(", "`skmem:("),
                (") ts", ")` ts"),
                (") bbr", ")` bbr"),
            ],
        ),
        May::Nothing,
    );
    add(
        "one star",
        hosts(
            good,
            &[
                ("skmem:(", "*skmem:("),
                (") ts", ")* ts"),
                (") bbr", ")* bbr"),
            ],
        ),
        May::Nothing,
    );
    add(
        "colour of grep",
        good.replace("skmem", "\x1b[01;31m\x1b[Kskmem\x1b[m\x1b[K"),
        May::Nothing,
    );
    add(
        "colour of states",
        good.replace("ESTAB", "\x1b[32mESTAB\x1b[0m"),
        May::Nothing,
    );
    add(
        "colour in brackets",
        good.replace("rb131072", "rb\x1b[1m131072\x1b[0m"),
        May::Nothing,
    );
    add(
        "a terminal's title",
        format!("\x1b]0;user@host: ~\x07{good}"),
        May::Nothing,
    );
    add(
        "cat -A",
        each(good, |_, line| format!("{}$", line.replace('\t', "^I"))),
        May::Nothing,
    );
    add(
        "cat -v of colours",
        good.replace("ESTAB", "^[[32mESTAB^[[0m"),
        May::Nothing,
    );
    add(
        "HTML",
        each(good, |_, line| format!("<p>{line}</p>")),
        May::Nothing,
    );
    add(
        "HTML, an element",
        format!("<pre>{good}</pre>"),
        May::Nothing,
    );
    add(
        "a bracket behind each address",
        good.replace("127.0.0.1:5001 ", "127.0.0.1:5001] "),
        May::Lose,
    );
    add(
        "a numbered list",
        each(&oneline(good), |at, line| format!("{at}. {line}")),
        May::Nothing,
    );
    // Prompts and banners.
    for prompt in [
        "$ ss -tamnpeio",
        "# ss -tamnpeio",
        "#ss -tamnpeio",
        "$ss -tamnpeio",
        "ss -tamnpeio",
        "ss",
        "% ss -tamnpeio",
        "[root@host ~]# ss -tamnpeio",
        "user@host:~$ sudo ss -tamnpeio",
        "root@h:/# /usr/bin/ss -tamnpeio",
        "➜  ~ ss -tamnpeio",
        "host% ss -tamnpeio",
        "host:/ # ss -tamnpeio",
        "❯ ss -tamnpeio",
        "PS C:\\> wsl ss -tamnpeio",
        "# kubectl exec -it web-0 -c app -- ss -tamnpeio\nDefaulted container \"app\" out of: app, proxy",
        "# nsenter -t 1234 -n ss -tamnpeio",
        "Every 2.0s: ss -tamnpeio      host: Fri Nov 28 00:50:00 2025\n",
        "$ date; ss -tamnpeio\nFri Nov 28 00:50:02 UTC 2025",
        "{noformat}",
        "...",
        "$ docker exec c1 ss -tamnpeio | head",
    ] {
        add(
            &format!("prompt {prompt}"),
            format!("{prompt}\n{good}"),
            May::Nothing,
        );
    }
    add(
        "prompt behind",
        format!("$ ss -tamnpeio\n{good}user@host:~$ "),
        May::Nothing,
    );
    add(
        "text around",
        format!("Hello,\nthis is what I see:\n\n{good}\nWhat is wrong?\n"),
        May::Nothing,
    );
    // The same before each line.
    for prefix in [
        "> ",
        "> >>> ",
        ">",
        "# ",
        "// ",
        " * ",
        "+",
        "-",
        "; ",
        "[2022/9/23 15:43:47] ",
        "[2026-11-28 07:11:22,123] INFO [main] ",
        "2026-11-28T07:11:22.123456789+00:00 stdout F ",
        "I1128 07:11:22.123456       1 diag.go:55] ",
        "│ ",
        "Nov 28 00:50:00 ",
        "2025-11-28T00:50:00.123Z ",
        "2025-11-28T00:50:00+00:00 ",
        "[pod/web-7f9c/app] ",
        "web-1  | ",
        "host1: ",
        "host1 | SUCCESS => ",
        "|  ",
        "    > ",
        "Nov 28 00:50:00 host1 ss[123]: ",
    ] {
        add(
            &format!("prefix {prefix}"),
            prefixed(good, prefix),
            May::Nothing,
        );
    }
    add(
        "line numbers",
        each(good, |at, line| format!("{at}: {line}")),
        May::Nothing,
    );
    add(
        "cat -n",
        each(good, |at, line| format!("{:6}\t{line}", at + 1)),
        May::Nothing,
    );
    add(
        "grep -n",
        each(good, |at, line| {
            format!("{at}{}{line}", if at % 2 == 0 { ':' } else { '-' })
        }),
        May::Nothing,
    );
    add(
        "a table",
        each(&oneline(good), |_, line| {
            format!(
                "| {} |",
                line.split_whitespace().collect::<Vec<_>>().join(" | ")
            )
        }),
        May::Nothing,
    );
    // Broken lines.
    for width in [80, 100, 120, 132, 160, 200] {
        add(
            &format!("hard wrap at {width}"),
            hard(good, width),
            May::Lose,
        );
        add(
            &format!("the same, quoted, {width}"),
            prefixed(&hard(good, width), "> "),
            May::Lose,
        );
    }
    add("soft wrap at 72", soft(good, 72, ""), May::Nothing);
    add("soft wrap at 80", soft(good, 80, ""), May::Nothing);
    add(
        "soft wrap at 72 with an indent",
        soft(good, 72, "   "),
        May::Nothing,
    );
    add(
        "soft wrap, quoted",
        prefixed(&soft(good, 76, ""), "> "),
        May::Nothing,
    );
    add("quoted printable", quoted_printable(good), May::Nothing);
    add(
        "quoted printable, quoted",
        quoted_printable(&prefixed(good, "> ")),
        May::Nothing,
    );
    // In other clothes.
    add(
        "JSON string",
        serde_json::to_string(good).unwrap(),
        May::Nothing,
    );
    add("JSON of a tool", serde_json::json!({"rc": 0, "stdout": good, "stdout_lines": good.lines().collect::<Vec<_>>()}).to_string(), May::Nothing);
    add(
        "JSON lines of a container",
        each(good, |_, line| {
            serde_json::json!({"log": format!("{line}\n"), "stream": "stdout"}).to_string()
        }),
        May::Nothing,
    );
    add(
        "escaped",
        good.replace('\n', "\\n").replace('\t', "\\t"),
        May::Nothing,
    );
    add(
        "repr",
        format!("'{}'", good.replace('\n', "\\n").replace('\t', "\\t")),
        May::Nothing,
    );
    add(
        "repr of bytes",
        format!("b'{}'", good.replace('\n', "\\n").replace('\t', "\\t")),
        May::Nothing,
    );
    // Addresses and names.
    add(
        "IPv6",
        good.replace("127.0.0.1", "[2001:db8::1]"),
        May::Rename,
    );
    add(
        "mapped",
        good.replace("127.0.0.1", "[::ffff:127.0.0.1]"),
        May::Rename,
    );
    add(
        "with a device",
        good.replace("127.0.0.1", "127.0.0.1%lo"),
        May::Rename,
    );
    add(
        "host names",
        good.replace("127.0.0.1", "db-1.example.com"),
        May::Rename,
    );
    add("services", good.replace(":5001 ", ":http "), May::Rename);
    for (name, mask) in [
        ("x", "x.x.x.x"),
        ("letters", "A.B.C.D"),
        ("brackets", "<ip>"),
        ("star", "***"),
        ("part", "127.0.x.x"),
        ("word", "REDACTED"),
    ] {
        add(
            &format!("masked by {name}"),
            good.replace("127.0.0.1", mask),
            May::Rename,
        );
    }
    add(
        "a space about the colon",
        good.replace("127.0.0.1:", "127.0.0.1 : "),
        May::Rename,
    );
    // Changed, cut.
    add(
        "thousands",
        hosts(
            good,
            &[
                ("3812864", "3,812,864"),
                ("rb131072", "rb131,072"),
                ("128240 ", "128,240 "),
            ],
        ),
        May::Nothing,
    );
    add(
        "dots at the end of the bracket",
        hosts(good, &[(",bl0,d0)", ",...)")]),
        May::Lose,
    );
    add(
        "bracket not closed",
        good.replace(",bl0,d0)", ""),
        May::Lose,
    );
    add(
        "letters for digits",
        good.replace("rb131072", "rbXXXXXX"),
        May::Lose,
    );
    for width in [80, 132] {
        add(
            &format!("cut at {width}"),
            each(good, |_, line| {
                line.replace('\t', "        ").chars().take(width).collect()
            }),
            May::Lose,
        );
        add(
            &format!("less -S at {width}"),
            each(good, |_, line| {
                let line = line.replace('\t', "        ");
                let cut: String = line.chars().take(width - 1).collect();
                if line.len() > width { cut + ">" } else { line }
            }),
            May::Lose,
        );
    }
    add(
        "heads only",
        each(good, |_, line| {
            if line.starts_with('\t') {
                String::new()
            } else {
                line.into()
            }
        }),
        May::Omit,
    );
    add(
        "memory only",
        each(good, |_, line| {
            if line.starts_with('\t') {
                line.into()
            } else {
                String::new()
            }
        }),
        May::Omit,
    );
    add(
        "grep of memory",
        each(good, |_, line| {
            line.split_whitespace()
                .find(|word| word.starts_with("skmem"))
                .unwrap_or_default()
                .to_owned()
        }),
        May::Omit,
    );
    add(
        "addresses cut",
        each(good, |_, line| {
            if line.starts_with('\t') {
                line.into()
            } else {
                line.split_whitespace()
                    .take(3)
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        }),
        May::Omit,
    );
    add(
        "csv",
        each(&oneline(good), |_, line| {
            line.split_whitespace().collect::<Vec<_>>().join(",")
        }),
        May::Lose,
    );
    add(
        "sorted",
        {
            let mut lines: Vec<_> = good.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        },
        May::Lose,
    );
    add("all in upper case", good.to_uppercase(), May::Lose);
    quoted(good, &mut add);
    behind(good, &mut add);
    all
}

/// Lines as strings of other formats.
fn quoted(good: &str, add: &mut impl FnMut(&str, String, May)) {
    let signs = |line: &str| {
        line.chars().fold(String::new(), |all, c| match c {
            '_' | '*' | '<' | '>' | '[' | ']' | '(' | ')' | '#' | '.' | '-' => {
                all + "\\" + &c.to_string()
            }
            c => all + &c.to_string(),
        })
    };
    add(
        "Markdown's escapes",
        each(good, |_, line| signs(line)),
        May::Nothing,
    );
    add(
        "a list in YAML",
        each(good, |_, line| format!("  - {}", serde_json::json!(line))),
        May::Nothing,
    );
    add(
        "CSV of one column",
        each(good, |_, line| format!("\"{}\"", line.replace('"', "\"\""))),
        May::Nothing,
    );
    add(
        "CSV of quoted cells",
        each(good, |_, line| {
            let cells = line
                .split_whitespace()
                .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            cells.collect::<Vec<_>>().join(",")
        }),
        May::Nothing,
    );
    add(
        "the border of a pane",
        each(good, |_, line| {
            format!("{:<760}│", line.replace('\t', "        "))
        }),
        May::Nothing,
    );
}

/// What stands behind the last line, which goes on with it where it may.
fn behind(good: &str, add: &mut impl FnMut(&str, String, May)) {
    for line in [
        "user@host ~> ",
        "PS C:\\Users\\me> ",
        "/app $ exit",
        "+ sleep 1",
        "^C",
        "real\t0m0.012s",
        "command terminated with exit code 1",
        "Connection to 192.0.2.1 closed.",
        "5 minutes later it is the same",
        "2 of 6 are stuck",
        "#+end_example",
        "{code}",
        "</details>",
        "user in ☁ host in ~ took 2s",
        "└─# ",
        "…and so on",
    ] {
        add(
            &format!("behind: {line}"),
            format!("{good}{line}\n"),
            May::Nothing,
        );
        // Behind a head, too: there an address may go on.
        let head: String = good
            .lines()
            .take(2)
            .map(|line| format!("{line}\n"))
            .collect();
        let rest = good.strip_prefix(&head).unwrap_or_default();
        let rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        add(
            &format!("between: {line}"),
            format!("{head}{line}\n{rest}"),
            May::Omit,
        );
    }
}

pub(super) type Facts = BTreeMap<String, Vec<String>>;

/// What the good reading says and a copy's does not; None where the two are equal.
pub(super) fn lost<'a, K>(
    right: &'a [(K, Facts)],
    found: &[(K, Facts)],
) -> Option<Vec<(&'a String, &'a Vec<String>)>> {
    let both = || right.iter().zip(found);
    let same = found.len() == 6 && both().all(|((_, good), (_, copy))| good == copy);
    (!same).then(|| {
        let lost = both().flat_map(|((_, good), (_, copy))| {
            good.iter()
                .filter(|(name, value)| copy.get(*name) != Some(*value))
        });
        lost.collect()
    })
}

/// Numbers by socket: its line in the capture is what its inode says, and where that is not there,
/// its memory.
pub(super) fn facts(read: &Decoded) -> Vec<(Option<i64>, Facts)> {
    read.sockets
        .iter()
        .map(|socket| {
            let mut facts = Facts::new();
            for (name, value) in values(socket) {
                facts.entry(name).or_default().push(value);
            }
            (socket.info.lastsnd_ms, facts)
        })
        .collect()
}

/// All values of a name that the capture has: what a copy shows must be among them, of one socket.
pub(super) fn agrees(good: &Facts, copy: &Facts, may: May) -> bool {
    copy.iter().all(|(name, values)| {
        let free = may == May::Rename && name == "user";
        free || good
            .get(name)
            .is_some_and(|known| values.iter().all(|value| known.contains(value)))
    })
}

#[test]
fn no_damaged_copy_gives_another_number_silently() {
    let good = capture();
    let whole = parse(&good);
    assert_eq!(
        (whole.sockets.len(), whole.unread.len(), whole.passed.len()),
        (6, 0, 0)
    );
    let right = facts(&whole);
    let copies = copies(&good);
    assert!(copies.len() >= 105, "{}", copies.len());
    let mut wrong = Vec::new();
    for (name, text, may) in &copies {
        let read = parse(text);
        let mut complain = |what: String| wrong.push(format!("{name} ({may:?}): {what}"));
        let found = facts(&read);
        for (at, (_, copy)) in found.iter().enumerate() {
            if !right.iter().any(|(_, good)| agrees(good, copy, *may)) {
                let best = right
                    .iter()
                    .map(|(_, good)| {
                        copy.iter()
                            .filter(|(name, values)| good.get(*name) != Some(values))
                            .map(|(name, values)| format!("{name} {values:?}"))
                            .collect::<Vec<_>>()
                    })
                    .min_by_key(Vec::len)
                    .unwrap();
                complain(format!(
                    "socket {at} shows what none has: {best:?}; unread {:?}",
                    read.unread
                ));
            }
        }
        match may {
            May::Nothing | May::Rename => {
                if !read.unread.is_empty() {
                    complain(format!("unread {:?}", read.unread));
                }
                if found.len() != 6 {
                    complain(format!("{} sockets", found.len()));
                    continue;
                }
                for ((_, good), (_, copy)) in right.iter().zip(&found) {
                    if good != copy && *may == May::Nothing {
                        let lost: Vec<_> = good
                            .iter()
                            .filter(|(name, value)| copy.get(*name) != Some(value))
                            .collect();
                        complain(format!("lost {lost:?}"));
                    }
                }
            }
            May::Lose => {
                if let Some(lost) = lost(&right, &found)
                    && read.unread.is_empty()
                {
                    complain(format!(
                        "lost without a word: {} sockets, {lost:?}",
                        found.len()
                    ));
                }
            }
            May::Omit => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        copies.len(),
        wrong.join("\n")
    );
}
