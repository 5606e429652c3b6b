/**
 * The content coding that an answer really has, by its label (`content-encoding`) and its first byte.
 * Null: it is plain. The proxy asks for plain bytes, so a label may well be a gateway's slip:
 *
 * - gzip and zstd begin with a byte of their own, which is believed, whatever the label says;
 * - brotli and deflate do not; a first byte that begins JSON or an event stream is plain;
 * - a label that names no coding that is known says nothing.
 *
 * (gzip: RFC 1952, 2.3.1; zstd: RFC 8878, 3.1.1)
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
/** `{`, and what the lines of an event stream begin with: `event`, `data`, `id`, `retry`, `:`. */
const TEXT_FIRST = [..."{edir:"].map((character) => character.charCodeAt(0));
