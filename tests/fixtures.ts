import type { UsageReading } from "../src/domain/reading.ts";

/** One recorded answer of an upstream, with what it must be read as. */
export interface Fixture {
  /** The folder's name, `plain_stream`. */
  readonly name: string;
  readonly provider: string;
  /** The body of the request that is so answered. */
  readonly request: Uint8Array<ArrayBuffer>;
  readonly status: number;
  /** Answer headers beyond `content-type` and `content-encoding`. */
  readonly headers: Readonly<Record<string, string>>;
  /** The answer's body as it is on the wire, still compressed where `contentEncoding` says so. */
  readonly body: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  readonly contentEncoding: string | null;
  /** The fields that differ from `EMPTY_READING`, derived from the wire's rules. */
  readonly expected: Partial<UsageReading>;
}

const ROOT = new URL("./fixtures/", import.meta.url);

const CONTENT_TYPES: ReadonlyMap<string, string> = new Map([
  ["stream.sse", "text/event-stream; charset=utf-8"],
  ["array.json", "application/json; charset=UTF-8"],
  ["body.json", "application/json"],
]);

/**
 * All folders `tests/fixtures/<provider>/<case>/`, by name. Each holds `request.json`,
 * `reading.json` and the answer's bytes, `stream.sse`, `array.json` or `body.json` (with `.gz`
 * after it: compressed); `answer.json` where the status is not 200. Without those of `GOOGLE`.
 */
export function loadFixtures(): readonly Fixture[] {
  return foldersOf(ROOT).filter((provider) => !GOOGLE.includes(provider)).flatMap(loadFixturesOf);
}

/** Paths of these dialects name the model: each case has a `call.json` with the path asked for. */
export const GOOGLE: readonly string[] = ["gemini", "vertex"];

export function loadFixturesOf(provider: string): readonly Fixture[] {
  const cases = new URL(`${provider}/`, ROOT);
  return foldersOf(cases).map((name) => ({ name, provider, ...load(new URL(`${name}/`, cases)) }));
}

/** The answer's body without its content encoding. */
export async function decodedBodyOf(fixture: Fixture): Promise<Uint8Array<ArrayBuffer>> {
  if (fixture.contentEncoding === null) return fixture.body;
  const decoding = new Blob([fixture.body]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(decoding).bytes();
}

function load(folder: URL): Omit<Fixture, "name" | "provider"> {
  const files = [...Deno.readDirSync(folder)].map((file) => file.name);
  const bodies = files.filter((file) => CONTENT_TYPES.has(file.replace(/\.gz$/, "")));
  if (bodies.length !== 1) throw new Error(`Cannot find one answer in ${folder.pathname}: there are ${bodies.length}`);
  const file = bodies[0]!;
  const answer = files.includes("answer.json") ? readJson(new URL("answer.json", folder)) : {};
  return {
    request: Deno.readFileSync(new URL("request.json", folder)),
    status: 200,
    headers: {},
    ...answer,
    body: Deno.readFileSync(new URL(file, folder)),
    contentType: CONTENT_TYPES.get(file.replace(/\.gz$/, ""))!,
    contentEncoding: file.endsWith(".gz") ? "gzip" : null,
    expected: readJson(new URL("reading.json", folder)),
  };
}

function readJson(file: URL) {
  return JSON.parse(Deno.readTextFileSync(file));
}

function foldersOf(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].filter((entry) => entry.isDirectory).map((entry) => entry.name).sort();
}
