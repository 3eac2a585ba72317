//! A real browser loads the page of `skmem plot`, from a file, with no network
//! at all; a hand moves the mouse.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::tests::{article_in, plot};

/// What a hand does, and what the page shows after it: hovers at 400 ms (a
/// sender sleeps), zooms by dragging from a quarter to a half, goes to the
/// worst instant, turns the wheel, and goes back to everything.
const HAND: &str = r##"<script>
window.addEventListener("load", function () {
  var root = document.documentElement, seen = {}, over = document.querySelector("#main .u-over");
  function state() { return JSON.parse(root.getAttribute("data-skmem")); }
  var box = over.getBoundingClientRect();
  function mouse(kind, part, target) {
    (target || over).dispatchEvent(new MouseEvent(kind, { bubbles: true, button: 0, movementX: 9, movementY: 1,
      clientX: box.left + part * box.width, clientY: box.top + 60 }));
  }
  try {
    seen.start = state();
    var x = seen.start.x;
    mouse("mouseenter", 0.1); mouse("mousemove", (400e6 - x[0]) / (x[1] - x[0]));
    seen.hover = state().hover;
    seen.legend = document.getElementById("legend").innerText;
    mouse("mousedown", 0.25); mouse("mousemove", 0.5); mouse("mouseup", 0.5, document);
    setTimeout(function () {
      seen.zoomed = state().x;
      seen.address = location.hash;
      document.getElementById("worst").click();
      setTimeout(function () {
        seen.worst = state().x;
        over.dispatchEvent(new WheelEvent("wheel", { deltaY: 100, clientX: box.left + box.width / 2, clientY: box.top + 9, bubbles: true, cancelable: true }));
        setTimeout(function () {
          seen.wheel = state().x;
          document.getElementById("all").click();
          setTimeout(function () {
            seen.all = state().x;
            seen.y = state().y;
            var rows = Array.from(document.querySelectorAll("#legend tr")).filter(function (r) { return /tail-append|Send-Q|sndbuf/.test(r.innerText); });
            rows.forEach(function (r) { r.click(); });
            seen.hidden = state().hidden;
            seen.lower = state().y;
            rows.forEach(function (r) { r.click(); });
            seen.shown = state().hidden;
            document.getElementById("theme").click();
            seen.theme = root.dataset.theme;
            seen.errors = state().errors;
            seen.fetched = performance.getEntriesByType("resource").length;
            root.setAttribute("data-seen", JSON.stringify(seen));
          }, 50);
        }, 50);
      }, 50);
    }, 50);
  } catch (e) { root.setAttribute("data-seen", JSON.stringify({ failed: String(e) })); }
});
</script></body>"##;

fn browser(dir: &Path, page: &str, words: &[&str]) -> String {
    let program = std::env::var_os("SKMEM_TEST_BROWSER")
        .expect("SKMEM_TEST_BROWSER, a Chromium: `cargo xtask test --host` sets it");
    let output = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args(["--window-size=1400,900", "--virtual-time-budget=5000"])
        // No name resolves, and no address is reached.
        .args([
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--proxy-server=127.0.0.1:9",
        ])
        .arg(format!("--user-data-dir={}", dir.join("profile").display()))
        .args(words)
        .arg(page)
        .output()
        .expect("a browser");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What an attribute of the page's root says.
fn attribute(dom: &str, name: &str) -> Value {
    let (_, rest) = dom
        .split_once(&format!("{name}=\""))
        .unwrap_or_else(|| panic!("the page has no {name}:\n{}", &dom[..dom.len().min(600)]));
    let (value, _) = rest.split_once('"').expect("its end");
    serde_json::from_str(&value.replace("&quot;", "\"").replace("&amp;", "&")).expect("JSON")
}

/// What the browser makes of a page with a script at its end.
fn by_hand(dir: &Path, page: &Path, script: &str) -> String {
    let html = fs::read_to_string(page).expect("the page");
    let by_hand = dir.join("by-hand.html");
    // The last one: the script of the page itself has none.
    let (before, _) = html.rsplit_once("</body>").expect("a body");
    fs::write(&by_hand, format!("{before}{script}</html>")).expect("written");
    let page = format!("file://{}", by_hand.display());
    browser(dir, &page, &["--dump-dom"])
}

fn page(dir: &Path) -> PathBuf {
    let page = dir.join("a.html");
    plot(&article_in(dir), &["-o", page.to_str().expect("a name")]).expect("a page");
    page
}

#[test]
fn the_page_draws_hovers_and_zooms_offline() {
    let dir = tempfile::tempdir().expect("a directory");
    let page = page(dir.path());
    let dom = by_hand(dir.path(), &page, HAND);
    let seen = attribute(&dom, "data-seen");
    println!("{seen:#}");
    assert!(seen["start"]["drawn"].as_u64() > Some(20));
    assert_eq!(seen["errors"], serde_json::json!([]));
    assert_eq!(seen["fetched"], 0, "the page asked for something");

    // The values of the last record before 400 ms, exactly.
    let hover = &seen["hover"];
    let at = hover["time"].as_i64().expect("a time");
    assert!((399_000_000..401_000_000).contains(&at), "{at}");
    for (name, value) in [
        ("tail-append", 7_472),
        ("tail-refill", 5_120),
        ("probe-split", 896),
        ("wmem_queued", 13_488),
        ("sndbuf", 8_192),
        ("excess", 5_296),
        ("send_q", 11_696),
        ("forward_alloc", 2_176),
        ("wmem_alloc", 0),
    ] {
        assert_eq!(hover[name], value, "{name}");
    }
    assert_eq!(hover["blocked"], "on limit");
    let clock = hover["clock"].as_str().expect("a date and time");
    assert!(clock.ends_with(" UTC") && clock.len() == 30, "{clock}");
    let legend = seen["legend"].as_str().expect("text");
    assert!(
        legend.contains("13,488") && legend.contains("5,296"),
        "{legend}"
    );

    // What is hidden is off the picture, and off its axis.
    assert_eq!(
        seen["hidden"],
        serde_json::json!(["tail-append", "sndbuf", "send_q"])
    );
    assert!(seen["lower"][0][1].as_f64() < seen["y"][0][1].as_f64());
    assert_eq!(seen["shown"], serde_json::json!([]));
    assert_eq!(seen["theme"], "dark");

    let range = |name: &str| {
        let x = |n: usize| seen[name][n].as_f64().expect("a number");
        (x(0), x(1))
    };
    let (from, to) = range("all");
    let part = |at: f64| (at - from) / (to - from);
    let (low, high) = range("zoomed");
    assert!((part(low) - 0.25).abs() < 0.01, "{low}");
    assert!((part(high) - 0.5).abs() < 0.01, "{high}");
    let address = seen["address"].as_str().expect("text");
    assert_eq!(address, format!("#x={},{}", low.round(), high.round()));
    let (low, high) = range("worst");
    assert!(low < 305_390_000.0 && 305_390_000.0 < high);
    assert!(high - low < (to - from) / 10.0);
    let (wider_low, wider_high) = range("wheel");
    assert!(wider_high - wider_low > high - low);
}

#[test]
fn the_address_keeps_the_view() {
    let dir = tempfile::tempdir().expect("a directory");
    let page = page(dir.path());
    let dom = browser(
        dir.path(),
        &format!("file://{}#x=100000000,200000000", page.display()),
        &["--dump-dom"],
    );
    let state = attribute(&dom, "data-skmem");
    assert_eq!(state["x"], serde_json::json!([100_000_000, 200_000_000]));
    assert_eq!(state["errors"], serde_json::json!([]));
}

/// The lower panel's axis reaches what was in force when the view begins, and the page takes what a
/// narrow window has.
#[test]
fn a_part_keeps_what_is_in_force_and_a_narrow_window_its_width() {
    let dir = tempfile::tempdir().expect("a directory");
    let page = page(dir.path());
    let dom = browser(
        dir.path(),
        &format!("file://{}#x=390000000,400000000", page.display()),
        &["--dump-dom", "--window-size=600,700"],
    );
    let state = attribute(&dom, "data-skmem");
    assert!(state["y"][1][1].as_f64() > Some(2_176.0), "{state}");
    let (_, rest) = dom.split_once("<canvas width=\"").expect("a canvas");
    let (width, _) = rest.split_once('"').expect("its width");
    let width: u32 = width.parse().expect("a number");
    assert!((500..=600).contains(&width), "{width}");
}

/// The receive side: its own names, what fills rb at a moment at which the window is 0, and no
/// panel of send memory.
#[test]
fn the_page_of_the_receive_side() {
    let dir = tempfile::tempdir().expect("a directory");
    let recording =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/v2-error-queue.skm");
    let page = dir.path().join("rx.html");
    plot(&recording, &["--rx", "-o", page.to_str().expect("a name")]).expect("a page");
    let hand = r##"<script>
window.addEventListener("load", function () {
  var root = document.documentElement, over = document.querySelector("#main .u-over"), box = over.getBoundingClientRect();
  function state() { return JSON.parse(root.getAttribute("data-skmem")); }
  var x = state().x, at = (400e6 - x[0]) / (x[1] - x[0]);
  ["mouseenter", "mousemove"].forEach(function (kind) {
    over.dispatchEvent(new MouseEvent(kind, { bubbles: true, clientX: box.left + at * box.width, clientY: box.top + 60 }));
  });
  var seen = state();
  seen.plots = document.querySelectorAll(".uplot").length;
  seen.legend = document.getElementById("legend").innerText;
  root.setAttribute("data-seen", JSON.stringify(seen));
});
</script></body>"##;
    let dom = by_hand(dir.path(), &page, hand);
    let seen = attribute(&dom, "data-seen");
    println!("{seen:#}");
    assert_eq!(seen["errors"], serde_json::json!([]));
    assert_eq!(seen["plots"], 2);
    let hover = &seen["hover"];
    assert_eq!(hover["window 0"], "yes");
    assert_eq!(hover["window"], 0);
    assert_eq!(hover["rcvbuf"], 80_000);
    assert_eq!(hover["recv_q"], 0);
    assert_eq!(hover["error-queued"], 79_572);
    let bands = ["in-order", "in-order-overhead", "error-queued"];
    let sum: i64 = bands
        .iter()
        .map(|name| hover[name].as_i64().expect("bytes"))
        .sum();
    assert_eq!(hover["rmem_alloc"], sum);
    assert_eq!(hover["excess"], sum - 80_000);
    let legend = seen["legend"].as_str().expect("text");
    for name in [
        "rcvbuf, the limit",
        "window offered to the peer",
        "window 0",
    ] {
        assert!(legend.contains(name), "{legend}");
    }
    for name in ["sndbuf", "wmem_alloc", "in flight"] {
        assert!(!legend.contains(name), "{legend}");
    }
}

#[test]
fn a_screenshot_shows_the_stack() {
    let dir = tempfile::tempdir().expect("a directory");
    let page = page(dir.path());
    let shot = dir.path().join("shot.png");
    browser(
        dir.path(),
        &format!("file://{}", page.display()),
        &[&format!("--screenshot={}", shot.display())],
    );
    let file = std::io::BufReader::new(fs::File::open(&shot).expect("a screenshot"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("pixels");
    let bytes = info.color_type.samples();
    let has = |rgb: [u8; 3]| pixels.chunks(bytes).filter(|p| p[..3] == rgb).count();
    assert!(has([0xe6, 0x9f, 0x00]) > 10_000, "tail-append");
    assert!(has([0x56, 0xb4, 0xe9]) > 1_000, "first-fill");
}
