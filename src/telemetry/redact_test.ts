import assert from "node:assert/strict";
import { AWS, BEDROCK, KEY as OPENAI_KEY, OPENAI, parse, PEM, SERVICE_ACCOUNT, VERTEX } from "../../tests/upstream_entries.ts";
import { secretsOfUpstream } from "../domain/upstream.ts";
import { REDACTED, Redactor } from "./redact.ts";

const KEY = "sk-ant-api03-AbCdEf_0123-456789xyz";
const TOKEN = "llmp_q7Yd-8sT_0aZ";
const OTHER = 'odd"secret\\with/ü=&marks';

const CASES: readonly (readonly [what: string, text: string, hidden: string, kept: string])[] = [
  ["an API key", `key ${KEY} was refused`, KEY, "was refused"],
  ["an API key glued to a word", `x${KEY}`, KEY, "x"],
  ["another vendor's key", "key sk-proj-0123456789abcdef0 here", "sk-proj-0123456789abcdef0", "here"],
  ["a key of Google", "key AIzaSyD-0123456789abcdefghijklmnopqrstu here", "0123456789abcdef", "here"],
  ["a newer key of Google", "key AQ.Ab8RN6K-0123456789abcdefghijklmnopqrstuvwxyz here", "0123456789abcdef", "here"],
  ["an access token of Google", "got ya29.a0AfH6SM_xyz-1.w from it", "a0AfH6SM", "from it"],
  ["a key of Bedrock", "with ABSKQmVkcm9ja0FQSUtleS1hYmNkZWY+/x= for it", "QmVkcm9ja0FQ", "for it"],
  ["a short-lived key of Bedrock", "with bedrock-api-key-YmVkcm9jay5hbWF6b24+/x= for it", "YmVkcm9jay5h", "for it"],
  ["a secret key of AWS", '{"secretAccessKey":"wJalr/UtnFEMI","n":1}', "wJalr", '"n":1'],
  ["a private key", "a -----BEGIN PRIVATE KEY-----\nMIIEvQ\nIBADAN\n-----END PRIVATE KEY-----\nb", "IBADAN", "\nb"],
  [
    "a private key in JSON",
    '{"k":"-----BEGIN RSA PRIVATE KEY-----\\nMIIEvQ\\n-----END RSA PRIVATE KEY-----\\n","n":1}',
    "MIIEvQ",
    '"n":1',
  ],
  ["a cut private key", "a -----BEGIN PRIVATE KEY-----\nMIIEvQ\nIBADAN", "IBADAN", "a "],
  ["a local token", `token: ${TOKEN}, gone`, TOKEN, "gone"],
  ["a local token in a URL", `/v1?x=${TOKEN}&y=1`, TOKEN, "&y=1"],
  ["a bearer header", "got Bearer abc.def-ghi+/= from it", "abc.def-ghi+/=", "from it"],
  ["a bearer header in other letters", "authorization is BEARER\t  abcdef", "abcdef", "authorization is"],
  ["a percent-encoded bearer header", "h=Bearer%20abcdef x", "abcdef", " x"],
  ["a JSON web token", "saw eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl there", "eyJzdWIiOiIxIn0", "there"],
  ["a URL's user and password", "at https://user:hunter2@db.example/x", "hunter2", "@db.example/x"],
  ["a password with @ in a URL", "at redis://u:p@ss@db.example:1/x", "p@ss", "@db.example:1/x"],
  ["a database URL whose password holds a slash", "postgres://u:p/ss@db.example/llmproxy", "p/ss", "@db.example/llmproxy"],
  ["a header that is quoted in a text", "sent x-api-key: abc123 twice", "abc123", "twice"],
  ["a whole authorization header", "authorization: Token abc def\nnext", "abc def", "next"],
  ["a cookie header", "set-cookie: a=b; c=d\nnext", "a=b", "next"],
  ["JSON in a text", '{"proxy_token":"abc123","sandbox":"s"}', "abc123", '"sandbox":"s"'],
  ["JSON in JSON in a text", '"{\\"token\\":\\"abc123\\",\\"n\\":1}"', "abc123", "n"],
  ["a connection string", "host=db password=hunter2 port=1", "hunter2", "port=1"],
  ["a registered secret", `it was ${OTHER}!`, OTHER, "it was"],
  ["a registered secret within JSON", `{"a":${JSON.stringify(OTHER)}}`, JSON.stringify(OTHER).slice(1, -1), '{"a":'],
  ["a registered secret in a query", `?a=${encodeURIComponent(OTHER)}&b`, encodeURIComponent(OTHER), "&b"],
  ["a registered secret that holds another", "x long-secret-with-tail y", "with-tail", " y"],
];

Deno.test("Redactor.text() takes out what looks like a credential or is one, and keeps what stands around it", () => {
  const redactor = redactorOf([OTHER, "long-secret", "long-secret-with-tail"]);
  for (const [what, text, hidden, kept] of CASES) {
    const clean = redactor.text(text);
    assert.ok(!clean.includes(hidden), `${what}: ${clean}`);
    assert.ok(clean.includes(REDACTED), `${what}: ${clean}`);
    assert.ok(clean.includes(kept), `${what}: ${clean}`);
  }
});

Deno.test("Redactor.text() takes out every secret of a file of upstreams, also within JSON within JSON", () => {
  const sessionToken = "hush-session-token/+=";
  const named = (entry: { readonly credentials: readonly object[] }, name: string, over: object = {}) => ({
    ...entry,
    credentials: entry.credentials.map((each) => ({ ...each, ...over, name })),
  });
  const upstreams = parse([OPENAI, named(BEDROCK, "b", { aws: { ...AWS, sessionToken } }), named(VERTEX, "v")]);
  const redactor = redactorOf(upstreams.flatMap(secretsOfUpstream));
  for (const secret of [OPENAI_KEY, AWS.secretAccessKey, sessionToken, PEM, SERVICE_ACCOUNT, JSON.stringify(upstreams)]) {
    for (
      const text of [secret, JSON.stringify({ a: secret }), JSON.stringify(JSON.stringify([secret])), encodeURIComponent(secret)]
    ) {
      const clean = redactor.text(`before ${text}`);
      assert.ok(clean.startsWith("before "));
      assert.doesNotMatch(clean, /0123456789|secret\W*key|session-token|MII/, clean);
    }
  }
});

Deno.test("Redactor.text() leaves other text alone", () => {
  const redactor = redactorOf([]);
  for (
    const text of [
      "at-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
      "lt-01JABCDEFGHJKMNPQRSTVWXYZ0",
      "claude-sonnet-4-5-20250929",
      "risk-management-of-tasks",
      "inputTokens",
      "max_tokens 4096",
      "ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN (or a file)",
      "Unexpected token: <",
      "https://api.anthropic.com/v1/messages?beta=true",
      "someone@example.com",
      "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
      "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
      "",
    ]
  ) assert.equal(redactor.text(text), text);
});

Deno.test("Redactor.text() cuts a long text at white space, so that no credential is shown in part", () => {
  const redactor = redactorOf(["s3cr3t-value-that-is-long"]);
  for (let at = 8_150; at < 8_200; at++) {
    const clean = redactor.text(`${"a ".repeat(at / 2)}${at % 2 === 0 ? "" : "b"}s3cr3t-value-that-is-long ${"c".repeat(500)}`);
    assert.ok(!clean.includes("s3cr"), clean.slice(-80));
    assert.ok(clean.length < 8_300);
  }
  assert.match(redactor.text("x".repeat(20_000)), /^… \[20000 more characters\]$/);
});

Deno.test("Redactor.text() takes time in proportion to the text, even to one made to be slow", () => {
  const redactor = redactorOf([]);
  for (
    const piece of [
      "postgres://",
      "-----BEGIN PRIVATE KEY-----",
      "-----END PRIVATE KEY-----",
      "AIza",
      "://:",
      "eyJ-",
      "eyJaaaaaaaaaaaaaaaaaa.",
      "token=",
      "a.a:",
      "sk-",
      "Bearer ",
      'secret\\"',
      "@:// ",
    ]
  ) {
    const before = performance.now();
    redactor.text(piece.repeat(8_192 / piece.length));
    const took = performance.now() - before;
    assert.ok(took < 250, `${piece}: ${took} ms`);
  }
});

Deno.test("Redactor.refresh() learns a rotated secret and does not forget the one before", () => {
  let secret = "first-secret";
  const redactor = new Redactor(() => [secret]);
  redactor.refresh();
  secret = "second-secret";
  redactor.refresh();
  assert.equal(redactor.text("first-secret second-secret"), `${REDACTED} ${REDACTED}`);
});

Deno.test("Redactor.refresh() ignores a secret so short that ordinary words would hide with it", () => {
  assert.equal(redactorOf(["", "a", "abc"]).text("abcdef"), "abcdef");
});

Deno.test("Redactor.name() knows the names under which credentials stand, however they are spelled", () => {
  const redactor = redactorOf([]);
  const secret = [
    ...["authorization", "Proxy-Authorization", "x-api-key", "apiKey", "ANTHROPIC_API_KEY", "token", "proxy_token", "proxyToken"],
    ...["ANTHROPIC_AUTH_TOKEN", "LLMPROXY_ADMIN_TOKEN", "adminToken", "access_token", "cookie", "Set-Cookie", "password"],
    ...["databaseUrl", "LLMPROXY_DATABASE_URL", "client_secret", "private-key"],
  ];
  const plain = ["tokenId", "tokens", "inputTokens", "credentialId", "key", "monkey", "requestId", "cookieless", "maxTokens"];
  assert.deepEqual(secret.filter((name) => !redactor.name(name).isSecret), []);
  assert.deepEqual(plain.filter((name) => redactor.name(name).isSecret), []);
  assert.equal(redactor.name(TOKEN).shown, REDACTED);
});

function redactorOf(secrets: readonly string[]): Redactor {
  const redactor = new Redactor(() => secrets);
  redactor.refresh();
  return redactor;
}

Deno.test("Redactor learns the secrets of another list at the next record, and keeps the old ones", () => {
  let list = ["the-first-secret-of-all"];
  const redactor = new Redactor(() => list);
  redactor.refresh();
  list = ["another-secret-of-all"];
  redactor.refresh();
  assert.equal(redactor.text("x the-first-secret-of-all another-secret-of-all"), "x [redacted] [redacted]");
});
