/**
 * The house rules that a linter can check. Floors and doors are tables; ARCHITECTURE.md draws them.
 */

/** Rooms below floor 5, whose rooms may import all of them. */
const BELOW = "async domain wire providers pricing telemetry export stores identity limits upstream call batches http".split(" ");

/** The rooms of `src` that each room may import from, besides itself. */
export const FLOORS: Readonly<Record<string, readonly string[]>> = {
  async: [],
  domain: [],
  wire: ["async"],
  providers: ["domain"],
  pricing: ["domain"],
  telemetry: ["async", "domain"],
  export: ["domain"],
  stores: ["async", "domain"],
  identity: ["async", "domain"],
  limits: ["async", "domain"],
  upstream: ["async", "domain"],
  call: ["async", "wire", "domain"],
  batches: ["async", "wire", "domain"],
  http: ["call", "batches", "async", "domain"],
  config: [...BELOW, "server"],
  server: [...BELOW, "config"],
  cli: [...BELOW, "config", "server"],
};

/** Only files with such a path, and tests, may import these modules. */
const DOORS: readonly { readonly module: RegExp; readonly doors: readonly string[] }[] = [
  { module: /^hono(\/|$)/, doors: ["src/http/"] },
  { module: /^postgres(\/|$)/, doors: ["src/stores/postgres"] },
  { module: /^node:sqlite$/, doors: ["src/stores/sqlite"] },
  { module: /^hyparquet-writer$/, doors: ["src/export/"] },
  { module: /^openid-client$/, doors: ["src/identity/"] },
  { module: /^jose$/, doors: ["src/upstream/"] },
  { module: /^prom-client$/, doors: ["src/telemetry/"] },
  // Loaded only if telemetry is on.
  { module: /^@opentelemetry\//, doors: ["src/telemetry/otel/"] },
  // Loaded only for a credential of AWS.
  { module: /^@noble\/hashes/, doors: ["src/upstream/aws.ts"] },
  { module: /^@aws-sdk\/|^@smithy\/signature-v4$/, doors: ["src/upstream/aws.ts"] },
  { module: /^commander$/, doors: ["src/cli/"] },
  { module: /^ulid$/, doors: ["src/server/"] },
  { module: /^(node:)?process$/, doors: ["src/server/"] },
];

/** A narrow room may import only these modules from outside; other rooms may import any. */
const NARROW_ROOMS: Readonly<Record<string, RegExp>> = {
  domain: /^(?!)/,
  pricing: /^(?!)/,
  providers: /^zod$/,
  wire: /^(@smithy\/core\/event-streams|eventsource-parser(\/stream)?|node:(?!fs|net|http|child_process|sqlite).+)$/,
};

/** Rooms without I/O, and the globals that do I/O. */
const PURE_ROOMS = ["domain", "providers", "pricing"];
const IO_GLOBALS = ["fetch", "Deno", "WebSocket", "EventSource", "Worker", "setTimeout", "setInterval", "caches", "localStorage"];

/** These rooms may use clocks, randomness and the process; they pass them to the others. */
const AMBIENT_ROOMS = ["server", "cli"];

const AMBIENT_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  Deno: ["env", "serve", "addSignalListener", "dlopen", "exit", "args"],
  Date: ["now"],
  Math: ["random"],
  crypto: ["randomUUID", "getRandomValues"],
  performance: ["now", "timeOrigin", "mark", "measure"],
  process: ["env", "hrtime", "on", "exit", "argv"],
};
const AMBIENT_IMPORTS = [
  "randomBytes",
  "randomUUID",
  "randomInt",
  "randomFillSync",
  "getRandomValues",
  "webcrypto",
  "performance",
];

/** Of an exported function, before a record of options. */
const MAX_POSITIONALS = 3;

interface Place {
  /** The path from the repository's root, with forward slashes: `src/wire/tap.ts`. */
  readonly path: string;
  /** The room of `src`; empty outside of it. */
  readonly room: string;
  readonly isTest: boolean;
}

type Visitor = Deno.lint.LintVisitor;

function placeOf(filename: string): Place {
  const path = filename.replaceAll("\\", "/").match(/(?:^|\/)(src\/.+)$/)?.[1] ?? "";
  return { path, room: path.match(/^src\/([^/]+)\//)?.[1] ?? "", isTest: path.endsWith("_test.ts") };
}

/** A relative specifier's path from the root. */
function targetOf(path: string, specifier: string): string {
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

function whyNotImported(place: Place, specifier: string): string | null {
  if (/^(npm|jsr|https?|data):/.test(specifier)) {
    return `Cannot import ${specifier} in place: name the dependency in deno.json and import it by that name`;
  }
  if (!specifier.startsWith(".")) return whyNotFromOutside(place, specifier);
  const target = targetOf(place.path, specifier);
  if (place.isTest && target.startsWith("tests/")) return null;
  const room = target.match(/^src\/([^/]+)\//)?.[1];
  if (room === undefined) return `Cannot import ${target} from ${place.path}: src imports from src only`;
  if (room === place.room || FLOORS[place.room]?.includes(room)) return null;
  return `Cannot import from ${room}/ in ${place.room}/: there is no such arrow between the floors (ARCHITECTURE.md)`;
}

function whyNotFromOutside(place: Place, specifier: string): string | null {
  if (place.isTest) return null;
  const door = DOORS.find((row) => row.module.test(specifier));
  if (door !== undefined && !door.doors.some((prefix) => place.path.startsWith(prefix))) {
    return `Cannot import ${specifier} in ${place.path}: only ${door.doors.join(", ")} may`;
  }
  const narrow = NARROW_ROOMS[place.room];
  if (narrow !== undefined && !narrow.test(specifier)) return `Cannot import ${specifier} in ${place.room}/: the room is narrow`;
  return null;
}

function floors(context: Deno.lint.RuleContext): Visitor {
  const place = placeOf(context.filename);
  if (place.path === "") return {};
  if (place.room !== "" && FLOORS[place.room] === undefined) {
    const message = `Cannot place the room ${place.room}/ on a floor: name it in FLOORS of tools/house_lint.ts`;
    return { Program: (node) => context.report({ node, message }) };
  }
  function look(node: Deno.lint.Node, source: Deno.lint.Node | null | undefined): void {
    if (source?.type === "TSLiteralType") return look(node, source.literal);
    if (source?.type !== "Literal" || typeof source.value !== "string") return;
    const message = whyNotImported(place, source.value);
    if (message !== null) context.report({ node, message });
  }
  return {
    ImportDeclaration: (node) => look(node, node.source),
    ExportNamedDeclaration: (node) => look(node, node.source),
    ExportAllDeclaration: (node) => look(node, node.source),
    ImportExpression: (node) => look(node, node.source),
    TSImportType: (node) => look(node, node.argument),
  };
}

function pureRooms(context: Deno.lint.RuleContext): Visitor {
  const place = placeOf(context.filename);
  if (place.isTest || !PURE_ROOMS.includes(place.room)) return {};
  function look(node: Deno.lint.Node, name: string | null): void {
    if (name === null || !IO_GLOBALS.includes(name)) return;
    context.report({ node, message: `Cannot use ${name} in ${place.room}/: the room does no I/O` });
  }
  return {
    CallExpression: (node) => look(node, nameOf(node.callee)),
    NewExpression: (node) => look(node, nameOf(node.callee)),
    MemberExpression: (node) => {
      look(node, nameOf(node.object));
      if (nameOf(node.object) === "globalThis") look(node, propertyOf(node));
    },
  };
}

function noAmbient(context: Deno.lint.RuleContext): Visitor {
  const place = placeOf(context.filename);
  // What is written in JavaScript runs in a browser.
  const isBrowsers = place.path.endsWith(".js");
  if (place.path === "" || place.isTest || isBrowsers || AMBIENT_ROOMS.includes(place.room)) return {};
  function report(node: Deno.lint.Node, what: string): void {
    context.report({ node, message: `Cannot use ${what} in ${place.path}: main.ts and src/server hand it in` });
  }
  return {
    MemberExpression(node) {
      const object = node.object.type === "MemberExpression" ? propertyOf(node.object) : nameOf(node.object);
      const property = propertyOf(node);
      if (object === null || property === null) return;
      if (Object.hasOwn(AMBIENT_MEMBERS, object) && AMBIENT_MEMBERS[object]!.includes(property)) {
        report(node, `${object}.${property}`);
      }
    },
    VariableDeclarator(node) {
      const object = node.init === null || node.init === undefined ? null : nameOf(node.init);
      if (object === null || !Object.hasOwn(AMBIENT_MEMBERS, object) || node.id.type !== "ObjectPattern") return;
      for (const property of node.id.properties) {
        const name = property.type === "Property" ? nameOf(property.key) : null;
        if (name !== null && AMBIENT_MEMBERS[object]!.includes(name)) report(node, `${object}.${name}`);
      }
    },
    NewExpression(node) {
      if (nameOf(node.callee) === "Date" && node.arguments.length === 0) report(node, "new Date() without an argument");
    },
    CallExpression(node) {
      if (nameOf(node.callee) === "Date") report(node, "Date()");
    },
    ImportDeclaration(node) {
      if (!/^(node:)?(crypto|perf_hooks)$/.test(node.source.value)) return;
      for (const specifier of node.specifiers) {
        const name = specifier.type === "ImportSpecifier" ? nameOf(specifier.imported) : null;
        if (name !== null && AMBIENT_IMPORTS.includes(name)) report(node, name);
      }
    },
  };
}

function noDefaultExport(context: Deno.lint.RuleContext): Visitor {
  if (placeOf(context.filename).path === "") return {};
  const message = "Cannot export a default: give the thing one name that everybody uses";
  return {
    ExportDefaultDeclaration: (node) => context.report({ node, message }),
    ExportSpecifier(node) {
      if (nameOf(node.exported) === "default") context.report({ node, message });
    },
  };
}

function noBarrel(context: Deno.lint.RuleContext): Visitor {
  if (placeOf(context.filename).path === "") return {};
  const message = "Cannot export everything of another module: import things from where they are";
  return { ExportAllDeclaration: (node) => context.report({ node, message }) };
}

function noTopLevelArrow(context: Deno.lint.RuleContext): Visitor {
  if (placeOf(context.filename).path === "") return {};
  const message = "Cannot keep a function in a top-level const: write a function declaration";
  return {
    VariableDeclarator(node) {
      const above = node.parent.parent;
      const isTop = above.type === "Program" || (above.type === "ExportNamedDeclaration" && above.parent.type === "Program");
      if (isTop && isFunctionValue(node.init)) context.report({ node, message });
    },
  };
}

function fewPositionals(context: Deno.lint.RuleContext): Visitor {
  if (placeOf(context.filename).path === "") return {};
  return {
    FunctionDeclaration(node) {
      if (node.parent.type !== "ExportNamedDeclaration") return;
      const rest = node.params.slice(MAX_POSITIONALS) as Deno.lint.Node[];
      if (rest.length === 0 || (rest.length === 1 && isRecordParameter(rest[0]!))) return;
      const message = `Cannot export ${
        node.id?.name ?? "a function"
      } with more than three positional arguments: make the rest one record`;
      context.report({ node: rest[0]!, message });
    },
  };
}

function noContextSet(context: Deno.lint.RuleContext): Visitor {
  if (placeOf(context.filename).room !== "http") return {};
  const message = "Cannot carry data in Hono's context: pass it as an argument";
  return {
    CallExpression(node) {
      if (node.callee.type !== "MemberExpression" || propertyOf(node.callee) !== "set") return;
      if (["c", "ctx", "context"].includes(nameOf(node.callee.object) ?? "")) context.report({ node, message });
    },
  };
}

function noIterate(context: Deno.lint.RuleContext): Visitor {
  const place = placeOf(context.filename);
  if (place.path === "" || place.isTest) return {};
  const message =
    "Cannot iterate over a statement of node:sqlite: it ends quietly at an error in the middle, and at an integer " +
    "beyond 2^53; read pages with all(), which throws";
  return {
    MemberExpression(node) {
      if (propertyOf(node) === "iterate") context.report({ node, message });
    },
    VariableDeclarator(node) {
      if (node.id.type !== "ObjectPattern") return;
      for (const property of node.id.properties) {
        if (property.type === "Property" && nameOf(property.key) === "iterate") context.report({ node, message });
      }
    },
  };
}

function nameOf(node: Deno.lint.Node): string | null {
  return node.type === "Identifier" ? node.name : null;
}

function propertyOf(node: Deno.lint.MemberExpression): string | null {
  if (!node.computed) return nameOf(node.property);
  return node.property.type === "Literal" && typeof node.property.value === "string" ? node.property.value : null;
}

function isFunctionValue(node: Deno.lint.Node | null | undefined): boolean {
  if (node === null || node === undefined) return false;
  if (node.type === "TSAsExpression" || node.type === "TSSatisfiesExpression") return isFunctionValue(node.expression);
  return node.type === "ArrowFunctionExpression" || node.type === "FunctionExpression";
}

function isRecordParameter(node: Deno.lint.Node): boolean {
  if (node.type === "AssignmentPattern") return isRecordParameter(node.left) || node.right.type === "ObjectExpression";
  if (node.type === "ObjectPattern") return true;
  if (node.type !== "Identifier") return false;
  const kind = node.typeAnnotation?.typeAnnotation.type;
  return kind === "TSTypeReference" || kind === "TSTypeLiteral";
}

/** The only default export: Deno needs it. */
export default {
  name: "house",
  rules: {
    "floors": { create: floors },
    "pure-rooms": { create: pureRooms },
    "no-ambient": { create: noAmbient },
    "no-default-export": { create: noDefaultExport },
    "no-barrel": { create: noBarrel },
    "no-top-level-arrow": { create: noTopLevelArrow },
    "few-positionals": { create: fewPositionals },
    "no-context-set": { create: noContextSet },
    "no-iterate": { create: noIterate },
  },
} satisfies Deno.lint.Plugin;
