import type { UsageReading } from "../src/domain/reading.ts";
import type { Outcome } from "../src/domain/usage.ts";
import { type HeaderValue, joined, messageBytes } from "./event_stream_bytes.ts";

/** One answer of Bedrock, with what it must be read as. */
export interface BedrockFixture {
  readonly name: string;
  /** As a client spells it, without the prefix. */
  readonly target: string;
  readonly request: Readonly<Record<string, unknown>>;
  readonly answer: { readonly ok: boolean; readonly headers: Headers };
  /** Its bytes on the wire. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Anthropic's events in it, in their order; null: it is not streamed. */
  readonly events: readonly unknown[] | null;
  readonly outcome: Outcome;
  /** The fields that differ from `EMPTY_READING`, derived from the wire's rules. */
  readonly reading: Partial<UsageReading>;
  /** It is damaged: who looks at every message reads nothing behind that place. */
  readonly isBlind: boolean;
  /** Why Anthropic's SDK does not sum up the same; null: it does. */
  readonly sdkDiffers: string | null;
}

/** A message of a stream as the files spell it. */
type Spelled =
  & { readonly damage?: "prelude" | "message"; readonly cutTo?: number; readonly p?: string }
  & (
    | { readonly chunk: unknown }
    | { readonly event: string; readonly payload: unknown }
    | { readonly exception: string; readonly message: string }
    | { readonly error: string; readonly message: string }
    | { readonly headers: Readonly<Record<string, string>>; readonly payload: unknown }
  );

const ROOT = new URL("./fixtures/bedrock/", import.meta.url);

/** All files `tests/fixtures/bedrock/<case>.json`, by name. Their streams are framed here. */
export function loadBedrockFixtures(): readonly BedrockFixture[] {
  const names = [...Deno.readDirSync(ROOT)].map(({ name }) => name.replace(/\.json$/, "")).sort();
  return names.map((name) => fixtureOf(name, JSON.parse(Deno.readTextFileSync(new URL(`${name}.json`, ROOT)))));
}

// deno-lint-ignore no-explicit-any
function fixtureOf(name: string, file: any): BedrockFixture {
  const { target, request, messages, body, status = 200, headers, outcome, reading, isBlind = false, sdkDiffers = null } = file;
  const label = messages === undefined ? "application/json" : "application/vnd.amazon.eventstream";
  return {
    ...{ name, target, request, outcome, reading, isBlind, sdkDiffers },
    answer: { ok: status < 300, headers: new Headers({ "content-type": label, ...headers }) },
    body: messages === undefined ? new TextEncoder().encode(JSON.stringify(body)) : joined(messages.map(bytesOf)),
    events: messages?.flatMap((message: Spelled) => "chunk" in message ? [message.chunk] : []) ?? null,
  };
}

function bytesOf(message: Spelled): Uint8Array {
  const { damage, cutTo } = message;
  return messageBytes({ ...contentOf(message), ...(damage === undefined ? {} : { damage }) }).subarray(0, cutTo);
}

function contentOf(message: Spelled): { readonly headers: Readonly<Record<string, HeaderValue>>; readonly payload: string } {
  const json = { ":content-type": "application/json" };
  if ("chunk" in message) {
    const bytes = btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(message.chunk))));
    const payload = JSON.stringify({ bytes, p: message.p ?? "abcdefgh" });
    return { headers: { ":event-type": "chunk", ...json, ":message-type": "event" }, payload };
  }
  if ("exception" in message) {
    const headers = { ":exception-type": message.exception, ...json, ":message-type": "exception" };
    return { headers, payload: JSON.stringify({ message: message.message }) };
  }
  if ("error" in message) {
    return {
      headers: { ":error-code": message.error, ":error-message": message.message, ":message-type": "error" },
      payload: "",
    };
  }
  const { payload } = message;
  const headers = "headers" in message ? message.headers : { ":event-type": message.event, ...json, ":message-type": "event" };
  return { headers, payload: typeof payload === "string" ? payload : JSON.stringify(payload) };
}
