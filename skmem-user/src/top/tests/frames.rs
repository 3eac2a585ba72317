//! Whole frames, kept as text: `SKMEM_BLESS=1` writes them anew.

use super::*;

/// Sizes of terminals.
const SIZES: [(u16, u16); 3] = [(60, 20), (100, 30), (200, 40)];

fn kept(name: &str, frame: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/tests/frames");
    let path = path.join(format!("{name}.txt"));
    if std::env::var_os("SKMEM_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, frame).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        frame, kept,
        "{name}: look at it, then keep it with SKMEM_BLESS=1"
    );
}

fn at_all_sizes(name: &str, mut model: Model) {
    for (width, height) in SIZES {
        let frame = frame(&mut model, width, height);
        for line in frame.lines() {
            let wide = unicode_width::UnicodeWidthStr::width(line);
            assert!(wide <= usize::from(width), "{wide}: {line}");
        }
        kept(&format!("{name}-{width}"), &frame);
    }
}

#[test]
fn sockets_without_causes() {
    at_all_sizes("sockets", model(unknown));
}

#[test]
fn sockets_with_causes() {
    at_all_sizes("causes", model(books));
}

#[test]
fn groups() {
    let mut model = model(books);
    type_in(&mut model, "bb");
    at_all_sizes("units", model);
}

#[test]
fn one_socket_of_a_recording() {
    at_all_sizes("recorded", recorded());
}

#[test]
fn the_help_page() {
    let mut model = model(unknown);
    type_in(&mut model, "?");
    at_all_sizes("help", model);
}

#[test]
fn printed_once() {
    let mut model = model(unknown);
    kept("once", &view::plain(&mut model, 100, 20));
}

#[test]
fn empty_states_say_what_is() {
    let mut none = Model::new(RowsBy::Socket, Column::W, Duration::from_secs(1));
    let mut empty = sample(Vec::new(), SECOND, unknown());
    empty.captured.notes = vec!["the namespaces of 1 process that may not be looked at".into()];
    none.take(empty);
    kept("nothing", &frame(&mut none, 80, 16));
    let mut filtered = model(unknown);
    type_in(&mut filtered, "/nobody");
    press(&mut filtered, KeyCode::Enter);
    kept("filtered", &frame(&mut filtered, 80, 16));
    assert!(frame(&mut filtered, 30, 6).starts_with("too small"));
}

/// The socket of a recording, open, as top would have seen it ten times.
fn recorded() -> Model {
    let file: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/v1-article.skm");
    let mut recording = Recording::open(&file).unwrap();
    let mut player = Playback::new(16);
    let mut model = Model::new(RowsBy::Socket, Column::W, Duration::from_secs(1));
    let mut next = 0;
    while let Some(item) = recording.next_item() {
        player.take(&item);
        if matches!(item, Item::Record(_)) && player.now_ns >= next {
            if let Some(sample) = look_at(&player) {
                model.take(sample);
            }
            next = player.now_ns + SECOND / 20;
        }
    }
    model.take(look_at(&player).unwrap());
    press(&mut model, KeyCode::Enter);
    model.tell(verdict(&player));
    model
}

fn look_at(player: &Playback) -> Option<MachineSample> {
    let kept = player.accounts().into_iter().next()?;
    let account = &kept.account;
    let mut one = socket(
        TcpState::Established,
        mem(account.ledger.now.w, 0, 0, account.ledger.now.sndbuf),
    );
    one.cookie = account.ident.id;
    (one.sport, one.dport) = (account.ident.sport, account.ident.dport);
    let mut row = Row::new(&one, 7);
    row.owner = Owner::Process;
    row.holders = vec![Process {
        pid: account.ident.pid,
        comm: crate::render::comm(&account.ident.comm).into(),
        fd: 3,
    }];
    let booked = Booked::of(account, player.now_ns);
    let books = Books {
        sockets: [(account.ident.id, booked)].into_iter().collect(),
        ..Books::default()
    };
    Some(sample(vec![row], player.now_ns, Causes::Kept(books)))
}

fn verdict(player: &Playback) -> Verdict {
    let end = crate::model::end::End {
        totals: crate::model::end::Totals {
            now_ns: player.now_ns,
            ..Default::default()
        },
        open: player.accounts(),
        closed: Vec::new(),
    };
    let mut all = end.verdicts("6.12.118", true, false, Source::Records { missing: None });
    all.remove(0)
}

#[test]
fn a_recordings_bars_add_up_to_what_is_queued() {
    let model = recorded();
    let history = model.histories.of(model.opened().unwrap().cookie).unwrap();
    let mut queued = 0;
    for sample in history.samples() {
        let sum: i64 = sample
            .causes
            .iter()
            .map(|(_, bytes)| i64::from(*bytes))
            .sum();
        assert_eq!(sum, i64::from(sample.w));
        queued = queued.max(sum);
    }
    assert!(queued > 8192, "{queued}");
}
