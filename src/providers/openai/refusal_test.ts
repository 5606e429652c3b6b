import assert from "node:assert/strict";
import { Fault, type FaultCode, FAULTS } from "../../domain/fault.ts";
import { CLIENTS } from "../clients.ts";
import { errorEvent, errorTypeOf, refuse } from "./refusal.ts";

const CODES = Object.keys(FAULTS) as FaultCode[];
const LATER = { retryAfterSeconds: 3_600, plainMessage: "The limit is used up." };

function refusalOf(fault: Fault, client: string | null = null) {
  const { status, headers, body } = refuse(fault, { requestId: "ar-01M8429500", client });
  return { status, headers: new Headers(headers), error: JSON.parse(body).error, body };
}

function isFinal(fault: Fault): boolean {
  return fault.retryAfterSeconds === "never" || fault.retryAfterSeconds >= 60;
}

Deno.test("refuse() is OpenAI's error JSON with the fault's status, for every fault", () => {
  for (const code of CODES) {
    const fault = new Fault(code, 'No "more"\n');
    const { status, headers, error } = refusalOf(fault);
    assert.equal(status, FAULTS[code].status, code);
    assert.equal(headers.get("content-type"), "application/json");
    assert.deepEqual([error.message, error.param], ['No "more"\n', null]);
    assert.deepEqual(Object.keys(error), ["message", "type", "param", "code"]);
    assert.equal(headers.get("x-should-retry"), isFinal(fault) ? "false" : null, code);
    assert.equal(headers.get("retry-after"), isFinal(fault) ? null : String(fault.retryAfterSeconds), code);
  }
});

Deno.test("refuse() tells the type by the status, and a limit of money by its own type", () => {
  const types = (["unauthenticated", "path_not_allowed", "over_rpd", "over_cost_per_day", "draining"] as const).map((code) =>
    refusalOf(new Fault(code, "no")).error.type
  );
  assert.deepEqual(types, [
    ...["invalid_request_error", "invalid_request_error", "rate_limit_exceeded", "insufficient_quota", "server_error"],
  ]);
  assert.deepEqual([400, 401, 404, 429, 500, 503].map(errorTypeOf), [
    ...[
      "invalid_request_error",
      "invalid_api_key",
      "invalid_request_error",
      "rate_limit_exceeded",
      "server_error",
      "server_error",
    ],
  ]);
});

Deno.test("refuse() stops Codex by a 400, which it shows once: other statuses it asks again up to thirty times (trap 24)", () => {
  for (const code of CODES) {
    const fault = new Fault(code, "no", LATER);
    const { status, headers, error } = refusalOf(fault, "codex");
    assert.equal(status, code === "upgrade_refused" ? 426 : 400, code);
    assert.equal(error.message, "no");
    // It would wait for so long without a word.
    assert.equal(headers.get("retry-after"), code === "upgrade_refused" ? "3600" : null, code);
  }
});

Deno.test("refuse() lets Codex ask again only with a short retry-after, so never after a bare 500 or 503 (trap 25)", () => {
  for (const code of CODES) {
    const fault = new Fault(code, "no");
    const { status, headers } = refusalOf(fault, "codex");
    if (isFinal(fault)) {
      assert.ok([400, 426].includes(status), code);
    } else {
      assert.equal(status, FAULTS[code].status, code);
      const seconds = Number(headers.get("retry-after"));
      assert.ok(seconds >= 1 && seconds <= 10, code);
    }
  }
});

Deno.test("refuse() makes of the upstream's 401 nothing that Codex or OpenCode ask about again (trap 24)", () => {
  const fault = new Fault("upstream_refused_credential", "The upstream refused the operator's key.");
  assert.equal(refusalOf(fault, "codex").status, 400);
  assert.equal(refusalOf(fault, "opencode").status, 403);
  assert.deepEqual([refusalOf(fault).status, refusalOf(fault).headers.get("x-should-retry")], [502, "false"]);
});

/** As clients.ts has them, and as each was seen to ask again or not. */
const STOPPED_BY_403 = ["opencode", "kilo", "pi", "droid", "qwen-code", "ai-sdk"];

Deno.test("refuse() stops each other client by the status that it obeys if a wait does not help soon (trap 24)", () => {
  const fault = new Fault("over_cost_per_day", "This workspace has used 500.00 of 429.00 dollars.", LATER);
  for (const client of [...CLIENTS.map(({ name }) => name), null].filter((name) => name !== "codex")) {
    const { status, headers, error } = refusalOf(fault, client);
    const isStopped = STOPPED_BY_403.includes(client ?? "");
    assert.equal(status, isStopped ? 403 : 429, String(client));
    assert.deepEqual([headers.get("x-should-retry"), headers.get("retry-after")], ["false", "3600"]);
    assert.equal(error.type, isStopped ? "invalid_request_error" : "insufficient_quota");
    assert.equal(error.code, "over_cost_per_day");
  }
});

Deno.test("refuse() says nothing in a final refusal that clients take for an invitation (trap 24)", () => {
  for (const { name } of CLIENTS) {
    for (const code of CODES) {
      const { status, body } = refusalOf(new Fault(code, "no", LATER), name);
      if (status === 429) continue;
      assert.doesNotMatch(body, /overloaded|exhausted|rate.?limit|too many|429|500|502|503|529/i, `${name}: ${code}`);
    }
  }
});

Deno.test("refuse() shows no amounts to clients that take them for a status", () => {
  const fault = new Fault("over_cost_per_day", "This workspace has used 500.00 of 429.00 dollars.", LATER);
  for (const { name, readsText } of CLIENTS) {
    assert.equal(refusalOf(fault, name).error.message, readsText ? LATER.plainMessage : fault.message, name);
  }
});

Deno.test("refuse() lets each client ask again if that helps soon", () => {
  for (const { name } of CLIENTS) {
    const fault = new Fault("over_concurrent", "9 of 4 calls run.", {
      retryAfterSeconds: 2,
      plainMessage: "Too many calls run.",
    });
    const { status, headers, error } = refusalOf(fault, name);
    assert.deepEqual([status, headers.get("retry-after"), headers.get("x-should-retry")], [429, "2", null], name);
    assert.equal(error.message, fault.message);
  }
});

Deno.test("refuse() names in a 426 the protocol to go on with, for every client", () => {
  for (const client of ["codex", "opencode", null]) {
    const { status, headers } = refusalOf(new Fault("upgrade_refused", "no"), client);
    assert.equal(status, 426);
    assert.deepEqual([headers.get("upgrade"), headers.get("connection")], ["HTTP/1.1", "upgrade, close"]);
  }
  assert.equal(refusalOf(new Fault("path_not_allowed", "no")).headers.has("upgrade"), false);
});

Deno.test("refuse() does not let the cause out", () => {
  const fault = new Fault("upstream_unreachable", "It cannot be reached.", { cause: new Error("connect 10.0.0.7") });
  const { headers, body } = refusalOf(fault);
  assert.ok(!(JSON.stringify([...headers]) + body + errorEvent(fault, "ar-1")).includes("10.0.0.7"));
});

Deno.test("errorEvent() is one whole event that readers of both APIs know as an error", () => {
  const text = errorEvent(new Fault("upstream_unreachable", "It broke off."), "ar-1");
  assert.match(text, /^event: error\ndata: \{.*\}\n\n$/);
  const said = { code: "upstream_unreachable", message: "It broke off.", param: null };
  assert.deepEqual(JSON.parse(text.split("data: ")[1]!), {
    ...{ type: "error", sequence_number: 0, ...said },
    error: { ...said, type: "server_error" },
  });
});
