import assert from "node:assert/strict";
import { type SseEvent, SseReader } from "./sse.ts";

const encoder = new TextEncoder();

/** The events of each push: bytes or text, in the pieces given. */
function read(pieces: readonly (string | Uint8Array)[], maxEventBytes = 1e6): { pushes: SseEvent[][]; isBlind: boolean } {
  let events: SseEvent[] = [];
  const reader = new SseReader({ maxEventBytes, onEvent: (event) => events.push(event) });
  const pushes = pieces.map((piece) => {
    events = [];
    reader.push(typeof piece === "string" ? encoder.encode(piece) : piece);
    return events;
  });
  events = [];
  reader.end();
  assert.deepEqual(events, [], "end() reported an event");
  return { pushes, isBlind: reader.isBlind };
}

function eventsOf(...pieces: (string | Uint8Array)[]): SseEvent[] {
  return read(pieces).pushes.flat();
}

/** The specification's algorithm on a whole text, written for being read. */
function oracle(bytes: Uint8Array): SseEvent[] {
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\r|\n/);
  lines.pop();
  const events: SseEvent[] = [];
  let event = "";
  let data: string[] = [];
  for (const line of lines) {
    const [, field, value] = /^([^:]*)(?:: ?([^]*))?$/.exec(line)!;
    if (line === "") {
      if (data.length > 0) events.push({ event, data: data.join("\n") });
      event = "";
      data = [];
    } else if (field === "event") event = value ?? "";
    else if (field === "data") data.push(value ?? "");
  }
  return events;
}

Deno.test("SseReader reads events with LF, CR and CRLF, and with all of them mixed", () => {
  const expected = [{ event: "a", data: "1" }, { event: "", data: "2\n3" }];
  for (const end of ["\n", "\r", "\r\n"]) {
    assert.deepEqual(eventsOf(["event: a", "data: 1", "", "data: 2", "data: 3", "", ""].join(end)), expected);
  }
  assert.deepEqual(eventsOf("event: a\rdata: 1\n\r\ndata: 2\r\ndata: 3\r\r"), expected);
});

Deno.test("SseReader reports an event within the push that ends its blank line, even if a line feed may follow", () => {
  for (const [end, blank] of [["\n", "\n"], ["\r\n", "\r"], ["\r", "\r"], ["\n", "\r"], ["\r", "\n\r"]]) {
    const pieces = ["data: 1", end!, ...blank!, "\ndata: 2\n\n"];
    const { pushes } = read(pieces);
    const at = pieces.length - 2;
    assert.deepEqual(pushes[at], [{ event: "", data: "1" }], JSON.stringify(pieces));
    assert.deepEqual(pushes.flat(), [{ event: "", data: "1" }, { event: "", data: "2" }], JSON.stringify(pieces));
  }
  assert.deepEqual(read(["data: 1\r\r", "data: 2\r\r"]).pushes.map((events) => events.length), [1, 1]);
});

Deno.test("SseReader takes a CR and an LF in two pieces for one line end", () => {
  assert.deepEqual(eventsOf("data: 1\r", "\ndata: 2\r", "\n\r", "\n"), [{ event: "", data: "1\n2" }]);
});

Deno.test("SseReader removes one byte order mark at the start, even in pieces, and no other", () => {
  for (const cuts of [[1], [2], [1, 2], [3]]) {
    const bytes = encoder.encode("\ufeffdata: 1\n\n");
    const pieces = [0, ...cuts].map((from, index) => bytes.subarray(from, cuts[index]));
    assert.deepEqual(eventsOf(...pieces), [{ event: "", data: "1" }]);
  }
  assert.deepEqual(eventsOf("\ufeff\ufeffdata: 1\n\n"), []);
  assert.deepEqual(eventsOf("data: \ufeff1\n\n"), [{ event: "", data: "\ufeff1" }]);
});

Deno.test("SseReader takes away one space after the colon, and no other", () => {
  assert.deepEqual(eventsOf("data:1\n\ndata: 2\n\ndata:  3 \n\n").map(({ data }) => data), ["1", "2", " 3 "]);
});

Deno.test("SseReader joins the lines of data, even empty ones and those without a colon", () => {
  assert.deepEqual(eventsOf("data: 1\ndata:\ndata\ndata: 4\n\n"), [{ event: "", data: "1\n\n\n4" }]);
});

Deno.test("SseReader passes over comments, ids, retries and unknown fields, and events without data", () => {
  assert.deepEqual(eventsOf(": ping\nid: 7\nretry: 10\nretry: x\nfoo: bar\nDATA: no\nevent: lost\n\ndata: 1\n\n"), [{
    event: "",
    data: "1",
  }]);
});

Deno.test("SseReader takes the last of several event names", () => {
  assert.deepEqual(eventsOf("event: a\nevent: b\ndata: 1\n\n"), [{ event: "b", data: "1" }]);
});

Deno.test("SseReader joins UTF-8 sequences that are cut between chunks", () => {
  const bytes = encoder.encode("data: é€\u{1f600}\n\n");
  assert.deepEqual(eventsOf(...Array.from(bytes, (byte) => Uint8Array.of(byte))), [{ event: "", data: "é€\u{1f600}" }]);
});

Deno.test("SseReader reads bytes that are not UTF-8 as U+FFFD, and still sees the line end after a cut sequence", () => {
  const bytes = Uint8Array.of(...encoder.encode("data: a"), 0xff, 0xe2, 0x82);
  const { pushes } = read([bytes, "\n\n"]);
  assert.deepEqual(pushes, [[], [{ event: "", data: "a\ufffd\ufffd" }]]);
});

Deno.test("SseReader reads a very long line that comes in many chunks", () => {
  const piece = "x".repeat(60_000);
  const { pushes, isBlind } = read(["data: ", ...Array.from({ length: 100 }, () => piece), "\n\n"], 6_000_000);
  assert.equal(pushes.at(-1)![0]!.data.length, 6_000_000);
  assert.ok(!isBlind);
});

Deno.test("SseReader drops an event without its blank line at the end of the stream", () => {
  assert.deepEqual(eventsOf("data: 1\n\nevent: message_stop\ndata: 2\n"), [{ event: "", data: "1" }]);
  assert.deepEqual(eventsOf("data: 1"), []);
});

Deno.test("SseReader goes blind at an event over maxEventBytes, however it is cut, and at none that fits", () => {
  const after = "data: after\n\n";
  for (const end of ["\n", "\r\n"]) {
    for (const [text, fits] of [["event: ab\ndata: 34567890", true], ["event: ab\ndata: 345678901", false]] as const) {
      for (const text2 of [text, text.replace("5", "\ndata: ")]) {
        const bytes = encoder.encode(`data: before\n\n${text2}\n\n${after}`.replaceAll("\n", end));
        for (let size = 1; size <= bytes.length; size++) {
          const pieces = Array.from(
            { length: Math.ceil(bytes.length / size) },
            (_, i) => bytes.subarray(i * size, (i + 1) * size),
          );
          const { pushes, isBlind } = read(pieces, 10);
          assert.equal(isBlind, !fits, `${text2} in ${size}`);
          assert.equal(pushes.flat().length, fits ? 3 : 1, `${text2} in ${size}`);
        }
      }
    }
  }
});

Deno.test("SseReader keeps nothing when it is blind, and nothing of endless comments and unknown fields", () => {
  for (const start of ["data: ", ": ", "foo: ", "garbage"]) {
    const reader = new SseReader({ maxEventBytes: 100_000, onEvent: () => assert.fail() });
    const chunk = new Uint8Array(65_536).fill(0x61);
    reader.push(encoder.encode(start));
    const heap = Deno.memoryUsage().heapUsed;
    for (let i = 0; i < 1_000; i++) reader.push(chunk);
    assert.equal(reader.isBlind, start === "data: ");
    assert.ok(Deno.memoryUsage().heapUsed - heap < 30e6, start);
    reader.end();
  }
});

Deno.test("SseReader offers the shortcut behind a blank line, whether its lines end with LF or with CRLF", () => {
  for (const end of ["\n", "\r\n"]) {
    const offered: string[] = [];
    const skip = (text: string, from: number) => {
      offered.push(text.slice(from));
      return from;
    };
    const reader = new SseReader({ maxEventBytes: 1e6, onEvent: () => {}, skip });
    const [one, two] = [`data: 1${end}${end}`, `data: 2${end}${end}`];
    for (const text of [one, one + two, two]) reader.push(encoder.encode(text));
    assert.deepEqual(offered, [one + two, two, two]);
  }
});

Deno.test("SseReader offers an event that was cut as one whole text, unless a carriage return may end it or it is long", () => {
  const offeredOf = (...texts: string[]) => {
    const offered: string[] = [];
    const seen: string[] = [];
    const skip = (text: string, from: number) => {
      offered.push(text.slice(from));
      return from;
    };
    const reader = new SseReader({ maxEventBytes: 1e6, onEvent: ({ data }) => seen.push(data), skip });
    for (const text of ["data: 0\n\n", ...texts]) reader.push(encoder.encode(text));
    return { offered, seen };
  };
  assert.deepEqual(offeredOf("da", "ta: 1\n", "\n").offered, ["da", "data: 1\n", "data: 1\n\n"]);
  assert.deepEqual(offeredOf("data: 1\r\n\r", "\n").seen, ["0", "1"]);
  const long = "x".repeat(5_000);
  assert.deepEqual(offeredOf(`data: ${long}`, "\n\n"), { offered: [`data: ${long}`], seen: ["0", long] });
});

for (const hasShortcut of [false, true]) {
  const how = hasShortcut ? "with a shortcut past simple events, " : "";
  Deno.test(`SseReader reads 20,000 seeded streams like the specification's algorithm, ${how}in random pieces and never late`, () => {
    readSeededStreams(hasShortcut);
  });
}

/** One line of data, and perhaps a name before it. */
const SIMPLE_EVENT = /(?:event: ([^\r\n]*)\r?\n)?data: ([^\r\n]*)\r?\n\r?\n/y;

function readSeededStreams(hasShortcut: boolean): void {
  let state = 7;
  let skipped = 0;
  const below = (n: number) => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return Math.floor((state >>> 0) / 2 ** 32 * n);
  };
  const words =
    "data: |data:|data|data: |event: |event:|id: |:|: |  |x|é|{}|\u{1f600}|\ufeff|\0|\n\ndata: y\n|\r\n\r\ndata: z\r\n\r\n".split(
      "|",
    );
  const ends = ["\n", "\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "\r\r"];
  let count = 0;
  for (let round = 0; round < 20_000; round++) {
    let text = below(10) === 0 ? "\ufeff" : "";
    for (let i = below(20); i >= 0; i--) text += below(2) === 0 ? words[below(words.length)] : ends[below(ends.length)];
    const bytes = encoder.encode(text + (below(2) === 0 ? "\n\n" : ""));
    for (let i = below(3) - 1; i > 0; i--) bytes[below(bytes.length)] = 0x80 + below(128);
    const expected = oracle(bytes);
    const seen: SseEvent[] = [];
    const skip = (text: string, from: number) => {
      SIMPLE_EVENT.lastIndex = from;
      const found = SIMPLE_EVENT.exec(text);
      if (found === null) return from;
      skipped++;
      seen.push({ event: found[1] ?? "", data: found[2]! });
      return SIMPLE_EVENT.lastIndex;
    };
    const reader = new SseReader({
      maxEventBytes: 1e6,
      onEvent: (event) => seen.push(event),
      ...(hasShortcut ? { skip } : {}),
    });
    // Most events are cut by these pieces.
    const longest = below(2) === 0 ? 8 : 40;
    for (let from = 0; from < bytes.length;) {
      const to = from + 1 + below(longest);
      reader.push(bytes.subarray(from, to));
      from = to;
      // What a client can have dispatched of these bytes, it being free to take a carriage return
      // for a whole line end.
      assert.deepEqual(seen, oracle(bytes.subarray(0, to)), JSON.stringify(text));
    }
    reader.end();
    assert.deepEqual(seen, expected);
    count += expected.length;
  }
  assert.ok(count > 10_000);
  assert.equal(skipped > 300, hasShortcut, `${skipped} events were skipped`);
}
