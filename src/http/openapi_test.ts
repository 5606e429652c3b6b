import assert from "node:assert/strict";
import { openAdmin } from "../../tests/admin_under_test.ts";
import { ADMIN_ROUTES } from "./admin_routes.ts";
import { openApiDocument } from "./openapi.ts";

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
}

const document = openApiDocument(ADMIN_ROUTES, "1.2.3") as {
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

Deno.test("openApiDocument() has every route once, and the program's version", () => {
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  );
  const routes = ADMIN_ROUTES.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
  assert.deepEqual(described.toSorted(), routes.toSorted());
  assert.equal(new Set(routes).size, routes.length);
  assert.equal(document.info.version, "1.2.3");
});

Deno.test("every route reads exactly the filters that its description has", async () => {
  await using admin = await openAdmin();
  for (const { method, path, filters, body } of ADMIN_ROUTES) {
    const described = document.paths[path.replaceAll(/:(\w+)/g, "{$1}")]![method.toLowerCase()]!.parameters ?? [];
    assert.deepEqual(described.filter((one) => one.in === "query").map(({ name }) => name), filters ?? [], path);
    const init = { method, ...(body === undefined ? {} : { body: "{}" }) };
    const { status, json } = await admin.ask(`${path.replaceAll(/:\w+/g, "x")}?unknown_filter=1`, init);
    if (filters === null) {
      assert.equal(status, 200, path);
      continue;
    }
    assert.equal(status, 400, path);
    const known = /: (?:there are (.+)|this route has no filters)$/.exec(json.error.message)?.[1] ?? "";
    assert.deepEqual(known === "" ? [] : known.split(", "), filters, path);
  }
});
