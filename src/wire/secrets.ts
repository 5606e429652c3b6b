/**
 * Whether the text holds the secret (visible ASCII), plain or with some characters percent-encoded.
 * No text holds an empty one: that of a credential that only the machine knows.
 */
export function holdsSecret(text: string, secret: string): boolean {
  if (secret === "") return false;
  return text.includes(secret) || (text.includes("%") && percentDecoded(text).includes(secret));
}

/** Byte by byte: invalid UTF-8 hides nothing. */
function percentDecoded(text: string): string {
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}
