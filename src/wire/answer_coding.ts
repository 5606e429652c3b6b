/**
 * The content coding that an answer really has, by its label (`content-encoding`) and first byte.
 * Null: it is plain. The proxy asks for plain bytes, so a label may be a gateway's mistake:
 *
 * - The first byte of gzip (RFC 1952, 2.3.1) and zstd (RFC 8878, 3.1.1) decides against the label.
 * - brotli and deflate have no such byte; a first byte of JSON or an event stream is plain.
 * - An unknown label says nothing.
 */
export function codingOf(label: string | null, first: number): string | null {
  const coding = (label ?? "").trim().toLowerCase();
  if (coding.includes(",")) return coding;
  if (first === GZIP_FIRST && !UNMARKED.includes(coding)) return "gzip";
  if (coding === "zstd") return first === ZSTD_FIRST ? coding : null;
  return UNMARKED.includes(coding) && !TEXT_FIRST.includes(first) ? coding : null;
}

const GZIP_FIRST = 0x1f;
const ZSTD_FIRST = 0x28;
const UNMARKED = ["br", "deflate"];
/** JSON begins with `{`, an event stream with `event`, `data`, `id`, `retry` or `:`. */
const TEXT_FIRST = [..."{edir:"].map((character) => character.charCodeAt(0));
