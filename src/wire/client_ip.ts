/**
 * The client's address, without a port, from a header that the server in front of the proxy wrote:
 * one address, a list of them (`X-Forwarded-For`) or of `for=` parameters (`Forwarded`, RFC 7239).
 *
 * The last entry of a list counts: the nearest server appends what it saw, and a client can make up
 * the entries before it. Null for anything but an address, so that no other text gets into a log.
 */
export function clientIpIn(value: string | null): string | null {
  const last = value?.split(",").at(-1)?.trim() ?? "";
  const forwarded = /(?:^|;)[ \t]*for="?([^";]*)"?/i.exec(last);
  const text = (forwarded?.[1] ?? last).trim();
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  return isAddress(bare) ? bare.toLowerCase() : null;
}

/** The longest text of an IPv6 address, with an IPv4 address in its end. */
const MAX_LENGTH = 45;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

function isAddress(text: string): boolean {
  if (text.length > MAX_LENGTH) return false;
  return IPV4.test(text) || (/^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text) && URL.canParse(`http://[${text}]/`));
}
