//! What `skmem serve` takes in user space, without kernel: a look at many sockets counted, metrics
//! made of it, and written in both formats. Each figure is the fastest of a few rounds.
//!
//!     cargo bench --bench serve -- [SOCKETS]

#[cfg(feature = "serve")]
fn main() {
    serve::main();
}

#[cfg(not(feature = "serve"))]
fn main() {}

#[cfg(feature = "serve")]
mod serve {
    use std::{fs, hint::black_box, sync::Arc, time::Instant};

    use skmem::{
        Account, Cause, Row,
        serve::{
            book::Book,
            families::{FIXED, Family, Machine, Tracing, families},
            owner_labels::OwnerLabels,
            text::{Format, text},
        },
        snapshot::capture::{Options, capture},
    };

    /// Sockets where nobody says how many.
    const SOCKETS: usize = 10_000;
    /// Groups that they belong to.
    const GROUPS: usize = 120;
    /// As by default.
    const SERIES: usize = 2_000;
    /// Rounds.
    const TIMES: usize = 5;

    pub fn main() {
        // cargo bench adds --bench.
        let sockets = std::env::args().skip(1).find(|a| !a.starts_with("--"));
        let sockets = sockets.map_or(SOCKETS, |n| n.parse().expect("a number of sockets"));
        let groups: Vec<Arc<OwnerLabels>> = (0..GROUPS)
            .map(|n| {
                Arc::new(OwnerLabels {
                    namespace: "default".to_owned(),
                    pod: format!("service-{n}-6d4f8b9c7-x2x{n}"),
                    container: "main".to_owned(),
                    comm: format!("worker-{n}"),
                    ..OwnerLabels::default()
                })
            })
            .collect();
        // A real row, many times over.
        let _listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let captured = capture(Options::default()).expect("sock_diag answers");
        let row = captured.rows.first().expect("a socket").clone();
        let before = resident();
        let mut book = Book::new(SERIES, FIXED);
        let mut account = Box::new(Account::EMPTY);
        let causes = [
            Cause::NewSkb,
            Cause::FirstFill,
            Cause::TailAppend,
            Cause::Ack,
        ];
        println!("{sockets} sockets in {GROUPS} groups");
        let mut n = 0;
        time("count a look", || {
            n += 1;
            book.begin();
            for id in 0..sockets {
                let who = &groups[id % GROUPS];
                account.ident.id = id as u64 + 1;
                for cause in causes {
                    account.ledger.now.total[cause as usize].bytes = n * 1_000;
                }
                book.account(black_box(&account), who, n.unsigned_abs());
                let row = Row {
                    cookie: id as u64,
                    ..row.clone()
                };
                book.row(&row, who);
            }
            book.end(|_| true);
        });
        let machine = Machine {
            tracing: Some(Tracing::default()),
            account: Some(captured.account),
            ..Machine::default()
        };
        time("make metrics", || {
            drop(black_box(families(&book, &machine)));
        });
        let families = families(&book, &machine);
        let series: usize = families.iter().map(Family::series).sum();
        for (name, format) in [
            ("OpenMetrics", Format::OpenMetrics),
            ("Prometheus' text", Format::Prometheus),
        ] {
            time(name, || drop(black_box(text(families.clone(), format))));
        }
        let bytes = text(families.clone(), Format::OpenMetrics).len();
        println!("{series} series, {} KiB", bytes >> 10);
        println!(
            "{:<18} {:>9} MiB",
            "kept in memory",
            (resident() - before) >> 20
        );
    }

    fn time(what: &str, mut work: impl FnMut()) {
        let mut best = f64::MAX;
        for _ in 0..TIMES {
            let begun = Instant::now();
            work();
            best = best.min(begun.elapsed().as_secs_f64());
        }
        println!("{what:<18} {:>9.2} ms", best * 1e3);
    }

    /// Resident memory, bytes.
    fn resident() -> u64 {
        let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = pages.split(' ').nth(1).and_then(|n| n.parse().ok());
        pages.unwrap_or(0) * 4096
    }
}
