import assert from "node:assert/strict";
import { clientIpIn } from "./client_ip.ts";

const ADDRESSES: readonly (readonly [value: string, ip: string])[] = [
  ["203.0.113.7", "203.0.113.7"],
  [" 203.0.113.7:51234 ", "203.0.113.7"],
  ["2001:DB8::1", "2001:db8::1"],
  ["[2001:db8::1]", "2001:db8::1"],
  ["[2001:db8::1]:443", "2001:db8::1"],
  ["::ffff:203.0.113.7", "::ffff:203.0.113.7"],
  ["198.51.100.1, 203.0.113.7", "203.0.113.7"],
  ["not an address, 203.0.113.7", "203.0.113.7"],
  ['for=198.51.100.1;proto=https, by=10.0.0.1;for="[2001:db8::1]:4711";host=x', "2001:db8::1"],
  ["For=203.0.113.7", "203.0.113.7"],
];
const OTHERS = [
  null,
  "",
  "unknown",
  "203.0.113.7, unknown",
  "203.0.113.7,",
  "203.0.113",
  "203.0.113.256",
  "203.0.113.7.",
  "0203.0.113.7",
  "1.2.3.4.5",
  "fe80::1%eth0",
  "::1]:80/x[",
  "[::1",
  ":::",
  "12345::",
  "for=_hidden",
  "for=unknown",
  "by=203.0.113.7",
  "llmp_0123456789",
  "dead",
  "::".repeat(40),
];

Deno.test("clientIpIn() reads an address, or the last of a list, without its port", () => {
  for (const [value, ip] of ADDRESSES) assert.equal(clientIpIn(value), ip, value);
});

Deno.test("clientIpIn() is null for anything but an address", () => {
  for (const value of OTHERS) assert.equal(clientIpIn(value), null, String(value));
});
