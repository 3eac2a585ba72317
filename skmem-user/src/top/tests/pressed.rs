//! What keys do.

use super::*;
use crate::{
    diag::pods::tests::{NGINX, PAUSE, UID, node},
    snapshot::group::{GroupBy as Group, KeyNames},
    top::line::Key,
};

fn first(model: &Model) -> u64 {
    let at = model.lines()[0].first;
    model.sample().unwrap().captured.rows[at].cookie
}

#[test]
fn rows_are_sorted_by_the_column_that_is_chosen() {
    let mut model = model(books);
    assert_eq!(first(&model), 2);
    press(&mut model, KeyCode::Char('>'));
    assert_eq!((model.sort, first(&model)), (Column::Fill, 1));
    press(&mut model, KeyCode::Char('R'));
    assert_ne!(first(&model), 1);
    press(&mut model, KeyCode::Char('R'));
    while model.sort != Column::Blocked {
        press(&mut model, KeyCode::Char('>'));
    }
    assert_eq!(first(&model), 3);
    let mut without = super::model(unknown);
    for _ in Column::SORTS {
        press(&mut without, KeyCode::Char('>'));
        assert!(!without.sort.needs_causes(), "{:?}", without.sort);
    }
}

#[test]
fn the_chosen_row_stays_chosen_when_others_pass_it() {
    let mut model = model(unknown);
    press(&mut model, KeyCode::Down);
    let chosen = model.lines()[model.at()].key.clone();
    let mut rows = rows();
    rows[3].memory.as_mut().unwrap().wmem_queued = 5_000_000;
    model.take(sample(rows, 7 * SECOND, unknown()));
    assert_eq!(model.lines()[model.at()].key, chosen);
    assert_eq!(model.at(), 2);
    // It is gone: the first is as good as any.
    model.take(sample(Vec::new(), 8 * SECOND, unknown()));
    assert_eq!(model.at(), 0);
    assert_eq!(press(&mut model, KeyCode::Enter), Action::Draw);
}

#[test]
fn a_filter_looks_into_names_and_can_be_left() {
    let mut model = model(unknown);
    type_in(&mut model, "/NGINX 40003");
    assert_eq!(model.lines().len(), 1, "while it is typed");
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.lines().len(), 7);
    type_in(&mut model, "/nginx");
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.lines().len(), 2);
    // q is a letter there, and a key here.
    assert_eq!(press(&mut model, KeyCode::Char('q')), Action::Quit);
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.lines().len(), 7);
}

#[test]
fn a_group_opens_to_its_sockets() {
    let mut model = model(books);
    type_in(&mut model, "bb");
    assert_eq!(model.by, RowsBy::Unit);
    let nginx = |model: &Model| {
        let key = Key::Group("nginx.service".into());
        model.lines().iter().position(|line| line.key == key)
    };
    let line = &model.lines()[nginx(&model).unwrap()];
    assert_eq!((line.sockets(), line.w, line.full), (2, 15_376 + 87_040, 2));
    assert_eq!(
        (line.over, line.blocked_ns),
        (7184, Some(3_729_992_000_000))
    );
    for _ in 0..nginx(&model).unwrap() {
        press(&mut model, KeyCode::Down);
    }
    press(&mut model, KeyCode::Enter);
    assert_eq!((model.by, model.lines().len()), (RowsBy::Socket, 2));
    press(&mut model, KeyCode::Enter);
    assert!(model.opened().is_some());
    press(&mut model, KeyCode::Esc);
    press(&mut model, KeyCode::Esc);
    assert_eq!((model.by, model.within.is_none()), (RowsBy::Unit, true));
}

#[test]
fn pods_have_rows_and_names() {
    let mut rows = rows();
    for (at, container) in [(0, NGINX), (2, PAUSE)] {
        rows[at].cgroup = Some(format!("/kubepods/pod{UID}/{container}"));
    }
    let root = node();
    let mut model = Model::new(RowsBy::Pod, Column::W, Duration::from_secs(1));
    model.known = KeyNames::below(root.path());
    model.known.refresh(Group::Pod);
    model.take(sample(rows, SECOND, books()));
    let lines = |model: &Model| {
        let lines = model.lines().iter().map(|line| match &line.key {
            Key::Group(key) => (key.clone(), line.sockets()),
            Key::Socket(cookie) => (cookie.to_string(), 1),
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    };
    let expect = |groups: &[(&str, usize)]| -> Vec<(String, usize)> {
        let groups = groups.iter();
        groups.map(|(key, n)| ((*key).to_owned(), *n)).collect()
    };
    let none = "kernel reports no cgroup";
    let pods = [(none, 1), ("no pod", 4), ("shop/web-0", 2)];
    assert_eq!(lines(&model), expect(&pods));
    let at = |model: &Model| {
        let pod = Key::Group("shop/web-0".to_owned());
        model.lines().iter().position(|line| line.key == pod)
    };
    for _ in 0..at(&model).unwrap() {
        press(&mut model, KeyCode::Down);
    }
    let chosen = model.chosen().unwrap();
    let option = ("cgroup".to_owned(), format!("/kubepods/pod{UID}"));
    assert_eq!((chosen.what, chosen.options), ("this pod", vec![option]));
    press(&mut model, KeyCode::Enter);
    assert_eq!(lines(&model), expect(&[("1", 1), ("3", 1)]));
    model.within = None;
    model.by = RowsBy::Container;
    model.begin_again();
    let containers = [
        ("containerd abababababab", 1),
        ("containerd cdcdcdcdcdcd", 1),
        (none, 1),
        ("no container", 4),
    ];
    assert_eq!(lines(&model), expect(&containers));
}

#[test]
fn rates_are_by_the_time_that_passed() {
    let mut model = model(unknown);
    assert_eq!(model.lines()[0].w_rate, Some(1_998_816));
    model.take(sample(rows(), 8 * SECOND, unknown()));
    assert_eq!(model.lines()[0].w_rate, Some(0));
    let mut rows = rows();
    rows[1].memory.as_mut().unwrap().wmem_queued -= 1000;
    rows.push(row(9, "new", 500, 1000));
    model.take(sample(rows, 10 * SECOND, unknown()));
    assert_eq!(model.lines()[0].w_rate, Some(-500));
    assert_eq!(model.histories.w_rate(9), Some(250), "all of it is new");
    let mut once = Model::new(RowsBy::Socket, Column::W, Duration::from_secs(1));
    once.take(sample(super::rows(), SECOND, unknown()));
    assert_eq!(once.lines()[0].w_rate, None);
}

#[test]
fn pause_and_intervals_are_told_to_the_caller() {
    let mut model = model(unknown);
    assert_eq!(press(&mut model, KeyCode::Char('p')), Action::Draw);
    assert!(model.paused && frame(&mut model, 100, 24).contains("PAUSED"));
    assert_eq!(press(&mut model, KeyCode::Char('p')), Action::Look);
    assert_eq!(press(&mut model, KeyCode::Char('+')), Action::Look);
    assert_eq!(model.interval, Duration::from_millis(500));
    let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    assert_eq!(model.press(control('z')), Action::Suspend);
    type_in(&mut model, "/x");
    assert_eq!(model.press(control('c')), Action::Quit);
}

#[test]
fn export_says_how_and_the_next_key_ends_that() {
    let mut model = model(unknown);
    type_in(&mut model, "e");
    assert!(frame(&mut model, 60, 20).contains("skmem top --flight"));
    press(&mut model, KeyCode::Down);
    assert!(!frame(&mut model, 60, 20).contains("skmem top --flight"));
}

#[test]
fn a_column_is_taken_off_and_put_back() {
    let mut model = model(unknown);
    press(&mut model, KeyCode::Char('c'));
    let page = frame(&mut model, 80, 30);
    assert!(page.contains("[x] process") && page.contains("[ ] charged"));
    type_in(&mut model, " ");
    press(&mut model, KeyCode::Esc);
    assert!(!frame(&mut model, 200, 20).contains("process"));
    type_in(&mut model, "c ");
    press(&mut model, KeyCode::Enter);
    assert!(frame(&mut model, 200, 20).contains("process"));
}

#[test]
fn what_is_over_the_limit_is_told_without_colour_too() {
    let theme = |colour| Theme {
        colour,
        keys: false,
    };
    let drawn = |colour| {
        let mut terminal = Terminal::new(TestBackend::new(120, 20)).unwrap();
        let mut model = model(books);
        terminal
            .draw(|frame| view::draw(frame.buffer_mut(), &mut model, theme(colour)))
            .unwrap();
        terminal.backend().buffer().clone()
    };
    let plain = drawn(false);
    assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset));
    assert!(view::text(&plain).contains("│▒"));
    let over = |cell: &&ratatui::buffer::Cell| cell.symbol() == "▒" && cell.fg == Color::Red;
    assert!(drawn(true).content().iter().any(|cell| over(&cell)));
    assert_eq!(view::text(&drawn(true)), view::text(&plain));
}

#[test]
fn the_row_that_is_chosen_stands_out_but_its_bar_keeps_its_colours() {
    let mut terminal = Terminal::new(TestBackend::new(120, 20)).unwrap();
    let mut model = model(books);
    let theme = Theme {
        colour: true,
        keys: true,
    };
    terminal
        .draw(|frame| view::draw(frame.buffer_mut(), &mut model, theme))
        .unwrap();
    let buffer = terminal.backend().buffer();
    let reversed = |cell: &&ratatui::buffer::Cell| cell.modifier.contains(Modifier::REVERSED);
    let chosen = buffer.content().chunks(120);
    let chosen: Vec<_> = chosen.filter(|row| reversed(&&row[0])).collect();
    let [row] = chosen[..] else {
        panic!("{} rows stand out", chosen.len())
    };
    let (inside, outside): (Vec<_>, Vec<_>) =
        row.iter().partition(|cell| "│▒".contains(cell.symbol()));
    assert!(!inside.is_empty() && !inside.iter().any(reversed));
    assert!(outside.iter().filter(|cell| reversed(cell)).count() > 60);
}

#[test]
fn how_to_export_names_what_is_chosen() {
    let said = |model: &mut Model| {
        type_in(model, "e");
        model.message.clone().unwrap().text
    };
    let mut model = model(unknown);
    press(&mut model, KeyCode::Down);
    let line = said(&mut model);
    assert!(
        line.contains("skmem top --flight 5m --sport 40003 --dst "),
        "{line}"
    );
    press(&mut model, KeyCode::Enter);
    assert_eq!(said(&mut model), line);
    press(&mut model, KeyCode::Esc);
    for (by, option) in [
        (RowsBy::Process, " --pid 3"),
        (RowsBy::Unit, " --cgroup /system.slice/"),
        // No unit's sockets are in one.
        (RowsBy::Container, " keeps those of "),
        (RowsBy::Pod, " keeps those of "),
        (RowsBy::Netns, " --netns 7 "),
        (RowsBy::Remote, " --dst "),
    ] {
        type_in(&mut model, "b");
        assert_eq!(model.by, by);
        let line = said(&mut model);
        assert!(line.contains(&format!("--flight 5m{option}")), "{line}");
    }
    type_in(&mut model, "/nothing");
    press(&mut model, KeyCode::Enter);
    let line = said(&mut model);
    assert!(line.contains("there is no row"), "{line}");
}

#[test]
fn what_is_kept_is_exported_of_what_is_chosen() {
    let mut model = model(books);
    model.flight = Some(Duration::from_secs(300));
    let export = |model: &mut Model| {
        let action = press(model, KeyCode::Char('e'));
        (action, model.chosen().unwrap().cookies)
    };
    assert_eq!(export(&mut model), (Action::Export, vec![2]));
    type_in(&mut model, "bb/nginx");
    press(&mut model, KeyCode::Enter);
    let (action, mut cookies) = export(&mut model);
    cookies.sort_unstable();
    assert_eq!((action, cookies), (Action::Export, vec![1, 3]));
    type_in(&mut model, "/nobody");
    press(&mut model, KeyCode::Enter);
    assert_eq!(press(&mut model, KeyCode::Char('e')), Action::Draw);
}

#[test]
fn only_rows_on_the_screen_are_drawn_of_many() {
    let mut model = Model::new(RowsBy::Socket, Column::W, Duration::from_secs(1));
    let many = (0..20_000).map(|n| {
        let mut row = row(n, "many", i32::try_from(n).unwrap() * 16, 400_000);
        row.sport = 1;
        row
    });
    model.take(sample(many.collect(), SECOND, unknown()));
    press(&mut model, KeyCode::End);
    let end = frame(&mut model, 100, 20);
    assert!(end.lines().count() <= 20 && model.at() == 19_999, "{end}");
    press(&mut model, KeyCode::PageUp);
    assert!(model.at() < 19_999 && model.at() > 19_900);
    press(&mut model, KeyCode::Home);
    assert_eq!(model.at(), 0);
}

#[test]
fn a_socket_that_closes_stays_on_the_screen() {
    let mut model = model(books);
    press(&mut model, KeyCode::Enter);
    let cookie = model.opened().unwrap().cookie;
    model.take(sample(Vec::new(), 9 * SECOND, books()));
    let opened = model.opened().unwrap();
    assert!(opened.gone && opened.cookie == cookie);
    let text = frame(&mut model, 100, 30);
    assert!(
        text.contains("closed") && text.contains("postgres"),
        "{text}"
    );
    assert!(model.histories.of(cookie).is_some());
}
