import assert from "node:assert/strict";
import { type ForwardProxies, parseNoProxy, parseProxy, proxyFor } from "./forward_proxy.ts";

const HTTP = { url: "http://proxy.corp.example:3128", credentials: null };
const HTTPS = { url: "http://tls-proxy.corp.example:3128", credentials: null };

function proxies(noProxy: string): ForwardProxies {
  const { entries, unreadable } = parseNoProxy(noProxy);
  assert.deepEqual(unreadable, [], noProxy);
  return { http: HTTP, https: HTTPS, direct: entries };
}

/** `NO_PROXY`, URLs that are reached directly, and URLs that are not. */
const CASES: readonly (readonly [noProxy: string, direct: readonly string[], proxied: readonly string[]])[] = [
  ["", [], ["http://localhost/", "https://api.anthropic.com/", "http://127.0.0.1:8080/"]],
  ["*", ["http://a/", "https://b.example:8443/x", "http://10.0.0.1/", "http://[fd00::1]/"], []],
  // https://curl.se/libcurl/c/CURLOPT_NOPROXY.html: "ample.com" would match …
  [
    "ample.com",
    ["http://ample.com/", "http://ample.com:80/", "http://www.ample.com/", "https://AMPLE.com:8443/"],
    ["http://www.example.com/", "http://ample.com.org/"],
  ],
  ["local.com", ["http://local.com/", "http://local.com:80/", "http://www.local.com/"], ["http://www.notlocal.com/"]],
  ["example.com,::1,localhost", ["http://[::1]/", "http://localhost:1/", "http://a.example.com/"], ["http://[::2]/"]],
  ["192.168.0.0/16", ["http://192.168.7.9/"], ["http://192.169.0.1/", "http://192.168.example/"]],
  // https://everything.curl.dev/usingcurl/proxies/env: a leading dot; the domain itself too, since
  // curl 7.86 and in undici.
  [
    ".example.com",
    ["http://www.example.com/", "http://home.example.com/", "http://example.com/"],
    ["http://nonexample.com/"],
  ],
  ["*.corp.example", ["http://corp.example/", "https://a.b.corp.example/"], ["http://xcorp.example/"]],
  ["example.com.", ["http://example.com/", "http://example.com./", "http://a.example.com./"], ["http://com/"]],
  // undici's EnvHttpProxyAgent: a port must be the URL's, which may be its scheme's own.
  ["host:8080", ["http://host:8080/", "https://a.host:8080/"], ["http://host/", "http://host:80/", "https://host:8081/"]],
  ["host:443 other:80", ["https://host/", "http://other/"], ["http://host/", "https://other/"]],
  [".corp.example:443", ["https://a.corp.example/"], ["https://a.corp.example:8443/"]],
  ["*:8443", ["https://any.example:8443/"], ["https://any.example/"]],
  ["127.0.0.1:9000,[::1]:9001", ["http://127.0.0.1:9000/", "http://[::1]:9001/"], ["http://127.0.0.1/", "http://[::1]/"]],
  ["a.example, b.example\tc.example ,,", ["http://a.example/", "http://b.example/", "http://c.example/"], ["http://d.example/"]],
  ["EXAMPLE.Com", ["http://example.com/", "http://Www.Example.COM/"], ["http://example.org/"]],
  // An address is never a part of a name, nor a name of an address.
  ["1.2.3.4", ["http://1.2.3.4/"], ["http://9.1.2.3.4.example/", "http://1.2.3.5/"]],
  ["127.0.0.0/8", ["http://127.0.0.1/", "http://127.255.0.1:8080/"], ["http://128.0.0.1/", "http://localhost/"]],
  ["10.0.0.0/8,172.16.0.0/12", ["http://10.9.8.7/", "http://172.31.255.255/"], ["http://172.32.0.0/", "http://11.0.0.0/"]],
  ["169.254/16", ["http://169.254.169.254/"], ["http://169.255.0.1/"]],
  ["0.0.0.0/0", ["http://8.8.8.8/"], ["http://[2001:db8::1]/", "http://dns.example/"]],
  ["::/0", ["http://[2001:db8::1]/"], ["http://8.8.8.8/"]],
  ["fd00::/8,[fe80::]/10", ["http://[fd12::1]/", "http://[febf::1]/"], ["http://[fc00::1]/", "http://[fec0::1]/"]],
  ["[2001:db8::1]", ["http://[2001:DB8:0::1]:99/"], ["http://[2001:db8::2]/"]],
  // The same address in another dress.
  ["10.0.0.0/8", ["http://[::ffff:10.1.2.3]/", "http://0x0a.1.2.3/", "http://167837955/"], ["http://[::ffff:11.1.2.3]/"]],
  ["::ffff:10.1.2.3", ["http://10.1.2.3/"], ["http://10.1.2.4/"]],
  ["bücher.example", ["http://xn--bcher-kva.example/", "http://www.bücher.example/"], ["http://bucher.example/"]],
  ["my_host,localhost,*", ["http://anything.example/"], []],
];

for (const [noProxy, direct, proxied] of CASES) {
  Deno.test(`proxyFor() with NO_PROXY=${noProxy || "nothing"} connects directly only as that says`, () => {
    for (const url of direct) assert.equal(proxyFor(url, proxies(noProxy)), null, url);
    for (const url of proxied) {
      assert.equal(proxyFor(url, proxies(noProxy)), url.startsWith("https:") ? HTTPS : HTTP, url);
    }
  });
}

Deno.test("proxyFor() never uses another scheme's proxy", () => {
  const only = { http: HTTP, https: null, direct: [] };
  assert.equal(proxyFor("https://api.anthropic.com/v1/messages", only), null);
  assert.equal(proxyFor("http://api.anthropic.com/v1/messages", only), HTTP);
  assert.equal(proxyFor("http://api.anthropic.com/", { http: null, https: HTTPS, direct: [] }), null);
});

Deno.test("proxyFor() agrees with masks on random addresses and networks", () => {
  const random = randomFrom(1);
  for (let round = 0; round < 3_000; round++) {
    const [network, bits] = [random(2 ** 32), random(33)];
    // Half of the addresses differ from the network in their last bits only.
    const address = random(2) === 0 ? random(2 ** 32) : Number(BigInt(network) ^ BigInt(random(2 ** random(33))));
    const shift = BigInt(32 - bits);
    const isInside = BigInt(network) >> shift === BigInt(address) >> shift;
    const noProxy = `${quad(network)}/${bits}`;
    assert.equal(proxyFor(`http://${quad(address)}/`, proxies(noProxy)) === null, isInside, `${quad(address)} in ${noProxy}`);
  }
});

Deno.test("proxyFor() matches whole labels of random names, in any list and order", () => {
  const random = randomFrom(2);
  const name = () => Array.from({ length: 1 + random(3) }, () => "ab".repeat(2).slice(0, 1 + random(3))).join(".");
  for (let round = 0; round < 2_000; round++) {
    const host = name();
    const entries = Array.from({ length: random(4) }, name);
    const dressed = entries.map((entry) => ["", ".", "*."][random(3)] + (random(2) === 0 ? entry : entry.toUpperCase()));
    const separator = [",", " ", ", ", " ,,"][random(4)]!;
    const isDirect = entries.some((entry) => `.${host}`.endsWith(`.${entry}`));
    for (const list of [dressed, dressed.toReversed(), [...dressed, "10.0.0.0/8", `${host}:1`]]) {
      assert.equal(proxyFor(`http://${host}:8080/`, proxies(list.join(separator))) === null, isDirect, `${host} and ${list}`);
    }
    assert.equal(proxyFor(`http://${host}:8080/`, proxies([...dressed, `${host}:8080`].join(separator))), null);
  }
});

Deno.test("parseNoProxy() names what it cannot read and keeps the rest", () => {
  const unreadable = [
    "10.",
    "10.0",
    "3.4",
    "10.*",
    "foo*.example",
    "*example.com",
    "host:",
    "host:0",
    "host:65536",
    "host:https",
    "http://host",
    "user@host",
    "10.0.0.0/33",
    "fd00::/129",
    "256.1.1.1",
    "[::1",
    "[host]",
    ":::1",
    "host/8",
    "a;b",
    "<local>",
    ".",
    "192.168.1.1-192.168.1.100",
    "10.0.0.0/8:80",
  ];
  const found = parseNoProxy(`a.example,${unreadable.join(",")},b.example`);
  assert.deepEqual(found.unreadable, unreadable);
  assert.deepEqual(found.entries, [{ host: "a.example", port: null }, { host: "b.example", port: null }]);
});

Deno.test("parseProxy() reads a proxy's URL and takes its credentials out of it", () => {
  const plain = (url: string) => ({ url, credentials: null });
  assert.deepEqual(parseProxy("http://proxy.corp.example:3128"), plain("http://proxy.corp.example:3128"));
  assert.deepEqual(parseProxy(" http://Proxy:3128/ "), plain("http://proxy:3128"));
  assert.deepEqual(parseProxy("proxy:3128"), plain("http://proxy:3128"));
  assert.deepEqual(parseProxy("proxy"), plain("http://proxy:80"));
  assert.deepEqual(parseProxy("https://proxy"), plain("https://proxy:443"));
  assert.deepEqual(parseProxy("socks5h://[::1]"), plain("socks5h://[::1]:1080"));
  assert.deepEqual(parseProxy("http://us%65r:p%40ss%3A%C3%A4@proxy:1"), {
    url: "http://proxy:1",
    credentials: { username: "user", password: "p@ss:ä" },
  });
  assert.deepEqual(parseProxy("http://user:pö@ß@proxy:1")?.credentials, { username: "user", password: "pö@ß" });
  assert.deepEqual(parseProxy("user:pass@proxy:1")?.credentials, { username: "user", password: "pass" });
  assert.deepEqual(parseProxy("http://user@proxy:1")?.credentials, { username: "user", password: "" });
});

Deno.test("parseProxy() refuses an unusable URL", () => {
  const refused = [
    "",
    "http://",
    "ftp://proxy:1",
    "socks4://proxy:1",
    "http://proxy:99999",
    "http://proxy:0",
    "http://proxy:1/path",
    "http://proxy:1?x",
    "http://user:p#ss@proxy:1",
    "http://user:p%zz@proxy:1",
    "http://pro xy:1",
    "http://prox\ny:1",
  ];
  for (const text of refused) assert.equal(parseProxy(text), null, text);
});

function quad(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
}

/** Whole numbers below a bound, the same ones in each run (xorshift). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed * 0x9e3779b9 >>> 0;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor((state >>> 0) / 2 ** 32 * below);
  };
}
