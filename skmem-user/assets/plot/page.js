// The page's own part: data to uPlot, marks, values under the cursor, zoom.
(function () {
  "use strict";
  var root = document.documentElement;
  var state = { drawn: 0, errors: [], x: null, hover: null };
  // What the page shows, for tests and scripts: data-skmem on the root.
  function tell() { root.setAttribute("data-skmem", JSON.stringify(state)); }
  window.addEventListener("error", function (e) { state.errors.push(String(e.message)); tell(); });
  window.addEventListener("securitypolicyviolation", function (e) {
    state.errors.push("asked for " + e.blockedURI); tell();
  });

  var d = JSON.parse(document.getElementById("data").textContent);
  var t = d.time, last = t.length - 1, unit = d.unit, LEFT = 92;
  var group = function (n) { return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ","); };
  var shown = function (v) { return (v / unit.ns).toFixed(unit.digits) + " " + unit.name; };
  var byId = function (id) { return document.getElementById(id); };

  // The last sample at or before x: what was in force then.
  function at(x) {
    var low = 0, high = last;
    if (!t.length || x < t[0]) return -1;
    while (low < high) {
      var middle = (low + high + 1) >> 1;
      if (t[middle] <= x) low = middle; else high = middle - 1;
    }
    return low;
  }

  // Cumulated bands, the top one first, each filled down to 0: the ones below cover it.
  var sums = [], sum = t.map(function () { return 0; });
  d.bands.forEach(function (b) { sum = sum.map(function (s, n) { return s + b.bytes[n]; }); sums.unshift(sum); });

  var plots = [], moving = false;
  function follow(u, key) {
    if (key !== "x" || moving) return;
    moving = true;
    var x = u.scales.x;
    plots.forEach(function (p) { if (p !== u) p.setScale("x", { min: x.min, max: x.max }); });
    moving = false;
    state.x = [x.min, x.max];
    try { history.replaceState(null, "", "#x=" + Math.round(x.min) + "," + Math.round(x.max)); } catch (e) { /* not in every viewer */ }
    tell();
  }
  function asleep(u) {
    var c = u.ctx, box = u.bbox;
    c.save();
    c.beginPath(); c.rect(box.left, box.top, box.width, box.height); c.clip();
    d.sleeps.forEach(function (s) {
      var a = u.valToPos(s[0], "x", true), b = u.valToPos(s[1], "x", true);
      if (b < box.left || a > box.left + box.width) return;
      a = Math.max(a, box.left); b = Math.min(Math.max(b, a + 1), box.left + box.width);
      c.save();
      c.beginPath(); c.rect(a, box.top, b - a, box.height); c.clip();
      c.fillStyle = "rgba(0,0,0,0.05)"; c.fillRect(a, box.top, b - a, box.height);
      c.strokeStyle = "rgba(0,0,0,0.28)"; c.lineWidth = devicePixelRatio; c.beginPath();
      for (var x = a - box.height - (a - box.height) % 8; x < b; x += 8 * devicePixelRatio) {
        c.moveTo(x, box.top + box.height); c.lineTo(x + box.height, box.top);
      }
      c.stroke(); c.restore();
    });
    c.restore();
  }
  function worst(u) {
    if (!d.worst) return;
    var x = u.valToPos(d.worst.time, "x", true), box = u.bbox, c = u.ctx;
    if (x < box.left || x > box.left + box.width) return;
    c.save(); c.strokeStyle = "#b00020"; c.setLineDash([3, 3]); c.lineWidth = 1.5 * devicePixelRatio;
    c.beginPath(); c.moveTo(x, box.top); c.lineTo(x, box.top + box.height); c.stroke(); c.restore();
  }
  function moves(u) {
    var c = u.ctx, r = devicePixelRatio, box = u.bbox;
    c.save(); c.beginPath(); c.rect(box.left, box.top, box.width, box.height); c.clip();
    c.fillStyle = "#fff"; c.strokeStyle = "#000"; c.lineWidth = 1.2 * r;
    c.font = 11 * r + "px 'DejaVu Sans', Verdana, sans-serif";
    d.moves.forEach(function (m) {
      var x = u.valToPos(m.time, "x", true), y = u.valToPos(m.to, "y", true);
      var down = m.to < m.from ? -1 : 1;
      c.beginPath(); c.moveTo(x, y); c.lineTo(x - 5 * r, y + 9 * r * down); c.lineTo(x + 5 * r, y + 9 * r * down); c.closePath();
      c.fillStyle = "#fff"; c.fill(); c.stroke();
      if (d.moves.length <= 6) {
        var text = group(m.from) + " → " + group(m.to) + ": " + m.cause, wide = c.measureText(text).width;
        var start = x + wide + 8 * r > box.left + box.width ? x - wide - 8 * r : x + 8 * r;
        c.lineWidth = 3 * r; c.strokeStyle = "#fff"; c.strokeText(text, start, y - 6 * r);
        c.fillStyle = "#1a1a1a"; c.fillText(text, start, y - 6 * r);
        c.lineWidth = 1.2 * r; c.strokeStyle = "#000";
      }
    });
    c.restore();
  }
  function rows(u) {
    var c = u.ctx, box = u.bbox, r = devicePixelRatio, h = 17 * r;
    c.save();
    c.font = 11 * r + "px 'DejaVu Sans', Verdana, sans-serif";
    d.rows.forEach(function (row, n) {
      var y = box.top + n * h;
      c.fillStyle = "#f4f4f4"; c.fillRect(box.left, y + r, box.width, h - 2 * r);
      c.fillStyle = "#1a1a1a"; c.textAlign = "right"; c.textBaseline = "middle";
      c.fillText(row.name, box.left - 6 * r, y + h / 2);
      c.save(); c.beginPath(); c.rect(box.left, y, box.width, h); c.clip();
      c.fillStyle = row.colour;
      row.marks.forEach(function (m) {
        var a = u.valToPos(m[0], "x", true), b = u.valToPos(m[1], "x", true);
        if (b >= box.left && a <= box.left + box.width) c.fillRect(a, y + 3 * r, Math.max(b - a, 1.2 * r), h - 6 * r);
      });
      c.restore();
    });
    c.restore();
  }

  var stepped = uPlot.paths.stepped({ align: 1 });
  var none = { show: false };
  function series(label, colour, more) {
    return Object.assign({ label: label, stroke: colour, width: 1.6, paths: stepped, points: none }, more);
  }
  var grid = { stroke: "#d8d8d8", width: 0.6 };
  function axes(bottom) {
    var incrs = [1, 2, 5], all = [];
    for (var p = 0; p < 18; p++) incrs.forEach(function (i) { all.push(i * Math.pow(10, p)); });
    return [
      {
        show: bottom, grid: grid, incrs: all, size: bottom ? 44 : 0, space: 80,
        label: bottom ? "time since the recording began, in " + unit.name + " (it began " + d.began + ")" : null, labelSize: 20,
        values: function (u, list) {
          var step = list.length > 1 ? (list[1] - list[0]) / unit.ns : 1;
          var digits = step >= 1 ? 0 : Math.ceil(-Math.log10(step));
          return list.map(function (v) { return group((v / unit.ns).toFixed(digits)); });
        }
      },
      { size: LEFT, grid: grid, label: "bytes", labelSize: 18, space: 34,
        values: function (u, list) { return list.map(function (v) { return group(v); }); } }
    ];
  }
  var y = { range: function (u, low, high) { return [Math.min(0, low || 0), Math.max(high || 0, 1) * 1.06]; } };
  function options(height, bottom, list, hooks) {
    return {
      width: 600, height: height, legend: none, series: [{}].concat(list), axes: axes(bottom),
      scales: { x: { time: false }, y: y }, padding: [8, 10, bottom ? 0 : 4, 0],
      cursor: { points: none, y: false, sync: { key: "skmem", setSeries: false }, drag: { x: true, y: false, setScale: true } },
      hooks: Object.assign({ setScale: [follow], setCursor: [hover], draw: [] }, hooks)
    };
  }

  // The table: what the colours are, and the values under the cursor.
  var cells = [];
  function line(kind, key, name, of, id) {
    var tr = document.createElement("tr"), value = document.createElement("td");
    tr.className = kind; value.className = "value";
    var k = document.createElement("td"), n = document.createElement("td");
    k.className = "key"; n.textContent = name;
    if (key) { var i = document.createElement("i"); i.className = key[0]; i.style[key[0] ? "borderTopColor" : "background"] = key[1]; if (key[0] === "sleep") i.style.borderTopColor = ""; k.appendChild(i); }
    tr.append(k, n, value); byId("legend").appendChild(tr);
    cells.push({ tr: tr, value: value, of: of, id: id });
  }
  line("head", null, "", function (n, x) { return x === null ? "" : shown(x); }, "time");
  d.bands.slice().reverse().forEach(function (b) { line("", ["", b.colour], b.name, function (n) { return b.bytes[n]; }, b.name); });
  line("sum", null, "wmem_queued", function (n) { return d.wmem_queued[n]; }, "wmem_queued");
  line("", ["line", d.colours.sndbuf], "sndbuf, the limit", function (n) { return d.sndbuf[n]; }, "sndbuf");
  line("excess", null, "over the limit", function (n) { return d.wmem_queued[n] - d.sndbuf[n]; }, "excess");
  line("", ["dash", d.colours.send_q], "Send-Q", function (n) { return d.send_q[n]; }, "send_q");
  line("", ["line", d.colours.forward_alloc], "forward_alloc", function (n) { return d.forward_alloc[n]; }, "forward_alloc");
  line("", ["line", d.colours.wmem_alloc], "wmem_alloc (qdisc, NIC)", function (n) { return d.wmem_alloc[n]; }, "wmem_alloc");
  line("", null, "in flight", function (n) { return d.in_flight[n]; }, "in_flight");
  line("", null, "peer's window", function (n) { return d.snd_wnd[n]; }, "snd_wnd");
  line("", ["sleep", ""], "blocked", function (n, x) {
    var s = x === null ? null : d.sleeps.find(function (s) { return s[0] <= x && x <= s[1]; });
    return s ? "on " + s[2] : "no";
  }, "blocked");

  function values(n, x) {
    var told = { time: x };
    cells.forEach(function (c) {
      var v = n < 0 ? "" : c.of(n, x);
      c.value.textContent = typeof v === "number" ? group(v) : v;
      if (c.id === "excess" && n >= 0) c.tr.className = v > 0 ? "over" : "";
      if (c.id !== "time") told[c.id] = v;
    });
    return told;
  }
  function rest() {
    // Without a cursor: the worst instant.
    if (d.worst) values(d.worst.sample, d.worst.time); else values(-1, null);
  }
  function hover(u) {
    if (u !== plots[0]) return;
    if (u.cursor.left === undefined || u.cursor.left < 0) { state.hover = null; rest(); tell(); return; }
    var x = Math.round(u.posToVal(u.cursor.left, "x"));
    state.hover = values(at(x), x);
    tell();
  }

  function zoom(low, high) {
    var from = d.from, to = d.to, span = Math.max(high - low, 10);
    low = Math.max(from, Math.min(low, to - span)); high = Math.min(to, low + span);
    plots[0].setScale("x", { min: low, max: high });
  }
  function by(factor, where) {
    var x = plots[0].scales.x, span = (x.max - x.min) * factor;
    where = where === undefined ? (x.min + x.max) / 2 : where;
    var low = where - (where - x.min) * factor;
    zoom(low, low + span);
  }
  function everything() { zoom(d.from, d.to); }
  function toWorst() {
    if (!d.worst) return;
    var half = (d.to - d.from) / 40;
    zoom(d.worst.time - half, d.worst.time + half);
  }
  function pan(part) {
    var x = plots[0].scales.x, by = (x.max - x.min) * part;
    zoom(x.min + by, x.max + by);
  }

  function draw() {
    var list = d.bands.map(function (b, n) {
      var band = d.bands[d.bands.length - 1 - n];
      return series(band.name, n === 0 ? "#333" : "#fff", { fill: band.colour, width: n === 0 ? 1 : 0.5 });
    });
    list.push(series("Send-Q", d.colours.send_q, { dash: [7, 4] }));
    list.push(series("sndbuf", d.colours.sndbuf, { width: 2.2 }));
    plots.push(new uPlot(options(430, false, list, { draw: [asleep, moves, worst] }),
      [t].concat(sums, [d.send_q, d.sndbuf]), byId("main")));
    plots.push(new uPlot(options(110, false, [
      series("wmem_alloc", d.colours.wmem_alloc, { fill: d.colours.wmem_alloc + "44" }),
      series("forward_alloc", d.colours.forward_alloc)
    ], { draw: [asleep, worst] }), [t, d.wmem_alloc, d.forward_alloc], byId("small")));
    var strips = options(17 * d.rows.length + 60, true, [series("", "#fff", { show: false })], { draw: [rows, worst] });
    strips.axes[1] = { size: LEFT, label: " ", labelSize: 18, grid: none, ticks: none, values: function (u, l) { return l.map(function () { return ""; }); } };
    plots.push(new uPlot(strips, [t, t.map(function () { return 0; })], byId("rows")));

    plots.forEach(function (u) {
      u.over.addEventListener("wheel", function (e) {
        e.preventDefault();
        var x = u.posToVal(e.clientX - u.over.getBoundingClientRect().left, "x");
        by(e.deltaY > 0 ? 1.25 : 0.8, x);
      }, { passive: false });
      u.over.addEventListener("dblclick", everything);
    });
    byId("all").onclick = everything; byId("worst").onclick = toWorst;
    byId("worst").disabled = !d.worst;
    byId("in").onclick = function () { by(0.5); }; byId("out").onclick = function () { by(2); };
    document.addEventListener("keydown", function (e) {
      var keys = { "0": everything, w: toWorst, "+": function () { by(0.5); }, "-": function () { by(2); },
        ArrowLeft: function () { pan(-0.2); }, ArrowRight: function () { pan(0.2); } };
      if (keys[e.key] && !e.ctrlKey && !e.metaKey) { e.preventDefault(); keys[e.key](); }
    });
    function fit() {
      var width = Math.max(byId("plots").clientWidth, 320);
      plots.forEach(function (u) { u.setSize({ width: width, height: u.height }); });
    }
    window.addEventListener("resize", fit);
    fit();
    var asked = /[#&]x=(-?\d+),(-?\d+)/.exec(location.hash);
    if (asked) zoom(Number(asked[1]), Number(asked[2])); else everything();
    rest();
    state.drawn = t.length;
    tell();
  }
  if (t.length) draw(); else tell();
})();
