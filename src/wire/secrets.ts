/** Whether the text holds the secret (visible ASCII), as it is or with any of its characters percent-encoded. */
export function holdsSecret(text: string, secret: string): boolean {
  return text.includes(secret) || (text.includes("%") && percentDecoded(text).includes(secret));
}

/** Byte by byte, so that what is no UTF-8 is no hiding place. */
function percentDecoded(text: string): string {
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}
