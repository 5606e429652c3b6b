/** A read takes at most so much. A thousand streams that wait hold a thousand small ones. */
const SMALL_BYTES = 16 * 1024;
/** After a read that filled its buffer. */
const LARGE_BYTES = 64 * 1024;
/** The most that is kept of each size while no call uses it. */
const MAX_IDLE_BYTES = 2 * 1024 * 1024;

const idle: ReadonlyMap<number, ArrayBuffer[]> = new Map([[SMALL_BYTES, []], [LARGE_BYTES, []]]);

/**
 * A buffer to read into at once, with the bytes of its last use. A new one is cleared, and what is
 * not used again has to be collected: both cost more than to pass the bytes on.
 */
export function takeBuffer(size: "small" | "large"): ArrayBuffer {
  const bytes = size === "small" ? SMALL_BYTES : LARGE_BYTES;
  return idle.get(bytes)!.pop() ?? new ArrayBuffer(bytes);
}

/**
 * Nothing may read or write the buffer any more. To give one again does no harm: it is there, or a
 * BYOB reader has taken it over, which leaves no bytes in it (WHATWG Streams).
 */
export function giveBuffer(buffer: ArrayBuffer): void {
  const known = idle.get(buffer.byteLength);
  if (known === undefined || known.includes(buffer)) return;
  if ((known.length + 1) * buffer.byteLength <= MAX_IDLE_BYTES) known.push(buffer);
}
