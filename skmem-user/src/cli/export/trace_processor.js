// Loads a trace into Perfetto's trace processor, as its UI does, and prints the answers to queries as JSON.
//
//     node trace_processor.js DIR TRACE SQL…
//
// DIR holds the UI's engine_bundle.js and trace_processor.wasm. The numbers below are those of Perfetto's
// trace_processor.proto.
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const [dir, trace, ...queries] = process.argv.slice(2);
const APPEND = 1, FINALIZE = 2, QUERY = 3;

function varint(n) {
  const out = [];
  for (n = BigInt(n); n > 127n; n >>= 7n) out.push(Number(n & 127n) | 128);
  return Buffer.from([...out, Number(n)]);
}
const number = (field, n) => Buffer.concat([varint(field << 3), varint(n)]);
const bytes = (field, b) => Buffer.concat([varint((field << 3) | 2), varint(b.length), b]);

// The fields of a message: [number, varint or bytes].
function* fields(b) {
  for (let at = 0; at < b.length; ) {
    const read = () => {
      let n = 0n, shift = 0n, byte;
      do { byte = b[at++]; n |= BigInt(byte & 127) << shift; shift += 7n; } while (byte & 128);
      return n;
    };
    const key = Number(read());
    if ((key & 7) === 0) yield [key >> 3, read()];
    else if ((key & 7) === 1) { yield [key >> 3, b.subarray(at, at + 8)]; at += 8; }
    else { const length = Number(read()); yield [key >> 3, b.subarray(at, at + length)]; at += length; }
  }
}
const packed = (b) => {
  const out = [];
  for (let at = 0; at < b.length; ) {
    let n = 0n, shift = 0n, byte;
    do { byte = b[at++]; n |= BigInt(byte & 127) << shift; shift += 7n; } while (byte & 128);
    out.push(BigInt.asIntN(64, n));
  }
  return out;
};

let sequence = 0;
let answer = () => {};
const port = {
  postMessage(message) {
    for (const [field, rpc] of fields(Buffer.from(message))) if (field === 1) answer(rpc);
  },
};
const rpc = (request, args) => {
  const message = Buffer.concat([number(1, sequence++), number(2, request), args]);
  port.onmessage({ data: new Uint8Array(bytes(1, message)) });
};

function query(sql) {
  const names = [], cells = [];
  let failed;
  answer = (message) => {
    for (const [field, result] of fields(message)) {
      if (field === 5) throw new Error(result.toString());
      if (field !== 203) continue;
      for (const [f, value] of fields(result)) {
        if (f === 1) names.push(value.toString());
        if (f === 2) failed = value.toString();
        if (f !== 3) continue;
        const batch = { 1: [], 2: [], 3: [], 5: [] };
        for (const [b, part] of fields(value)) {
          if (b === 1 || b === 2) batch[b] = packed(part);
          if (b === 3) for (let n = 0; n < part.length; n += 8) batch[3].push(part.readDoubleLE(n));
          if (b === 5) batch[5] = part.toString().split("\0");
        }
        for (const kind of batch[1]) {
          cells.push(kind === 1n ? null : batch[{ 2: 2, 3: 3, 4: 5 }[kind]].shift());
        }
      }
    }
  };
  rpc(QUERY, bytes(103, bytes(1, Buffer.from(sql))));
  if (failed) throw new Error(failed);
  const rows = [];
  for (let n = 0; n < cells.length; n += names.length) {
    rows.push(Object.fromEntries(names.map((name, i) => [name, cells[n + i]])));
  }
  return rows;
}

function ready() {
  const text = fs.readFileSync(trace);
  for (let at = 0; at < text.length; at += 1 << 20) {
    rpc(APPEND, bytes(101, text.subarray(at, at + (1 << 20))));
  }
  rpc(FINALIZE, Buffer.alloc(0));
  const exact = (_, v) => (typeof v === "bigint" ? Number(v) : v);
  process.stdout.write(JSON.stringify(queries.map(query), exact) + "\n");
  process.exit(0);
}

// The bundle is made for a worker of a browser: this is what it looks for there.
process.type = "renderer";
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = function () {};
globalThis.location = { href: "file:///" };
console.log = console.warn = () => {};
const file = (name) => fs.readFileSync(path.join(dir, path.basename(String(name))));
globalThis.XMLHttpRequest = class {
  open(_, name) { this.name = name; }
  send() { this.response = file(this.name); }
};
vm.runInThisContext(file("engine_bundle.js").toString());
self.onmessage({ data: port });
setTimeout(ready, 0);
