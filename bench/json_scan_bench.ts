/**
 * Measures how to find `model` and other keys in a request's body: the scanner against JSON.parse
 * of the whole decoded body. Run with `deno bench bench/json_scan_bench.ts`.
 *
 * Method: it makes the bodies once. The scanner gets 64 KB at a time, as from the network, and
 * blocks the event loop for one such push; JSON.parse blocks it for the whole.
 */
import { TopLevelScanner } from "../src/wire/json_scan.ts";

const WANTED = ["model", "stream", "max_tokens", "metadata", "messages"];
const CHUNK_BYTES = 64 * 1024;

const BODIES: readonly (readonly [name: string, body: Uint8Array])[] = [
  ["10 MB conversation", new TextEncoder().encode(conversation(10e6))],
  ["32 MB of tiny objects", new TextEncoder().encode(`{"model":"m","messages":[${'{"a":1},'.repeat(4e6)}{}]}`)],
];

for (const [group, body] of BODIES) {
  Deno.bench(`TopLevelScanner, ${group}`, { group, baseline: true }, () => {
    const scanner = new TopLevelScanner(WANTED, { maxValueBytes: 16 * 1024 });
    for (let from = 0; from < body.length; from += CHUNK_BYTES) scanner.push(body.subarray(from, from + CHUNK_BYTES));
    if (!scanner.end().isValid) throw new Error("the body is valid JSON");
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
  const tools = Array.from({ length: 30 }, (_, index) => ({
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
