/**
 * Reads requests of OTLP, in Protobuf or in JSON, into one form: that of OTLP's JSON, with times
 * and counts as texts and ids in hexadecimal. Only the fields that llmproxy sends are known;
 * another one is an error. Numbers of fields: https://github.com/open-telemetry/opentelemetry-proto
 */
import { Buffer } from "node:buffer";

/** A field's name, and what it is: one of `SCALARS`, or a message. A `*` is a list. */
type Schema = Readonly<Record<number, readonly [name: string, kind: string]>>;

const MESSAGES: Readonly<Record<string, Schema>> = {
  TraceRequest: { 1: ["resourceSpans", "ResourceSpans*"] },
  ResourceSpans: { 1: ["resource", "Resource"], 2: ["scopeSpans", "ScopeSpans*"], 3: ["schemaUrl", "string"] },
  ScopeSpans: { 1: ["scope", "Scope"], 2: ["spans", "Span*"], 3: ["schemaUrl", "string"] },
  Resource: { 1: ["attributes", "KeyValue*"], 2: ["droppedAttributesCount", "uint"] },
  Scope: {
    1: ["name", "string"],
    2: ["version", "string"],
    3: ["attributes", "KeyValue*"],
    4: ["droppedAttributesCount", "uint"],
  },
  KeyValue: { 1: ["key", "string"], 2: ["value", "AnyValue"] },
  AnyValue: {
    1: ["stringValue", "string"],
    2: ["boolValue", "bool"],
    3: ["intValue", "int"],
    4: ["doubleValue", "double"],
    5: ["arrayValue", "ArrayValue"],
  },
  ArrayValue: { 1: ["values", "AnyValue*"] },
  Span: {
    1: ["traceId", "id"],
    2: ["spanId", "id"],
    3: ["traceState", "string"],
    4: ["parentSpanId", "id"],
    5: ["name", "string"],
    6: ["kind", "uint"],
    7: ["startTimeUnixNano", "fixed64"],
    8: ["endTimeUnixNano", "fixed64"],
    9: ["attributes", "KeyValue*"],
    10: ["droppedAttributesCount", "uint"],
    12: ["droppedEventsCount", "uint"],
    14: ["droppedLinksCount", "uint"],
    15: ["status", "Status"],
    16: ["flags", "fixed32"],
  },
  Status: { 2: ["message", "string"], 3: ["code", "uint"] },
  MetricsRequest: { 1: ["resourceMetrics", "ResourceMetrics*"] },
  ResourceMetrics: { 1: ["resource", "Resource"], 2: ["scopeMetrics", "ScopeMetrics*"], 3: ["schemaUrl", "string"] },
  ScopeMetrics: { 1: ["scope", "Scope"], 2: ["metrics", "Metric*"], 3: ["schemaUrl", "string"] },
  Metric: { 1: ["name", "string"], 2: ["description", "string"], 3: ["unit", "string"], 9: ["histogram", "Histogram"] },
  Histogram: { 1: ["dataPoints", "HistogramPoint*"], 2: ["aggregationTemporality", "uint"] },
  HistogramPoint: {
    2: ["startTimeUnixNano", "fixed64"],
    3: ["timeUnixNano", "fixed64"],
    4: ["count", "fixed64"],
    5: ["sum", "double"],
    6: ["bucketCounts", "fixed64[]"],
    7: ["explicitBounds", "double[]"],
    9: ["attributes", "KeyValue*"],
    10: ["flags", "uint"],
    11: ["min", "double"],
    12: ["max", "double"],
  },
};

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

export type Json = Readonly<Record<string, unknown>>;

/** One request's body. Throws if it is not what OTLP says. */
export function readOtlp(body: Uint8Array, { contentType, signal }: {
  readonly contentType: string;
  readonly signal: "traces" | "metrics";
}): Json {
  if (contentType === "application/json") return sameForm(JSON.parse(new TextDecoder().decode(body))) as Json;
  if (contentType !== "application/x-protobuf") throw new Error(`No OTLP comes as ${contentType}`);
  return message(new Reader(body), signal === "traces" ? "TraceRequest" : "MetricsRequest");
}

function message(reader: Reader, type: string): Json {
  const out: Record<string, unknown> = {};
  while (!reader.isAtEnd) {
    const tag = reader.varint();
    const [number, wire] = [Number(tag >> 3n), Number(tag & 7n)];
    const field = MESSAGES[type]![number];
    if (field === undefined) throw new Error(`A ${type} has no field ${number} that llmproxy sends`);
    const [name, kind] = field;
    if (kind.endsWith("*")) ((out[name] ??= []) as unknown[]).push(value(reader, kind.slice(0, -1), wire));
    else out[name] = value(reader, kind, wire);
  }
  return out;
}

function value(reader: Reader, kind: string, wire: number): unknown {
  function expect(type: keyof typeof WIRE): void {
    if (WIRE[type] !== wire) throw new Error(`A ${kind} has the wire type ${wire}`);
  }
  switch (kind) {
    case "string":
      expect("bytes");
      return new TextDecoder("utf-8", { fatal: true }).decode(reader.bytes());
    case "id":
      expect("bytes");
      return Buffer.from(reader.bytes()).toString("hex");
    case "bool":
      expect("varint");
      return reader.varint() === 1n;
    case "uint":
      expect("varint");
      return Number(reader.varint());
    case "int":
      expect("varint");
      return Number(BigInt.asIntN(64, reader.varint()));
    case "double":
      expect("fixed64");
      return reader.double();
    case "fixed64":
      expect("fixed64");
      return String(reader.fixed64());
    case "fixed32":
      expect("fixed32");
      return reader.fixed32();
    case "fixed64[]":
      expect("bytes");
      return all(new Reader(reader.bytes()), (inner) => String(inner.fixed64()));
    case "double[]":
      expect("bytes");
      return all(new Reader(reader.bytes()), (inner) => inner.double());
    default:
      expect("bytes");
      return message(new Reader(reader.bytes()), kind);
  }
}

function all<T>(reader: Reader, read: (reader: Reader) => T): T[] {
  const items: T[] = [];
  while (!reader.isAtEnd) items.push(read(reader));
  return items;
}

/** https://protobuf.dev/programming-guides/encoding/ */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  varint(): bigint {
    let [result, shift] = [0n, 0n];
    for (;;) {
      const byte = this.#view.getUint8(this.#at++);
      result |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return result;
      shift += 7n;
    }
  }

  bytes(): Uint8Array {
    const length = Number(this.varint());
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new Error("A field is longer than its message");
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  fixed64(): bigint {
    return this.#view.getBigUint64(this.#move(8), true);
  }

  fixed32(): number {
    return this.#view.getUint32(this.#move(4), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#move(8), true);
  }

  #move(count: number): number {
    this.#at += count;
    return this.#at - count;
  }
}

/**
 * 64-bit integers may be numbers or texts in JSON.
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */
function sameForm(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) return value.map((item) => sameForm(item, name));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, sameForm(inner, key)]));
  }
  if (name === "intValue") return Number(value);
  return ["count", "bucketCounts"].includes(name) || name.endsWith("UnixNano") ? String(value) : value;
}
