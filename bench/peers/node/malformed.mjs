// Sends the same malformed input to socket.io on Node and to another server, and prints what each of them did, as a
// Markdown table. Run it with the address of a Caddy with this module, on loopback:
//
//     node malformed.mjs http://127.0.0.1:8080
//
// A row is marked where the two differ. Input is written to the connections as it stands here, by no client library.
import { createServer } from "node:http";
import { connect } from "node:net";
import { randomBytes } from "node:crypto";
import { Server } from "socket.io";

// quiet is how long a server may take to do something; calm, in milliseconds, since both are on this machine.
const quiet = 700;
const limit = 1_000_000;

const ours = new URL(process.argv[2] ?? "http://127.0.0.1:8080");
if (!["127.0.0.1", "localhost", "[::1]"].includes(ours.hostname)) {
  throw new Error("only loopback addresses");
}

// --- The peer ---------------------------------------------------------------

const http = createServer();
const io = new Server(http, { maxHttpBufferSize: limit, serveClient: false });
io.on("connection", (socket) => {
  socket.on("message", (...args) => {
    socket.broadcast.emit("message", ...args);
  });
});
let uncaught = [];
process.on("uncaughtException", (err) => uncaught.push(err.message));
await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
const node = new URL(`http://127.0.0.1:${http.address().port}`);

// --- Clients ------------------------------------------------------------------

function frame(opcode, payload, { fin = true, masked = true, rsv = 0, length } = {}) {
  const data = Buffer.from(payload);
  const size = length ?? data.length;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const mask = masked ? 0x80 : 0;
  if (size < 126) {
    head.push(mask | size);
  } else if (size < 65536) {
    head.push(mask | 126, size >> 8, size & 255);
  } else {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(BigInt(size));
    head.push(mask | 127, ...long);
  }
  if (!masked) {
    return Buffer.concat([Buffer.from(head), data]);
  }
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, data.map((byte, i) => byte ^ key[i & 3])]);
}

const text = (payload) => frame(1, payload);
const binary = (payload) => frame(2, payload);

// open dials, and gathers what comes until the connection ends.
function open(server, bytes) {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(server.port), server.hostname, () => socket.write(bytes));
    const conn = { socket, data: Buffer.alloc(0), ended: false };
    socket.on("data", (chunk) => (conn.data = Buffer.concat([conn.data, chunk])));
    socket.on("close", () => (conn.ended = true));
    socket.on("error", (err) => (conn.error = err.code));
    socket.on("connect", () => resolve(conn));
    setTimeout(() => reject(new Error("no connection")), 5_000).unref();
  });
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition, most = quiet) {
  for (const end = Date.now() + most; !condition() && Date.now() < end; ) {
    await pause(5);
  }
}

// frames takes apart what a server has sent after its 101.
function frames(data) {
  const list = [];
  let at = data.indexOf("\r\n\r\n") + 4;
  while (at + 2 <= data.length) {
    let size = data[at + 1] & 127;
    let head = 2;
    if (size === 126) {
      size = data.readUInt16BE(at + 2);
      head = 4;
    } else if (size === 127) {
      size = Number(data.readBigUInt64BE(at + 2));
      head = 10;
    }
    if (at + head + size > data.length) break;
    list.push({ opcode: data[at] & 15, payload: data.subarray(at + head, at + head + size) });
    at += head + size;
  }
  return list;
}

function tell(f) {
  if (f.opcode === 8) return f.payload.length >= 2 ? `close ${f.payload.readUInt16BE(0)}` : "close";
  if (f.opcode === 10) return "pong frame";
  if (f.opcode === 2) return `binary of ${f.payload.length}`;
  return `\`${f.payload.toString().replace(/"sid":"[^"]*"/, '"sid":"…"').slice(0, 120)}\``;
}

const upgrade = (server, headers = "") =>
  `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: ${server.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${headers}\r\n`;

// overWebSocket connects to the main namespace unless told not to, and sends the bytes.
async function overWebSocket(server, { send, unconnected }) {
  const conn = await open(server, upgrade(server));
  await until(() => frames(conn.data).length >= 1, 5_000);
  if (!unconnected) {
    conn.socket.write(text("40"));
    await until(() => frames(conn.data).length >= 2, 5_000);
  }
  const before = frames(conn.data).length;
  for (const bytes of send) conn.socket.write(bytes);
  await until(() => conn.ended || frames(conn.data).some((f, i) => i >= before && f.opcode === 8));
  let answer = frames(conn.data).slice(before).map(tell);
  if (!conn.ended && !answer.some((a) => a.startsWith("close"))) {
    // Whoever still answers is alive.
    const count = frames(conn.data).length;
    conn.socket.write(text("40/nowhere,"));
    await until(() => conn.ended || frames(conn.data).length > count);
    const alive = frames(conn.data).slice(count).map(tell);
    answer.push(alive.some((a) => a.includes("Invalid namespace")) ? "goes on" : alive.length ? alive.join(", ") : "silent");
  } else if (conn.ended && !answer.some((a) => a.startsWith("close"))) {
    answer.push("connection ends");
  }
  conn.socket.destroy();
  return answer.join(", ");
}

// request sends one HTTP request as it stands, and tells status and body.
async function request(server, method, query, body, headers = "") {
  const length = body === undefined ? "" : `Content-Length: ${Buffer.byteLength(body)}\r\n`;
  const conn = await open(
    server,
    Buffer.concat([
      Buffer.from(`${method} /socket.io/?${query} HTTP/1.1\r\nHost: ${server.host}\r\nConnection: close\r\n${length}${headers}\r\n`),
      Buffer.from(body ?? ""),
    ]),
  );
  await until(() => conn.ended, 3_000);
  conn.socket.destroy();
  return conn.data.toString("latin1");
}

function tellAnswer(answer) {
  if (answer === "") return "connection ends";
  const [head, body = ""] = answer.split("\r\n\r\n");
  const status = head.split(" ")[1];
  const whole = /transfer-encoding: chunked/i.test(head) ? unchunked(answer.slice(head.length + 4)) : body;
  const said = whole.replace(/"sid":"[^"]*"/, '"sid":"…"').trim();
  return said && said !== "ok" && status !== "431" ? `${status} \`${said.slice(0, 90)}\`` : status;
}

function unchunked(body) {
  let whole = "";
  for (let rest = body; rest !== ""; ) {
    const size = parseInt(rest, 16);
    const begin = rest.indexOf("\r\n") + 2;
    if (!(size > 0)) break;
    whole += rest.slice(begin, begin + size);
    rest = rest.slice(begin + size + 2);
  }
  return whole;
}

async function session(server) {
  const answer = await request(server, "GET", "EIO=4&transport=polling");
  return /"sid":"([^"]+)"/.exec(answer)[1];
}

// overPolling begins a session, and tells the answer to the request and what the next poll gets.
async function overPolling(server, { method = "POST", body, headers, connected }) {
  const query = `EIO=4&transport=polling&sid=${encodeURIComponent(await session(server))}`;
  if (connected) {
    await request(server, "POST", query, "40");
    await request(server, "GET", query);
  }
  const answers = [tellAnswer(await request(server, method, query, body, headers))];
  const next = await Promise.race([request(server, "GET", query), pause(quiet).then(() => undefined)]);
  answers.push(next === undefined ? "then a poll waits" : `then a poll gets ${tellAnswer(next)}`);
  return answers.join(", ");
}

// --- What is sent ---------------------------------------------------------------

const placeholder = (n) => `{"_placeholder":true,"num":${n}}`;
const attachments = (n) => Array.from({ length: n }, (_, i) => placeholder(i)).join(",");
const packet = (payload, more = {}) => [overWebSocket, { send: [text(`4${payload}`)], ...more }];
const raw = (...send) => [overWebSocket, { send }];
const post = (body, more = {}) => [overPolling, { body, connected: true, ...more }];
const plain = (method, query, body, headers) => [async (server) => tellAnswer(await request(server, method, query, body, headers)), {}];

const inputs = {
  "no packet type": packet(""),
  "unknown packet type `9`": packet("9"),
  "packet type that is no digit": packet("a"),
  "event without payload": packet("2"),
  "event `2[]`": packet("2[]"),
  "event `2{}`": packet("2{}"),
  "event of a string": packet('2"message"'),
  "event named `null`": packet("2[null]"),
  "event named by a number": packet("2[1]"),
  "event named by an array": packet('2[["message"]]'),
  "JSON cut short": packet('2["message"'),
  "JSON with more behind it": packet('2["message"]x'),
  "reserved event `connect`": packet('2["connect"]'),
  "reserved event `disconnecting`, answer wanted": packet('21["disconnecting"]'),
  "event `__proto__`": packet('2["__proto__",1]'),
  "event `constructor`, answer wanted": packet('21["constructor"]'),
  "event `toString`": packet('2["toString"]'),
  "field `__proto__`": packet('2["message",{"__proto__":{"a":1}}]'),
  "unknown event, answer wanted": packet('21["nothing"]'),
  "JSON 100,000 deep": packet(`2["message",${"[".repeat(100_000)}${"]".repeat(100_000)}]`),
  "JSON 1,000 deep": packet(`2["message",${"[".repeat(1_000)}${"]".repeat(1_000)}]`),
  "ack id beyond 2⁵³": packet('299999999999999999999["message"]'),
  "ack without id": packet("3[]"),
  "ack nobody waits for": packet("399[]"),
  "ack that is an object": packet("31{}"),
  "CONNECT twice": packet("0"),
  "CONNECT with an array": packet("0/x,[]", { unconnected: true }),
  "CONNECT with a number": packet("01", { unconnected: true }),
  "CONNECT to `/__proto__`": packet("0/__proto__,", { unconnected: true }),
  "CONNECT with 100 KB to show": packet(`0{"token":"${"x".repeat(100_000)}"}`, { unconnected: true }),
  "namespace of 10,000 characters": packet(`0/${"n".repeat(10_000)},`, { unconnected: true }),
  "event before CONNECT": packet('2["message"]', { unconnected: true }),
  "DISCONNECT with payload": packet("1{}"),
  "CONNECT_ERROR from a client": packet('4{"message":"x"}'),
  "binary event without count": packet('5["message"]'),
  "count that is no number": packet('5x-["message"]'),
  "count without dash": packet('51["message"]'),
  "10 attachments, none sent": packet(`510-["message",${attachments(10)}]`),
  "11 attachments": packet(`511-["message",${attachments(11)}]`),
  "100,000 attachments": packet('5100000-["message"]'),
  "-1 attachments": packet('5-1-["message"]'),
  "placeholder out of range": raw(text(`451-["message",${placeholder(5)}]`), binary("x")),
  "placeholder numbered by a string": raw(text('451-["message",{"_placeholder":true,"num":"0"}]'), binary("x")),
  "placeholder numbered by `__proto__`": raw(text('451-["message",{"_placeholder":true,"num":"__proto__"}]'), binary("x")),
  "placeholder numbered by -1": raw(text(`451-["message",${placeholder(-1)}]`), binary("x")),
  "the same placeholder twice": raw(text(`452-["message",${placeholder(0)},${placeholder(0)}]`), binary("x"), binary("y")),
  "attachment without placeholder": raw(text('451-["message"]'), binary("x")),
  "binary event before CONNECT, attachment never sent": packet(`51-["message",${placeholder(0)}]`, { unconnected: true }),
  "text where an attachment is due": raw(text(`451-["message",${placeholder(0)}]`), text('42["message"]')),
  "attachment without packet": raw(binary("x")),
  "empty text frame": raw(text("")),
  "Engine.IO packet `9`": raw(text("9")),
  "Engine.IO ping from the client": raw(text("2")),
  "Engine.IO open from the client": raw(text("0{}")),
  "Engine.IO upgrade out of place": raw(text("5")),
  "Engine.IO noop": raw(text("6")),
  "Engine.IO close": raw(text("1")),
  "text that is no UTF-8": raw(frame(1, Buffer.from([0x34, 0x32, 0xff, 0xfe]))),
  "unmasked frame": raw(frame(1, '42["message"]', { masked: false })),
  "reserved bit": raw(frame(1, '42["message"]', { rsv: 2 })),
  "compressed bit without agreement": raw(frame(1, '42["message"]', { rsv: 4 })),
  "opcode 3": raw(frame(3, "x")),
  "opcode 11": raw(frame(11, "x")),
  "continuation of nothing": raw(frame(0, "x")),
  "text within a fragmented message": raw(frame(1, "42", { fin: false }), text("42")),
  "fragmented ping": raw(frame(9, "x", { fin: false })),
  "ping of 126 bytes": raw(frame(9, "x".repeat(126))),
  "ping": raw(frame(9, "x")),
  "close frame of one byte": raw(frame(8, "x")),
  "close frame with code 999": raw(frame(8, Buffer.from([3, 231]))),
  "close frame with code 1006": raw(frame(8, Buffer.from([3, 238]))),
  "message over the limit": raw(frame(1, "4", { length: limit + 1 })),
  "length of 2⁶³": raw(Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
  "length of 2⁶²": raw(Buffer.from([0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
  "garbage": raw(Buffer.from("GET / HTTP/1.1\r\n\r\n")),
  "POST of nothing": post(""),
  "POST of garbage": post("garbage"),
  "POST of a separator": post("\x1e"),
  "POST with an empty packet at the end": post('42["message"]\x1e'),
  "POST of bad base64": post("b!!!!"),
  "POST of base64 that is cut": post("bAAA"),
  "POST that is no UTF-8": post(Buffer.from([0x34, 0x32, 0xff])),
  "POST with a bad event": post("42{}"),
  "POST with a ping": post("2"),
  "POST with `application/octet-stream`": post("42", { headers: "Content-Type: application/octet-stream\r\n" }),
  "POST over the limit": post("4".repeat(limit + 1)),
  "POST announced over the limit, not sent": [overPolling, { headers: `Content-Length: ${limit + 1}\r\n` }],
  "PUT to a session": [overPolling, { method: "PUT", body: "4" }],
  "unknown sid": plain("GET", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA"),
  "sid `__proto__`": plain("GET", "EIO=4&transport=polling&sid=__proto__"),
  "sid `constructor`": plain("GET", "EIO=4&transport=polling&sid=constructor"),
  "no transport": plain("GET", "EIO=4"),
  "transport `constructor`": plain("GET", "EIO=4&transport=constructor"),
  "transport `__proto__`": plain("GET", "EIO=4&transport=__proto__"),
  "protocol revision 3": plain("GET", "EIO=3&transport=polling"),
  "no protocol revision": plain("GET", "transport=polling"),
  "handshake by POST": plain("POST", "EIO=4&transport=polling", ""),
  "query that cannot be decoded": plain("GET", "EIO=4&transport=polling&x=%zz"),
  "query with semicolons": plain("GET", "EIO=4&transport=polling;x=1"),
  "transport twice": plain("GET", "EIO=4&transport=polling&transport=websocket"),
  "WebSocket transport without upgrade": plain("GET", "EIO=4&transport=websocket"),
  "header of 64 KB": plain("GET", "EIO=4&transport=polling", undefined, `X-A: ${"a".repeat(65_536)}\r\n`),
  "query of 64 KB": plain("GET", `EIO=4&transport=polling&a=${"a".repeat(65_536)}`),
};

// --- Both -----------------------------------------------------------------------

const rows = [];
for (const [name, [play, input]] of Object.entries(inputs)) {
  uncaught = [];
  const [theirs, mine] = await Promise.all([play(node, input), play(ours, input)].map((p) => p.catch((err) => `failed: ${err.message}`)));
  const crash = uncaught.length > 0 ? ` (uncaught exception: ${uncaught[0]})` : "";
  rows.push({ name, theirs: theirs + crash, mine, same: theirs + crash === mine });
}
console.log("| input | Node socket.io | this module | |\n|---|---|---|---|");
for (const { name, theirs, mine, same } of rows) {
  const cell = (value) => value.replaceAll("|", "\\|").replaceAll("\n", " ");
  console.log(`| ${name} | ${cell(theirs)} | ${same ? "the same" : cell(mine)} | ${same ? "" : "≠"} |`);
}
console.log(`\n${rows.length} inputs, ${rows.filter((row) => !row.same).length} differ.`);
io.close();
process.exit(0);
