import assert from "node:assert/strict";
import { AdminRefusal } from "./admin_refusal.ts";
import { filtersOf, queryOptsOf } from "./admin_filters.ts";

const URL = "http://localhost/internal/usage";

Deno.test("queryOptsOf() gives all rows, a hundred at a time, where nothing is asked", () => {
  const all = { workspaceId: null, sandboxId: null, since: null, until: null, limit: 100, offset: 0 };
  for (const query of ["", "?", "?&&"]) assert.deepEqual(queryOptsOf(URL + query), all);
});

Deno.test("queryOptsOf() reads every filter, decoded as forms are", () => {
  const query = "?workspace_id=a%26b+c%2B%C3%BC&sandbox_id=s%2F1&since=2026-01-31T12:00:00.5%2B02:00&limit=1000&offset=20";
  assert.deepEqual(queryOptsOf(URL + query), {
    workspaceId: "a&b c+ü",
    sandboxId: "s/1",
    since: Date.UTC(2026, 0, 31, 10, 0, 0, 500),
    until: null,
    limit: 1000,
    offset: 20,
  });
});

Deno.test("queryOptsOf() reads the times of RFC 3339", () => {
  const times: readonly (readonly [string, number])[] = [
    ["2026-01-31T12:00:00Z", Date.UTC(2026, 0, 31, 12)],
    ["2026-01-31T12:00:00.123456789Z", Date.UTC(2026, 0, 31, 12, 0, 0, 123)],
    ["2024-02-29T23:59:59-05:30", Date.UTC(2024, 2, 1, 5, 29, 59)],
    ["1970-01-01T00:00:00Z", 0],
  ];
  for (const [text, at] of times) assert.equal(queryOptsOf(`${URL}?since=${text}`).since, at, text);
});

Deno.test("queryOptsOf() refuses each filter that cannot be read, names it and shows its value", () => {
  const unreadable: Readonly<Record<string, readonly string[]>> = {
    workspace_id: ["", "%00", "a%0Ab", "%7F", "%ff", "%zz", "x".repeat(257)],
    sandbox_id: ["", "%00", "a%0Ab", "%C3", "x".repeat(257)],
    since: [
      ...[
        "",
        "yesterday",
        "2026-01-31",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00",
        "2026-02-30T12:00:00Z",
        "2026-13-01T12:00:00Z",
      ],
      ...["2026-01-31T24:00:00Z", "2026-01-31T12:00:60Z", "2026-01-31T12:00:00+02:00", "1769860800", "2026-01-31%2012:00:00Z"],
      ...["2025-02-29T00:00:00Z", "2026-01-31T12:00:00Z%00", "2026-01-31T12:00:00%2B25:00", "12026-01-31T12:00:00Z"],
    ],
    limit: ["", "0", "-1", "1001", "ten", "1.5", "1e2", "0x10", "%201", "%EF%BC%91", "99999999999999999999", "1%27--"],
    offset: ["", "-1", "one", "1.5", "9007199254740992", "99999999999999999999", "NaN", "Infinity"],
  };
  for (const [name, values] of Object.entries(unreadable)) {
    for (const value of values) {
      const message = refusalOf(() => queryOptsOf(`${URL}?${name}=${value}`));
      assert.match(message, new RegExp(`^Cannot read the filter ${name} as .*: current value is ".*"…?$`), value);
      assert.ok(!/\p{Cc}/u.test(message), JSON.stringify(message));
      assert.ok(message.length < 400);
    }
  }
  assert.match(refusalOf(() => queryOptsOf(`${URL}?limit=ten`)), /current value is "ten"$/);
  assert.match(refusalOf(() => queryOptsOf(`${URL}?limit=%7F%E2%80%AE%00`)), /current value is "\\u\{7f\}\\u\{202e\}\\u0000"$/);
  assert.match(refusalOf(() => queryOptsOf(`${URL}?limit`)), /filter limit as .*current value is ""$/);
});

Deno.test("queryOptsOf() takes SQL in an id for what it is: an id", () => {
  const sql = "x' OR 1=1; DROP TABLE usage; --";
  assert.equal(queryOptsOf(`${URL}?workspace_id=${encodeURIComponent(sql)}`).workspaceId, sql);
});

Deno.test("filtersOf() refuses what it does not know and what is given twice", () => {
  const names = ["workspace_id"] as const;
  assert.equal(
    refusalOf(() => filtersOf(`${URL}?limit=1`, names)),
    'Cannot read the filter "limit": there are workspace_id',
  );
  assert.equal(refusalOf(() => filtersOf(`${URL}?a=1`, [])), 'Cannot read the filter "a": this route has no filters');
  assert.match(refusalOf(() => filtersOf(`${URL}?Workspace_id=a`, names)), /"Workspace_id"/);
  assert.match(refusalOf(() => filtersOf(`${URL}?__proto__=a`, names)), /"__proto__"/);
  assert.match(refusalOf(() => filtersOf(`${URL}?=a`, names)), /""/);
  assert.match(refusalOf(() => filtersOf(`${URL}?%ff=a`, names)), /Cannot read the filter/);
  assert.match(refusalOf(() => filtersOf(`${URL}?workspace_id=a&workspace_id=a`, names)), /workspace_id: it is given twice/);
  assert.match(refusalOf(() => filtersOf(`${URL}?workspace_id=a&%77orkspace_id=b`, names)), /given twice/);
});

function refusalOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof AdminRefusal);
    assert.equal(error.type, "invalid_request_error");
    return error.message;
  }
  return assert.fail("it was read");
}
