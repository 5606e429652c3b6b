/**
 * Measures how to find `model` and other keys in a request's body: the scanner against JSON.parse
 * of the whole decoded body. Run with `deno bench bench/json_scan_bench.ts`.
 *
 * Method: it makes the bodies once. The scanner gets 64 KB at a time, as from the network, and
 * blocks the event loop for one such push; JSON.parse blocks it for the whole. `BodyScan` with
 * SHA-256 is all that a call does with its body. It rests between pieces of 256 KB.
 */
import { BodyScan } from "../src/call/body_scan.ts";
import { hashOf } from "../src/wire/body.ts";
import { TopLevelScanner } from "../src/wire/json_scan.ts";

const WANTED = ["model", "stream", "max_tokens", "metadata", "messages"];
const WANTED_OF_A_CALL = { maxDecodedBytes: 32e6, owned: { keys: ["file_id"], prefixes: ["file_"] }, keys: WANTED };
/** As many as OpenAI has, and items. */
const TEN_KEYS = {
  keys: ["file_id", "file_ids", "previous_response_id", "conversation", "prompt", "vector_store_ids", "container", "x", "y"],
  prefixes: [],
  items: { keys: ["id"], mark: "item_reference" },
};
const CHUNK_BYTES = 64 * 1024;

const BODIES: readonly (readonly [name: string, body: Uint8Array])[] = [
  ...[10, 50, 200, 1000].map((kb) => [`${kb} kB conversation`, new TextEncoder().encode(conversation(kb * 1000))] as const),
  ["10 MB conversation", new TextEncoder().encode(conversation(10e6))],
  ["32 MB of tiny objects", new TextEncoder().encode(`{"model":"m","messages":[${'{"a":1},'.repeat(4e6)}{}]}`)],
];

for (const [group, body] of BODIES) {
  Deno.bench(`TopLevelScanner, ${group}`, { group, baseline: true }, () => {
    const scanner = new TopLevelScanner(WANTED, { maxValueBytes: 16 * 1024 });
    for (let from = 0; from < body.length; from += CHUNK_BYTES) scanner.push(body.subarray(from, from + CHUNK_BYTES));
    if (!scanner.end().isValid) throw new Error("the body is valid JSON");
  });

  Deno.bench(`BodyScan and SHA-256, as a call reads it, ${group}`, { group }, async () => {
    const { isValid, found } = await new BodyScan("", WANTED_OF_A_CALL).readWhole(body);
    const { start, end } = found.get("messages")!;
    await hashOf(body.subarray(start, end));
    if (!isValid) throw new Error("the body is valid JSON");
  });

  Deno.bench(`BodyScan of ten keys and SHA-256, ${group}`, { group }, async () => {
    const { found } = await new BodyScan("", { ...WANTED_OF_A_CALL, owned: TEN_KEYS }).readWhole(body);
    const { start, end } = found.get("messages")!;
    await hashOf(body.subarray(start, end));
  });

  Deno.bench(`SHA-256, ${group}`, { group }, async () => {
    await hashOf(body);
  });

  Deno.bench(`JSON.parse, ${group}`, { group, n: 5, warmup: 1 }, () => {
    JSON.parse(new TextDecoder().decode(body));
  });
}

/**
 * As a coding agent sends: long texts with line ends, quotes and a few accents, and thirty tools.
 */
function conversation(bytes: number): string {
  const code = "  const café = await read(\"file\", { encoding: 'utf-8' });\n  if (café === null) return;\n\n".repeat(30);
  const tools = Array.from({ length: Math.min(30, bytes / 40_000) }, (_, index) => ({
    name: `tool_${index}`,
    description: code,
    input_schema: { type: "object", properties: { path: { type: "string", description: "Where." } }, required: ["path"] },
  }));
  const message = { role: "user", content: [{ type: "text", text: code, cache_control: { type: "ephemeral" } }] };
  const messages = Array.from({ length: Math.ceil(bytes / JSON.stringify(message).length) }, () => message);
  return JSON.stringify({
    model: "claude-opus-4-8",
    max_tokens: 32_000,
    stream: true,
    metadata: { user_id: "u" },
    tools,
    messages,
  });
}
