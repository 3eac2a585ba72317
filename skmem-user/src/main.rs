//! dev
use skmem::{kernel::tracer::*, collect::{reader::Reader, decode::Record}, model::replay::Replay, workload};
use skmem_common::{hook::Hook, cause::Cause};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(|s| s.as_str()) == Some("workload") {
        #[derive(clap::Parser)] struct P { name: String, #[command(flatten)] o: workload::Options }
        let p = <P as clap::Parser>::parse_from(&args[1..]);
        std::process::exit(if workload::run(&p.name, &p.o) == std::process::ExitCode::SUCCESS {0} else {1});
    }
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let t = std::time::Instant::now();
        let name = args.get(1).map(|s| s.as_str()).unwrap_or("article");
        let mut driver = workload::Driver::spawn(&std::env::current_exe().unwrap(), name, &workload::Options::default()).unwrap();
        let ready = driver.ready().await.unwrap();
        eprintln!("ready {ready:?} {:?}", t.elapsed());
        let mut tracer = Tracer::load(&Options { filter: skmem_common::filter::Filter { flags: 1, ..Default::default() }, pids: ready.pids.clone(), follow: true, ..Default::default() }).unwrap_or_else(|e| { eprintln!("{e}"); std::process::exit(1) });
        eprintln!("loaded {} in {:?}", tracer.attached().len(), t.elapsed());
        for n in tracer.notes() { eprintln!("note {n}"); }
        let mut reader = Reader::new(tracer.take_ring().unwrap()).unwrap();
        tracer.enable().unwrap();
        driver.go().await.unwrap();
        let mut replay = Replay::default();
        let verbose = args.get(2).is_some();
        let mut n = 0;
        let mut show = |r: &Record| { n += 1; if verbose && n < 200 { if let Record::Event(e) = r {
            let ops: Vec<String> = e.ops[..e.header.ops as usize].iter().map(|o| format!("{}:{}:{}:{}", o.kind, if o.kind==0 {Cause::from_u8(o.cause).unwrap().name()} else {"-"}, o.tier, o.value)).collect();
            println!("{} no={} {} w {}->{} S={} f {}->{} sq={} ts={} arg={} ret={} kind={} {:?}", e.time_ns/1000, e.event_no, Hook::from_u8(e.header.hook).unwrap().name(), e.before.wmem_queued, e.view.wmem_queued, e.view.sndbuf, e.before.forward_alloc, e.view.forward_alloc, e.view.send_q(), e.truesize, e.arg, e.ret, e.kind, ops);
        } else { println!("{r:?}"); } } };
        let settled = { let s = driver.settled(); tokio::pin!(s); loop { tokio::select! { r = &mut s => break r.unwrap(), r = reader.read(|r| { show(r); replay.apply(r) }) => r.unwrap() } } };
        while reader.drain(|r| { show(r); replay.apply(r) }) > 0 {}
        let truth = driver.truth().await.unwrap();
        while reader.drain(|r| { show(r); replay.apply(r) }) > 0 {}
        println!("settled {:?} truth {:?}", settled.reason, truth.iter().take(2).collect::<Vec<_>>());
        let totals = tracer.totals().unwrap();
        println!("seen {} produced {} lost {} bad {:?} skipped {} noslot {}", reader.seen(), totals.all_produced(), totals.all_lost(), reader.bad(), tracer.skipped_runs(), totals.no_slot);
        for a in tracer.table().accounts().take(3) {
            let l = &a.ledger;
            println!("{:?}\nw {} S {} worst {} O {} stale {} orphans {} ops_lost {} lost {} blocked {:?} sched {:?}", a.ident, l.now.w, l.now.sndbuf, l.worst_excess, a.overhead, a.stale, a.orphans, a.ops_lost, a.lost, a.blocked, a.scheduled);
            println!("last {:?}", a.last);
            println!("worst view {:?}", l.worst_view);
            println!("agrees {:?}", replay.agrees(a.ident.id, l));
            for c in Cause::ALL { let t = l.now.total(*c); if t.count>0 { println!("  total {:22} {:>10} inferred {:>8} x{}", c.name(), t.bytes, t.inferred, t.count); } }
            let s = l.at_worst(); println!("admission {:?}", s.admission);
            for c in Cause::ALL { if let Some(t) = s.since(*c) { println!("  since {:22} {:>10} x{}", c.name(), t.bytes, t.count); } }
        }
    });
}
