/** Of a string that a client chose the proxy keeps so many UTF-8 bytes. */
export const MAX_CLIENT_STRING_BYTES = 256;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Cuts the string at `MAX_CLIENT_STRING_BYTES`, never within a character. U+0000 becomes U+FFFD:
 * SQLite's readers stop at it, and PostgreSQL refuses it.
 */
export function cutClientString(clientString: string): string {
  const text = clientString.includes("\0") ? clientString.replaceAll("\0", "\ufffd") : clientString;
  if (text.length * 3 <= MAX_CLIENT_STRING_BYTES) return text;
  const bytes = encoder.encode(text);
  if (bytes.length <= MAX_CLIENT_STRING_BYTES) return text;
  let end = MAX_CLIENT_STRING_BYTES;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return decoder.decode(bytes.subarray(0, end));
}
