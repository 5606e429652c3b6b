/** What a header holds, by the types of https://smithy.io/2.0/aws/amazon-eventstream.html. */
export type HeaderValue =
  | string
  | boolean
  | { readonly type: "byte" | "short" | "integer" | "long" | "timestamp"; readonly value: number }
  | { readonly type: "bytes"; readonly value: Uint8Array }
  | { readonly type: "uuid"; readonly value: Uint8Array };

export interface MessageToWrite {
  readonly headers: Readonly<Record<string, HeaderValue>>;
  readonly payload: string | Uint8Array;
  /** Is added to the right checksum. */
  readonly damage?: "prelude" | "message";
  /** Instead of the right ones, of the message and of its headers; the checksums fit them. */
  readonly lengths?: readonly [total: number, headers: number];
}

const TAGS = { byte: 2, short: 3, integer: 4, long: 5, bytes: 6, timestamp: 8, uuid: 9 } as const;
const WIDTHS = { byte: 1, short: 2, integer: 4, long: 8, timestamp: 8 } as const;

const encoder = new TextEncoder();

/** A message as AWS frames it. Written from the specification alone, to test the reader. */
export function messageBytes({ headers, payload, damage, lengths: said }: MessageToWrite): Uint8Array<ArrayBuffer> {
  const head = joined(Object.entries(headers).map(([name, value]) => headerBytes(name, value)));
  const body = typeof payload === "string" ? encoder.encode(payload) : payload;
  const [total, headLength] = said ?? [16 + head.length + body.length, head.length];
  const lengths = joined([bigEndian(total, 4), bigEndian(headLength, 4)]);
  const prelude = joined([lengths, bigEndian(crc32(lengths) + (damage === "prelude" ? 1 : 0), 4)]);
  const message = joined([prelude, head, body]);
  return joined([message, bigEndian(crc32(message) + (damage === "message" ? 1 : 0), 4)]);
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

function headerBytes(name: string, value: HeaderValue): Uint8Array {
  const nameBytes = encoder.encode(name);
  return joined([bigEndian(nameBytes.length, 1), nameBytes, valueBytes(value)]);
}

function valueBytes(value: HeaderValue): Uint8Array {
  if (typeof value === "boolean") return Uint8Array.of(value ? 0 : 1);
  if (typeof value === "string") {
    const text = encoder.encode(value);
    return joined([Uint8Array.of(7), bigEndian(text.length, 2), text]);
  }
  const tag = Uint8Array.of(TAGS[value.type]);
  switch (value.type) {
    case "bytes":
      return joined([tag, bigEndian(value.value.length, 2), value.value]);
    case "uuid":
      return joined([tag, value.value]);
    default:
      return joined([tag, bigEndian(value.value, WIDTHS[value.type])]);
  }
}

function bigEndian(value: number, width: number): Uint8Array {
  const digits = BigInt.asUintN(8 * width, BigInt(value)).toString(16).padStart(2 * width, "0");
  return Uint8Array.from(digits.match(/../g)!, (pair) => parseInt(pair, 16));
}

/** ISO 3309, bit by bit. */
function crc32(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? rest >>> 1 ^ 0xedb88320 : rest >>> 1;
  }
  return ~rest >>> 0;
}
