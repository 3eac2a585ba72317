// The page's own part: data to uPlot, marks, values under the cursor, zoom.
(function () {
  "use strict";
  var root = document.documentElement;
  var state = { drawn: 0, errors: [], x: null, hover: null, hidden: [], y: null };
  // What the page shows, for tests and scripts: data-skmem on the root.
  function publish() { root.setAttribute("data-skmem", JSON.stringify(state)); }
  window.addEventListener("error", function (e) { state.errors.push(String(e.message)); publish(); });
  window.addEventListener("securitypolicyviolation", function (e) {
    state.errors.push("asked for " + e.blockedURI); publish();
  });

  var d = JSON.parse(document.getElementById("data").textContent);
  var t = d.time, last = t.length - 1, unit = d.unit, LEFT = 92;
  // Of the send side: wmem_queued, sndbuf, Send-Q, and what only it has; of the receive side: rmem_alloc, rcvbuf, window, and second, Recv-Q.
  var names = d.names, send = d.send, second = d.second;
  var group = function (n) { return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ","); };
  var shown = function (v) { return (v / unit.ns).toFixed(unit.digits) + " " + unit.name; };
  var byId = function (id) { return document.getElementById(id); };
  var css = function (name) { return getComputedStyle(root).getPropertyValue("--" + name).trim(); };
  var font = function () { return 11 * devicePixelRatio + "px 'DejaVu Sans', Verdana, sans-serif"; };

  // Date and time (UTC) of an instant: seconds and ns apart, since ns since 1970 are no exact number here.
  function clock(x) {
    var ns = d.wall.ns + x, seconds = Math.floor(ns / 1e9);
    ns -= seconds * 1e9;
    return new Date((d.wall.s + seconds) * 1000).toISOString().slice(0, 19).replace("T", " ") +
      "." + String(Math.floor(ns / 1000)).padStart(6, "0") + " UTC";
  }

  // Dark or light: as the system says, until the button is used.
  var system = matchMedia("(prefers-color-scheme: dark)"), chosen = null;
  function dark() { return chosen === null ? system.matches : chosen; }
  function colour(pair) { return pair[dark() ? 1 : 0]; }
  // A colour over the page's own, opaque: bands lie on one another.
  function pale(hex) {
    var rgb = function (c) { return [1, 3, 5].map(function (n) { return parseInt(c.slice(n, n + 2), 16); }); };
    var page = rgb(dark() ? "#16181c" : "#ffffff");
    return "rgb(" + rgb(hex).map(function (c, n) { return Math.round(0.4 * c + 0.6 * page[n]); }).join(",") + ")";
  }

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

  // What is hidden, by the name in the legend.
  var hidden = {};
  function seen(name) { return !hidden[name]; }

  // One column a pixel between two instants: of each, the samples with most and with least queued, and the extremes of
  // what is drawn as a line. So whatever is shorter than a pixel is seen all the same.
  function columns(low, high, count) {
    var c = { x: [], most: [], least: [], limit: [], inner: [], second: [], forward_most: [], forward_least: [], wmem_alloc: [] };
    var n = Math.max(at(low), 0);
    for (var k = 0; k < count; k++) {
      var end = low + (high - low) * (k + 1) / count;
      var most = n, least = n, inner = d.inner[n], also = second && second.bytes[n], up = send && send.forward_alloc[n], down = up, alloc = send && send.wmem_alloc[n];
      // The last column holds the end itself, too.
      while (n < last && (t[n + 1] < end || (k === count - 1 && t[n + 1] <= end))) {
        n++;
        if (d.total[n] > d.total[most]) most = n;
        if (d.total[n] < d.total[least]) least = n;
        inner = Math.max(inner, d.inner[n]);
        if (second) also = Math.max(also, second.bytes[n]);
        if (!send) continue;
        alloc = Math.max(alloc, send.wmem_alloc[n]);
        up = Math.max(up, send.forward_alloc[n]); down = Math.min(down, send.forward_alloc[n]);
      }
      c.x.push(low + (high - low) * k / count);
      c.most.push(most); c.least.push(least); c.limit.push(d.limit[n]); c.inner.push(inner); c.second.push(also);
      c.forward_most.push(up); c.forward_least.push(down); c.wmem_alloc.push(alloc);
    }
    Object.keys(c).forEach(function (key) { if (key !== "x") c[key].push(c[key][count - 1]); });
    c.x.push(high);
    return c;
  }
  // Cumulated bands over these samples, the top one first, each filled down to 0: the ones below cover it.
  function stack(samples) {
    var sums = [], sum = samples.map(function () { return 0; });
    d.bands.forEach(function (b) {
      if (seen(b.name)) sum = sum.map(function (s, n) { return s + b.bytes[samples[n]]; });
      sums.unshift(sum);
    });
    return sums;
  }

  var plots = [];
  function shade(u) {
    if (!seen(names.shaded)) return;
    var c = u.ctx, box = u.bbox;
    c.save();
    c.beginPath(); c.rect(box.left, box.top, box.width, box.height); c.clip();
    d.shaded.forEach(function (s) {
      var a = u.valToPos(s[0], "x", true), b = u.valToPos(s[1], "x", true);
      if (b < box.left || a > box.left + box.width) return;
      a = Math.max(a, box.left); b = Math.min(Math.max(b, a + 1), box.left + box.width);
      c.save();
      c.beginPath(); c.rect(a, box.top, b - a, box.height); c.clip();
      c.fillStyle = css("shade"); c.fillRect(a, box.top, b - a, box.height);
      c.strokeStyle = css("hatch"); c.lineWidth = devicePixelRatio; c.beginPath();
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
    c.save(); c.strokeStyle = css("alarm"); c.setLineDash([3, 3]); c.lineWidth = 1.5 * devicePixelRatio;
    c.beginPath(); c.moveTo(x, box.top); c.lineTo(x, box.top + box.height); c.stroke(); c.restore();
  }
  // Words on the plot, moved to where all of them can be read; none where they would cover those `placed` before.
  function label(u, text, x, y, placed) {
    var c = u.ctx, r = devicePixelRatio, box = u.bbox, wide = c.measureText(text).width;
    var start = x + wide + 12 * r > box.left + box.width ? x - wide - 8 * r : x + 8 * r;
    start = Math.max(start, box.left + 4 * r);
    y = Math.max(y, box.top + 12 * r);
    if (placed.some(function (p) { return Math.abs(p.y - y) < 13 * r && start < p.end && p.start < start + wide; })) return;
    placed.push({ start: start, end: start + wide, y: y });
    c.textAlign = "left"; c.textBaseline = "alphabetic";
    c.lineWidth = 3 * r; c.strokeStyle = css("page"); c.strokeText(text, start, y);
    c.fillStyle = css("ink"); c.fillText(text, start, y);
  }
  function moves(u) {
    var c = u.ctx, r = devicePixelRatio, box = u.bbox;
    c.save(); c.beginPath(); c.rect(box.left, box.top, box.width, box.height); c.clip();
    c.font = font();
    if (!seen(names.limit)) {
      var force = d.limit[Math.max(at(u.scales.x.max), 0)];
      label(u, "▲ " + names.limit + ", " + group(force) + " bytes, is hidden: click it in the legend", box.left, box.top, []);
      c.restore();
      return;
    }
    var placed = [];
    d.moves.forEach(function (m) {
      var x = u.valToPos(m.time, "x", true), y = u.valToPos(m.to, "y", true);
      if (x < box.left || x > box.left + box.width) return;
      var down = m.to < m.from ? -1 : 1;
      c.beginPath(); c.moveTo(x, y); c.lineTo(x - 5 * r, y + 9 * r * down); c.lineTo(x + 5 * r, y + 9 * r * down); c.closePath();
      c.fillStyle = css("page"); c.strokeStyle = css("ink"); c.lineWidth = 1.2 * r; c.fill(); c.stroke();
      if (d.moves.length <= 6) label(u, group(m.from) + " → " + group(m.to) + ": " + m.cause, x, y - 6 * r, placed);
    });
    c.restore();
  }
  function rows(u) {
    var c = u.ctx, box = u.bbox, r = devicePixelRatio, h = 17 * r;
    c.save();
    c.font = font();
    d.rows.forEach(function (row, n) {
      var y = box.top + n * h;
      c.fillStyle = css("strip"); c.fillRect(box.left, y + r, box.width, h - 2 * r);
      c.fillStyle = css("ink"); c.textAlign = "right"; c.textBaseline = "middle";
      c.fillText(row.name, box.left - 6 * r, y + h / 2);
      c.save(); c.beginPath(); c.rect(box.left, y, box.width, h); c.clip();
      c.fillStyle = colour(row.colour);
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
  function series(label, stroke, more) {
    return Object.assign({ label: label, stroke: stroke, width: 1.6, paths: stepped, points: none }, more);
  }
  function axes(bottom) {
    var incrs = [1, 2, 5], all = [], ink = function () { return css("ink"); };
    var grid = { stroke: function () { return css("grid"); }, width: 0.6 };
    for (var p = 0; p < 18; p++) incrs.forEach(function (i) { all.push(i * Math.pow(10, p)); });
    return [
      {
        show: bottom, grid: grid, ticks: grid, stroke: ink, incrs: all, size: bottom ? 44 : 0, space: 80,
        label: bottom ? "time since the recording began, in " + unit.name : null, labelSize: 20, labelFont: "12px 'DejaVu Sans', Verdana, sans-serif",
        values: function (u, list) {
          var step = list.length > 1 ? (list[1] - list[0]) / unit.ns : 1;
          var digits = step >= 1 ? 0 : Math.ceil(-Math.log10(step));
          return list.map(function (v) { return group((v / unit.ns).toFixed(digits)); });
        }
      },
      { size: LEFT, grid: grid, ticks: grid, stroke: ink, label: "bytes", labelSize: 18, labelFont: "12px 'DejaVu Sans', Verdana, sans-serif", space: 34,
        values: function (u, list) { return list.map(function (v) { return group(v); }); } }
    ];
  }
  var y = { range: function (u, low, high) { return [Math.min(0, low || 0), Math.max(high || 0, 1) * 1.06]; } };
  function options(height, bottom, list, draw) {
    return {
      width: 600, height: height, legend: none, series: [{}].concat(list), axes: axes(bottom),
      scales: { x: { time: false, auto: false, range: function () { return view; } }, y: y }, padding: [8, 10, bottom ? 0 : 4, 0],
      cursor: { points: none, y: false, sync: { key: "skmem", setSeries: false }, drag: { x: true, y: false, setScale: false } },
      hooks: { setCursor: [hover], draw: draw }
    };
  }

  // The table: what the colours are, the values under the cursor, and what is shown.
  var cells = [];
  function line(kind, key, name, of, id, hides) {
    var tr = document.createElement("tr"), value = document.createElement("td");
    tr.className = kind; value.className = "value";
    var k = document.createElement("td"), n = document.createElement("td"), paint = null;
    k.className = "key"; n.textContent = name;
    if (key) {
      var i = document.createElement("i");
      i.className = key[0];
      if (key[1]) paint = function () { i.style[key[0] ? "borderTopColor" : "background"] = colour(key[1]); };
      k.appendChild(i);
    }
    tr.append(k, n, value); byId("legend").appendChild(tr);
    if (hides) {
      tr.className += " switch"; tr.tabIndex = 0; tr.title = "show or hide";
      tr.setAttribute("role", "button");
      var flip = function () { hidden[id] = !hidden[id]; show(); };
      tr.addEventListener("click", flip);
      tr.addEventListener("keydown", function (e) { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); e.stopPropagation(); flip(); } });
    }
    cells.push({ tr: tr, value: value, of: of, id: id, paint: paint, hides: hides });
  }
  line("head", null, "", function (n, x) { return x === null ? "" : shown(x); }, "time");
  line("head", null, "", function (n, x) { return x === null ? "" : clock(x); }, "clock");
  d.bands.slice().reverse().forEach(function (b) { line("", ["", b.colour], b.name, function (n) { return b.bytes[n]; }, b.name, true); });
  line("sum", null, names.total, function (n) { return d.total[n]; }, names.total);
  line("", ["line", d.colours.limit], names.limit + ", the limit", function (n) { return d.limit[n]; }, names.limit, true);
  line("excess", null, "over the limit", function (n) { return d.total[n] - d.limit[n]; }, "excess");
  line("", ["line", d.colours.inner], names.inner, function (n) { return d.inner[n]; }, names.inner_id, true);
  if (second) line("", ["line", second.colour], second.name, function (n) { return second.bytes[n]; }, second.id, true);
  if (send) {
    line("", ["line", send.colours.forward_alloc], "forward_alloc", function (n) { return send.forward_alloc[n]; }, "forward_alloc", true);
    line("", ["line", send.colours.wmem_alloc], "wmem_alloc (qdisc, NIC)", function (n) { return send.wmem_alloc[n]; }, "wmem_alloc", true);
    line("", null, "in flight", function (n) { return send.in_flight[n]; }, "in_flight");
    line("", null, "peer's window", function (n) { return send.snd_wnd[n]; }, "snd_wnd");
  }
  line("", ["sleep", null], names.shaded, function (n, x) {
    var s = x === null ? null : d.shaded.find(function (s) { return s[0] <= x && x <= s[1]; });
    // Times that are close to one another are joined.
    return s && (send || d.inner[n] === 0) ? s[2] : "no";
  }, names.shaded, true);

  function values(n, x) {
    var all = { time: x };
    cells.forEach(function (c) {
      var v = n < 0 ? "" : c.of(n, x);
      c.value.textContent = typeof v === "number" ? group(v) : v;
      if (c.id === "excess" && n >= 0) c.tr.className = v > 0 ? "over" : "";
      if (c.id !== "time") all[c.id] = v;
    });
    return all;
  }
  function rest() {
    // Without a cursor: the worst instant.
    if (d.worst) values(d.worst.sample, d.worst.time); else values(-1, null);
  }
  function hover(u) {
    if (u !== plots[0]) return;
    if (u.cursor.left === undefined || u.cursor.left < 0) { state.hover = null; rest(); publish(); return; }
    var x = Math.round(u.posToVal(u.cursor.left, "x"));
    state.hover = values(at(x), x);
    publish();
  }

  // Draws what is between these instants, anew.
  var view = [d.from, d.to];
  function show() {
    var count = Math.max(Math.round(plots[0].bbox.width), 50), c = columns(view[0], view[1], count);
    var most = stack(c.most), least = stack(c.least);
    var off = function (name, list) { return seen(name) ? list : list.map(function () { return null; }); };
    var data = [
      [c.x].concat(most, least, [most[0] || c.x.map(function () { return 0; }), off(names.inner_id, c.inner), off(names.limit, c.limit)])
    ];
    if (second) data[0].push(off(second.id, c.second), off(second.id, c.second));
    if (send) data.push([c.x, off("wmem_alloc", c.wmem_alloc), off("forward_alloc", c.forward_least), off("forward_alloc", c.forward_most)]);
    data.push([c.x, c.x.map(function () { return 0; })]);
    plots.forEach(function (u, n) {
      u.batch(function () { u.setData(data[n], false); u.setScale("x", { min: view[0], max: view[1] }); });
    });
    cells.forEach(function (cell) {
      if (cell.paint) cell.paint();
      if (!cell.hides) return;
      cell.tr.classList.toggle("off", !seen(cell.id));
      cell.tr.setAttribute("aria-pressed", String(seen(cell.id)));
    });
    state.x = view.slice();
    state.y = plots.slice(0, -1).map(function (u) { return [u.scales.y.min, u.scales.y.max]; });
    state.hidden = Object.keys(hidden).filter(function (name) { return hidden[name]; });
    try { history.replaceState(null, "", "#x=" + view.map(Math.round).join(",")); } catch (e) { /* not in every viewer */ }
    publish();
  }
  function zoom(low, high) {
    var from = d.from, to = d.to, span = Math.max(high - low, 10);
    low = Math.max(from, Math.min(low, to - span)); high = Math.min(to, low + span);
    view = [low, high];
    show();
  }
  // The end of dragging: a zoom. The plots mirror one another's selection.
  function select() {
    var u = plots.find(function (u) { return u.select.width >= 2; });
    if (!u) return;
    var low = u.posToVal(u.select.left, "x"), high = u.posToVal(u.select.left + u.select.width, "x");
    plots.forEach(function (p) { p.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false); });
    zoom(low, high);
  }
  function by(factor, where) {
    var span = (view[1] - view[0]) * factor;
    where = where === undefined ? (view[0] + view[1]) / 2 : where;
    var low = where - (where - view[0]) * factor;
    zoom(low, low + span);
  }
  function everything() { zoom(d.from, d.to); }
  function toWorst() {
    if (!d.worst) return;
    var half = (d.to - d.from) / 40;
    zoom(d.worst.time - half, d.worst.time + half);
  }
  function pan(part) {
    var by = (view[1] - view[0]) * part;
    zoom(view[0] + by, view[1] + by);
  }
  function theme() {
    root.dataset.theme = dark() ? "dark" : "light";
    if (plots.length) show();
  }

  // The large plot takes what the window leaves it.
  var SMALL = send ? 110 : 0, STRIPS = 17 * d.rows.length + 60;
  function fit() {
    var width = Math.max(byId("plots").clientWidth, 280);
    var above = byId("plots").getBoundingClientRect().top + window.scrollY;
    var height = Math.min(Math.max(window.innerHeight - above - SMALL - STRIPS - 60, 240), 1200);
    var heights = send ? [height, SMALL, STRIPS] : [height, STRIPS];
    plots.forEach(function (u, n) { u.setSize({ width: width, height: heights[n] }); });
    show();
  }

  function draw() {
    var bands = d.bands.slice().reverse();
    var fills = function (make) {
      return bands.map(function (b) {
        return series(b.name, null, { width: 0, fill: function () { return make(colour(b.colour)); } });
      });
    };
    // Where the queue went up and down within a column: pale up to the most, full up to the least.
    var list = fills(pale).concat(fills(function (c) { return c; }));
    list.push(series(names.total, function () { return css("outline"); }, { width: 0.8 }));
    list.push(series(names.inner, function () { return colour(d.colours.inner); }, { width: 1.2 }));
    list.push(series(names.limit, function () { return colour(d.colours.limit); }, { width: 2.2 }));
    // With an edge, so that it shows on any band.
    if (second) list.push(series("", function () { return css("page"); }, { width: 3 }),
      series(second.name, function () { return colour(second.colour); }, { width: 1.8, dash: [6, 3] }));
    plots.push(new uPlot(options(430, false, list, [shade, moves, worst]), [[]].concat(list.map(function () { return []; })), byId("main")));
    if (send) {
      var alloc = function () { return colour(send.colours.wmem_alloc); }, forward = function () { return colour(send.colours.forward_alloc); };
      plots.push(new uPlot(options(SMALL, false, [
        series("wmem_alloc", alloc, { fill: function () { return alloc() + "44"; } }),
        series("forward_alloc, least", forward, { width: 0 }),
        series("forward_alloc", forward)
      ], [shade, worst]), [[], [], [], []], byId("small")));
      // Between the least and the most of a column.
      plots[1].addBand({ series: [3, 2], fill: function () { return forward() + "44"; } });
    }
    var strips = options(STRIPS, true, [series("", "#fff", { show: false })], [rows, worst]);
    strips.axes[1] = { size: LEFT, label: " ", labelSize: 18, grid: none, ticks: none, values: function (u, l) { return l.map(function () { return ""; }); } };
    plots.push(new uPlot(strips, [[], []], byId("rows")));

    plots.forEach(function (u) {
      u.over.addEventListener("wheel", function (e) {
        e.preventDefault();
        var x = u.posToVal(e.clientX - u.over.getBoundingClientRect().left, "x");
        by(e.deltaY > 0 ? 1.25 : 0.8, x);
      }, { passive: false });
      u.over.addEventListener("dblclick", everything);
    });
    document.addEventListener("mouseup", function () {
      setTimeout(select, 0);
    });
    byId("all").onclick = everything; byId("worst").onclick = toWorst;
    byId("worst").textContent = names.worst;
    byId("worst").disabled = !d.worst;
    byId("in").onclick = function () { by(0.5); }; byId("out").onclick = function () { by(2); };
    byId("theme").onclick = function () { chosen = !dark(); theme(); };
    system.addEventListener("change", theme);
    document.addEventListener("keydown", function (e) {
      var keys = { "0": everything, w: toWorst, "+": function () { by(0.5); }, "-": function () { by(2); },
        d: byId("theme").onclick, ArrowLeft: function () { pan(-0.2); }, ArrowRight: function () { pan(0.2); } };
      if (keys[e.key] && !e.ctrlKey && !e.metaKey) { e.preventDefault(); keys[e.key](); }
    });
    window.addEventListener("resize", fit);
    // A queue far below its limit would be a line at the bottom.
    if (d.limit_off) hidden[names.limit] = true;
    var asked = /[#&]x=(-?\d+),(-?\d+)/.exec(location.hash);
    if (asked) view = [Math.max(Number(asked[1]), d.from), Math.min(Number(asked[2]), d.to)];
    if (!(view[0] < view[1])) view = [d.from, d.to];
    theme();
    fit();
    rest();
    state.drawn = t.length;
    publish();
  }
  if (t.length) draw(); else publish();
})();
