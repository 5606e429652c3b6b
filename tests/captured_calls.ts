/** Calls that real clients made, as they can be made again. */

export type Header = readonly [name: string, value: string];

/**
 * One request of `tests/fixtures/clients/`, as its client sent it; texts of the body are named by
 * their length.
 */
export interface Captured {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly bodyShape?: Readonly<Record<string, unknown>>;
}

export function capturesOf(name: string): readonly Captured[] {
  const lines = Deno.readTextFileSync(new URL(`./fixtures/clients/${name}.jsonl`, import.meta.url)).trim().split("\n");
  const events = lines.map((line) => JSON.parse(line) as Captured & { readonly ev: string });
  return events.filter(({ ev }) => ev === "req");
}

/** A text of that many characters, of one to four bytes each and with what JSON escapes. */
function textOf(length: number): string {
  const characters = ["l", "\u00f6", "\u{1f600}", '"', "\\", "\n", "\u0000", "\u2028", "r", " "];
  return Array.from({ length }, (_, n) => characters[n % characters.length]).join("");
}

export function bodyOf({ method, rawHeaders, bodyShape }: Captured): Uint8Array {
  const boundary = rawHeaders.map((header) => /boundary=(.+)$/.exec(header)?.[1]).find((found) => found !== undefined);
  if (boundary !== undefined) return multipart(boundary);
  if (method === "GET") return new Uint8Array();
  const texts = (_: string, value: unknown) => {
    const length = typeof value === "string" ? /^<text (\d+)>$/.exec(value)?.[1] : undefined;
    return length === undefined ? value : textOf(Number(length));
  };
  return new TextEncoder().encode(JSON.stringify(bodyShape, texts));
}

/** Bytes of every value, so that nothing on the way can take them for text. */
function multipart(boundary: string): Uint8Array {
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n`;
  const bytes = Uint8Array.from({ length: 512 }, (_, n) => n);
  return Uint8Array.from([...new TextEncoder().encode(head), ...bytes, ...new TextEncoder().encode(`\r\n--${boundary}--\r\n`)]);
}

/** The captured headers in their order and case, with our host, length and token. */
export function headersOf(
  { rawHeaders }: Captured,
  { body, host, token }: { readonly body: Uint8Array; readonly host: string; readonly token: string },
): readonly Header[] {
  const ours: Readonly<Record<string, string>> = {
    "host": host,
    "content-length": String(body.length),
    "x-api-key": token,
    "authorization": `Bearer ${token}`,
  };
  const pairs = Array.from({ length: rawHeaders.length / 2 }, (_, n) => [rawHeaders[2 * n]!, rawHeaders[2 * n + 1]!] as const);
  return pairs.map(([name, value]) => [name, ours[name.toLowerCase()] ?? value]);
}
