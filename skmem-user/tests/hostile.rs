//! Every decoder of bytes from outside against damaged input: it must not panic, must end, and must
//! not take more memory than its input justifies. The damage is the same at each run; `cargo xtask
//! fuzz` finds more.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use skmem::fuzz::{self, Target};

/// Most damaged inputs of a target,
const MOST: usize = 4000;
/// but no more than this time allows, unoptimised: a recording is explained each time.
const TIME: Duration = Duration::from_millis(1500);
/// What a busy machine must manage all the same.
const LEAST: usize = 40;

/// Counts what a thread holds, and the most that it held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST_HELD: Cell<usize> = const { Cell::new(0) };
}

fn took(bytes: usize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(bytes));
        let _ = MOST_HELD.try_with(|most| most.set(most.get().max(held.get())));
    });
}

fn gave(bytes: usize) {
    // What was taken by another thread: not below nothing.
    let _ = HELD.try_with(|held| held.set(held.get().saturating_sub(bytes)));
}

// SAFETY: all is passed on to the system's allocator; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as promised to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as promised to us.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: as promised to us.
        unsafe { System.dealloc(at, layout) };
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Numbers at which arithmetic breaks.
const EDGES: [u64; 8] = [
    0,
    1,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// The same as text, for JSON, `ss` and the like.
const TEXTS: [&str; 10] = [
    "0",
    "-1",
    "4294967295",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e308",
    "\u{1b}[2J",
    "\0",
    "é",
];

/// `seed`, damaged in one to four places; `other` to splice from.
fn damaged(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let len = random.below(64).min(bytes.len() - at);
        match random.below(9) {
            _ if bytes.is_empty() => bytes = other.to_vec(),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let again = bytes[at..at + len].to_vec();
                bytes.splice(at..at, again);
            }
            5 => {
                let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            6 => {
                let text = TEXTS[random.below(TEXTS.len())];
                // In the place of a number, where there is one.
                let from = (at..bytes.len())
                    .find(|n| bytes[*n].is_ascii_digit())
                    .unwrap_or(at);
                let to = (from..bytes.len())
                    .find(|n| !bytes[*n].is_ascii_digit())
                    .unwrap_or(bytes.len());
                bytes.splice(from..to, text.bytes());
            }
            7 => {
                let from = random.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let end = bytes.len().min(at + 16);
                bytes[at..end].fill(random.next() as u8);
            }
        }
    }
    bytes
}

fn files(directory: &Path, extension: Option<&str>) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            extension.is_none() || path.extension().and_then(|e| e.to_str()) == extension
        })
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Good input of a target, and what `cargo xtask fuzz` once found.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seeds = files(&here.join("../fuzz/seeds").join(target.name), None);
    seeds.extend(match target.name {
        "ss" => files(&here.join("tests/ss"), None),
        "recording" => files(&here.join("tests/recordings"), Some("skm")),
        "recording-mended" => files(&here.join("tests/recordings"), Some("skm"))
            .iter()
            .map(|bytes| fuzz::flat(bytes))
            .collect(),
        _ => Vec::new(),
    });
    seeds
}

/// Runs it, and looks at the memory that it took.
fn run(target: &Target, bytes: &[u8]) {
    let before = HELD.get();
    MOST_HELD.set(before);
    (target.run)(bytes);
    let took = MOST_HELD.get().saturating_sub(before);
    let most = target.memory + target.memory_a_byte * bytes.len();
    assert!(
        took <= most,
        "{}: {} bytes of input took {took} bytes of memory, of {most}",
        target.name,
        bytes.len()
    );
}

fn drive(name: &str) {
    let target = fuzz::target(name).unwrap();
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for seed in &seeds {
        run(target, seed);
    }
    for nothing in [&b""[..], &[0; 64], &[0xff; 64]] {
        run(target, nothing);
    }
    let mut random = Random(0x5eed_0000_0000_0000 | name.len() as u64);
    let started = Instant::now();
    let mut rounds = 0;
    while rounds < MOST && (rounds < LEAST || started.elapsed() < TIME) {
        let seed = &seeds[random.below(seeds.len())];
        let other = &seeds[random.below(seeds.len())];
        let bytes = damaged(seed, other, &mut random);
        let result = std::panic::catch_unwind(|| run(target, &bytes));
        if result.is_err() {
            let kept = std::env::temp_dir().join(format!("skmem-hostile-{name}"));
            fs::write(&kept, &bytes).unwrap();
            panic!("{name}: round {rounds}; the input is in {}", kept.display());
        }
        rounds += 1;
    }
    println!("{name}: {rounds} rounds");
}

macro_rules! tests {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test] fn $test() { drive($name); })*

        #[test]
        fn every_target_is_driven() {
            let driven = [$($name),*];
            for target in fuzz::TARGETS {
                assert!(driven.contains(&target.name), "{}", target.name);
            }
        }
    };
}

tests! {
    events: "event",
    recordings: "recording",
    recordings_with_right_checksums: "recording-mended",
    output_of_ss: "ss",
    btf_files: "btf",
    filters: "filter",
    netlink_replies: "netlink",
}

/// A file of `cargo xtask fuzz` for each, and none besides; and each has the right name in it.
#[test]
fn every_target_can_be_fuzzed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let manifest = fs::read_to_string(directory.join("../Cargo.toml")).unwrap();
    for target in fuzz::TARGETS {
        let file = directory.join(format!("{}.rs", target.name));
        let source = fs::read_to_string(&file).unwrap_or_default();
        let call = format!("skmem_fuzz::target!(\"{}\");", target.name);
        assert!(source.contains(&call), "{}", file.display());
        let name = format!("name = \"{}\"", target.name);
        assert!(manifest.contains(&name), "{name}");
    }
    assert_eq!(files(&directory, None).len(), fuzz::TARGETS.len());
}

#[test]
fn memory_beyond_the_bound_is_found() {
    let greedy = Target {
        name: "greedy",
        run: |_| drop(vec![1_u8; 1 << 20]),
        memory_a_byte: 1,
        memory: 1 << 10,
    };
    assert!(std::panic::catch_unwind(|| run(&greedy, b"x")).is_err());
}
