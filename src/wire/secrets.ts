/**
 * Whether the text holds the secret (visible ASCII), plain or with some characters percent-encoded.
 */
export function holdsSecret(text: string, secret: string): boolean {
  return text.includes(secret) || (text.includes("%") && percentDecoded(text).includes(secret));
}

/** Byte by byte: invalid UTF-8 hides nothing. */
function percentDecoded(text: string): string {
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}
