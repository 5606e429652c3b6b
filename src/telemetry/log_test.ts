import assert from "node:assert/strict";
import { Fault } from "../domain/fault.ts";
import { type Logger, type LogLevel, newLogger } from "./log.ts";

const KEY = "sk-ant-api03-AbCdEf0123456789";
const TOKEN = "llmp_q7Yd8sT0aZ";
const SECRET = "a-registered-secret";
const AT = Date.UTC(2026, 0, 31, 12, 0, 0, 7);

Deno.test("newLogger() writes one JSON line a record, with its level, its UTC time, the fields and the message", () => {
  const { logger, lines } = recorder("info");
  logger.log("warn", "two\nlines", { requestId: "ar-1", n: 3, nested: { list: [1, null, "x"] }, none: null, gone: undefined });
  assert.equal(
    lines.join(""),
    '{"level":"warn","time":"2026-01-31T12:00:00.007Z","requestId":"ar-1","n":3,"nested":{"list":[1,null,"x"]},"none":null,' +
      '"msg":"two\\nlines"}\n',
  );
});

Deno.test("newLogger() writes nothing below its level, and nothing at all when silent", () => {
  for (const [level, expected] of [["trace", 6], ["info", 4], ["error", 2], ["silent", 0]] as const) {
    const { logger, lines } = recorder(level);
    for (const each of ["trace", "debug", "info", "warn", "error", "fatal"] as const) logger.log(each, "x");
    assert.equal(lines.length, expected, level);
    assert.equal(logger.isEnabled("error"), expected > 0);
  }
});

Deno.test("newLogger() lets no credential out in any position of a record", () => {
  for (const secret of [KEY, TOKEN, SECRET, `Bearer ${"x".repeat(9)}yz`]) {
    const bare = secret.replace("Bearer ", "");
    const error = new Error(`failed with ${secret}`, {
      cause: new AggregateError([new Error(secret)], `${secret} in it`, { cause: `plain ${secret}` }),
    });
    error.name = `Odd ${secret}`;
    const positions: Readonly<Record<string, unknown>> = {
      text: `a ${secret} b`,
      nested: { deep: { list: [1, { s: secret }, [secret]] } },
      error,
      fault: new Fault("internal_error", secret, { cause: { deep: secret } }),
      map: new Map([["a", secret], [secret, "b"]]),
      set: new Set([secret]),
      headers: new Headers({ "x-api-key": bare, authorization: secret, "x-other": secret }),
      url: new URL(`https://user:${bare}@host.example/?token=${bare}`),
      [secret]: 1,
      authorization: bare,
      proxy_token: bare,
      apiKey: { value: bare },
      own: Object.assign(new (class Made {})(), { secret: bare, inner: secret }),
      toJSON: () => secret,
      lazy: Object.defineProperty({}, "a", { get: () => secret, enumerable: true }),
    };
    for (const level of ["debug", "info"] as const) {
      const { logger, lines } = recorder(level);
      logger.log("error", `message with ${secret} in it`, positions);
      for (const [name, value] of Object.entries(positions)) logger.log("error", secret, { [name]: value });
      assert.equal(lines.length, 1 + Object.keys(positions).length);
      for (const line of lines) {
        assert.ok(!line.includes(bare), line);
        assert.ok(line.includes("[redacted]"), line);
        JSON.parse(line);
      }
    }
  }
});

Deno.test("newLogger() shows an error with its name, code, message and causes, and its stack at debug only", () => {
  const cause = Object.assign(new Error("connection refused"), { code: "ECONNREFUSED" });
  const error = new Fault("upstream_unreachable", "The upstream cannot be reached.", { cause });
  const { logger, lines } = recorder("info");
  logger.log("warn", "x", { error });
  const shown = {
    name: "Fault",
    message: "The upstream cannot be reached.",
    code: "upstream_unreachable",
    cause: { name: "Error", message: "connection refused", code: "ECONNREFUSED" },
  };
  assert.deepEqual(JSON.parse(lines[0]!).error, shown);
  const debug = recorder("debug");
  debug.logger.log("warn", "x", { error });
  assert.match(JSON.parse(debug.lines[0]!).error.stack, /log_test\.ts/);
});

Deno.test("newLogger() keeps its own names to itself", () => {
  const { logger, lines } = recorder("info");
  logger.log("info", "mine", { level: "yours", time: 1, msg: "yours", __proto__x: 1, ["__proto__"]: 2, constructor: 3 });
  const line = JSON.parse(lines[0]!);
  assert.deepEqual([line.level, line.msg, line.level_, line.msg_, line.time_], ["info", "mine", "yours", "yours", 1]);
  assert.equal(lines[0]!.match(/"level":/g)?.length, 1);
});

Deno.test("newLogger() bounds a record of any fields, and never throws", () => {
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  let deep: unknown = "bottom";
  for (let level = 0; level < 100; level++) deep = { deep };
  let shared: unknown = "x";
  for (let level = 0; level < 7; level++) shared = Array(50).fill(shared);
  const odd: readonly unknown[] = [
    circle,
    deep,
    shared,
    Array(100_000).fill(1),
    Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, index])),
    "x".repeat(1_000_000),
    new Uint8Array(1_000_000),
    10n,
    Symbol("s"),
    () => 1,
    Number.NaN,
    new Date(Number.NaN),
    new Date(AT),
    Object.defineProperty({}, "a", {
      enumerable: true,
      get() {
        throw new Error("no");
      },
    }),
    new Proxy({}, {
      ownKeys() {
        throw new Error("no");
      },
    }),
    Object.create(null),
    "\ud800 lone \u0000 control \u2028",
  ];
  const { logger, lines } = recorder("debug");
  for (const value of odd) logger.log("info", "odd", { kept: 1, value });
  assert.equal(lines.length, odd.length);
  for (const line of lines) {
    assert.equal(JSON.parse(line).kept, 1);
    assert.equal(JSON.parse(line).msg, "odd");
    assert.ok(line.length < 200_000, `${line.length}: ${line.slice(0, 200)}`);
    assert.ok(!line.slice(0, -1).includes("\n"));
  }
});

Deno.test("newLogger() never throws if the output, the clock or the secrets do", () => {
  const fail = () => {
    throw new Error("broken");
  };
  const write = (line: string) => void lines.push(line);
  const lines: string[] = [];
  const options = { write, now: () => AT, secrets: () => [] };
  newLogger("info", { ...options, write: fail }).log("info", "x");
  let at = AT;
  const timeless = newLogger("info", { ...options, now: () => at });
  at = Number.NaN;
  timeless.log("info", "x");
  assert.deepEqual(lines, []);
  newLogger("info", { ...options, secrets: fail }).log("info", KEY);
  assert.match(lines.join(""), /^\{.*"msg":"a log record could not be written"\}\n$/);
});

function recorder(level: LogLevel | "silent"): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const logger = newLogger(level, { write: (line) => lines.push(line), now: () => AT, secrets: () => [SECRET] });
  return { logger, lines };
}
