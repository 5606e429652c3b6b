import assert from "node:assert/strict";
import { type HeaderValue, joined, messageBytes } from "../../tests/event_stream_bytes.ts";
import { type EventStreamMessage, EventStreamReader, type EventStreamShortcut } from "./event_stream.ts";

interface Read {
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: string;
}

/** The messages of each push, copied while they are reported. */
function read(pieces: readonly Uint8Array[], maxMessageBytes = 1e6): { pushes: Read[][]; isBlind: boolean } {
  let messages: Read[] = [];
  const reader = new EventStreamReader({
    maxMessageBytes,
    onMessage: (message) => messages.push(readOf(message)),
  });
  const pushes = pieces.map((piece) => {
    messages = [];
    reader.push(piece);
    return messages;
  });
  return { pushes, isBlind: reader.isBlind };
}

function readOf({ headers, bytes, from, to }: EventStreamMessage): Read {
  return { headers: Object.fromEntries(headers), payload: new TextDecoder().decode(bytes.subarray(from, to)) };
}

function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.slice(n * size, (n + 1) * size));
}

/** Any headers and a payload that says its own name. */
function chunk(payload: string): Uint8Array<ArrayBuffer> {
  return messageBytes({ headers: { ":message-type": "event", ":event-type": "chunk" }, payload });
}

const FIRST = chunk("first");
const SECOND = chunk("the second one");

Deno.test("EventStreamReader reads a message of AWS's own test suite", () => {
  // The smallest message, and one with a header, as smithy's implementations have them.
  const empty = Uint8Array.fromHex("000000100000000005c248eb7d98c8ff");
  const int32 = Uint8Array.fromHex(
    "0000002d0000001041c424b80a6576656e742d7479706504" + "0000a00c7b27666f6f273a27626172277d36f480a0",
  );
  assert.deepEqual(read([empty, int32]).pushes, [[{ headers: {}, payload: "" }], [{ headers: {}, payload: "{'foo':'bar'}" }]]);
});

Deno.test("EventStreamReader reports each message during the push that completes it, cut anywhere", () => {
  const bytes = joined([FIRST, SECOND, FIRST]);
  const ends = [FIRST.length, FIRST.length + SECOND.length, bytes.length];
  for (let size = 1; size <= bytes.length; size++) {
    const { pushes, isBlind } = read(cut(bytes, size));
    assert.equal(isBlind, false);
    assert.deepEqual(pushes.flat().map(({ payload }) => payload), ["first", "the second one", "first"]);
    let count = 0;
    pushes.forEach((messages, n) => {
      count += messages.length;
      assert.equal(count, ends.filter((end) => end <= (n + 1) * size).length, `push ${n} of ${size} bytes`);
    });
  }
});

Deno.test("EventStreamReader offers the messages that begin as the shortcut says, and does not report those that it takes", () => {
  const known = joined([FIRST, SECOND, FIRST, chunk("fir"), chunk("first of all")]);
  const bytes = FIRST.slice(12, FIRST.length - 4 - "t".length);
  const headerBytes = bytes.length - "firs".length;
  for (let size = 1; size <= known.length; size++) {
    const offered: string[] = [];
    const reported: string[] = [];
    const shortcut: { head: EventStreamShortcut["head"]; take: EventStreamShortcut["take"] } = {
      head: null,
      take: (bytes, from, to) => offered.push(new TextDecoder().decode(bytes.subarray(from, to))) === 1,
    };
    const onMessage = (message: EventStreamMessage) => {
      reported.push(readOf(message).payload);
      shortcut.head = { bytes, headerBytes };
    };
    const reader = new EventStreamReader({ maxMessageBytes: 1e6, onMessage, shortcut });
    for (const piece of cut(known, size)) reader.push(piece);
    assert.deepEqual([offered, reported], [["t", "t of all"], ["first", "the second one", "fir", "first of all"]]);
  }
});

Deno.test("EventStreamReader offers no message whose prelude names another length of its headers", () => {
  const headers = { ":message-type": "event", ":event-type": "chunk" };
  const good = messageBytes({ headers, payload: "first" });
  const headerBytes = good[7]!;
  const other = messageBytes({ headers, payload: "first", lengths: [good.length, headerBytes - 21] });
  const shortcut = { head: { bytes: good.slice(12, 12 + headerBytes), headerBytes }, take: () => assert.fail() };
  new EventStreamReader({ maxMessageBytes: 1e6, onMessage: () => {}, shortcut }).push(other);
});

Deno.test("EventStreamReader goes blind at a wrong checksum of the prelude before it offers the message to the shortcut", () => {
  const bad = messageBytes({ headers: { ":message-type": "event" }, payload: "bad", damage: "prelude" });
  const shortcut = { head: { bytes: bad.slice(12, 20), headerBytes: bad[7]! }, take: () => assert.fail() };
  for (const size of [1, 7, bad.length]) {
    const reader = new EventStreamReader({ maxMessageBytes: 1e6, onMessage: () => assert.fail(), shortcut });
    for (const piece of cut(bad, size)) reader.push(piece);
    assert.equal(reader.isBlind, true);
  }
});

Deno.test("EventStreamReader takes the headers that are strings, and passes over those of every other type", () => {
  const others: Record<string, HeaderValue> = {
    yes: true,
    no: false,
    byte: { type: "byte", value: -1 },
    short: { type: "short", value: -2 },
    integer: { type: "integer", value: 3 },
    long: { type: "long", value: -4 },
    bytes: { type: "bytes", value: Uint8Array.of(1, 2, 3) },
    at: { type: "timestamp", value: 1_790_000_000_000 },
    id: { type: "uuid", value: new Uint8Array(16).fill(7) },
  };
  const headers = { ":message-type": "event", ...others, "é": "ü", empty: "" };
  const { pushes, isBlind } = read([messageBytes({ headers, payload: "{}" })]);
  assert.deepEqual(pushes, [[{ headers: { ":message-type": "event", "é": "ü", empty: "" }, payload: "{}" }]]);
  assert.equal(isBlind, false);
});

Deno.test("EventStreamReader goes blind at a wrong checksum of either kind, however it is cut", () => {
  for (const damage of ["prelude", "message"] as const) {
    const bad = messageBytes({ headers: { ":message-type": "event" }, payload: "bad", damage });
    const bytes = joined([FIRST, bad, SECOND]);
    for (const size of [1, 2, 3, 7, 64, Infinity]) {
      const { pushes, isBlind } = read(size === Infinity ? [bytes] : cut(bytes, size));
      assert.deepEqual([pushes.flat().map(({ payload }) => payload), isBlind], [["first"], true], `${damage} in ${size}`);
    }
  }
});

Deno.test("EventStreamReader notices each byte that is changed, and never throws", () => {
  for (let place = 0; place < SECOND.length; place++) {
    const bytes = SECOND.slice();
    bytes[place]! ^= 1 << place % 8;
    for (const size of [5, bytes.length]) {
      const { pushes, isBlind } = read(cut(joined([bytes, FIRST]), size));
      assert.deepEqual([pushes.flat(), isBlind], [[], true], `byte ${place}`);
    }
  }
});

Deno.test("EventStreamReader goes blind at lengths that contradict each other, though their checksums are right", () => {
  const [headers, payload] = [{ name: "value" }, ""];
  const { length } = messageBytes({ headers, payload });
  // A message of 12 bytes would end before its checksum; headers cannot be longer than the message.
  for (const lengths of [[0, 0], [12, 0], [15, 0], [length, length], [length, 2 ** 32 - 1]] as const) {
    const bytes = messageBytes({ headers, payload, lengths });
    const { pushes, isBlind } = read([bytes, FIRST]);
    assert.deepEqual([pushes.flat(), isBlind], [[], true], String(lengths));
  }
});

Deno.test("EventStreamReader goes blind at a message over maxMessageBytes as soon as its prelude says so", () => {
  for (const size of [1, 12, 1000]) {
    assert.deepEqual(read(cut(joined([FIRST, SECOND]), size), SECOND.length).isBlind, false);
    const { pushes, isBlind } = read(cut(joined([FIRST, SECOND.slice(0, 12)]), size), SECOND.length - 1);
    assert.deepEqual([pushes.flat().length, isBlind], [1, true]);
  }
});

Deno.test("EventStreamReader keeps nothing when it is blind", () => {
  const reader = new EventStreamReader({ maxMessageBytes: 1e6, onMessage: () => assert.fail() });
  const garbage = new Uint8Array(65_536).fill(0x61);
  const heap = Deno.memoryUsage();
  for (let n = 0; n < 1_000; n++) reader.push(garbage);
  assert.equal(reader.isBlind, true);
  const now = Deno.memoryUsage();
  assert.ok(now.heapUsed + now.external - heap.heapUsed - heap.external < 30e6);
});

Deno.test("EventStreamReader reads 3,000 seeded streams in random pieces, never late and from bytes that change", () => {
  let state = 11;
  const below = (n: number) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return Math.floor((state >>> 0) / 2 ** 32 * n);
  };
  let count = 0;
  for (let round = 0; round < 3_000; round++) {
    const written = Array.from({ length: 1 + below(5) }, () => {
      const headers = Object.fromEntries(Array.from({ length: below(4) }, (_, n) => [`h${n}`, "v".repeat(below(20))]));
      return { headers, payload: "x€".repeat(below(below(10) === 0 ? 300 : 20)) };
    });
    const messages = written.map(messageBytes);
    const bytes = joined(messages);
    const seen: Read[] = [];
    const reader = new EventStreamReader({
      maxMessageBytes: 1e6,
      onMessage: (message) => seen.push(readOf(message)),
    });
    const longest = below(2) === 0 ? 8 : 200;
    for (let from = 0; from < bytes.length;) {
      const to = Math.min(from + 1 + below(longest), bytes.length);
      const piece = bytes.slice(from, to);
      reader.push(piece);
      piece.fill(0);
      let end = 0;
      assert.equal(seen.length, messages.filter((message) => (end += message.length) <= to).length);
      from = to;
    }
    assert.deepEqual(seen, written);
    assert.equal(reader.isBlind, false);
    count += seen.length;
  }
  assert.ok(count > 5_000);
});
