import { z } from "zod";
import { FAULTS } from "../domain/fault.ts";
import { type FilterName, filterSchema } from "./admin_filters.ts";
import { ADMIN_REFUSALS, type AdminRefusalType } from "./admin_refusal.ts";
import type { AdminRoute, AnswerShape } from "./admin_route.ts";
import { refusalShape, SHAPES } from "./answer_shapes.ts";
import { ACTOR, ACTOR_HEADER } from "./audit.ts";
import { HEAD_MESSAGES, type HeadFault } from "./head_refusal.ts";

type Json = Readonly<Record<string, unknown>>;

/** What every route may refuse with. */
const COMMON: readonly AdminRefusalType[] = ["invalid_request_error", "api_error", "overloaded_error", "unavailable_error"];
const GUARDED: readonly AdminRefusalType[] = ["authentication_error", "permission_error"];

/** The OpenAPI 3.1 document of these routes (https://spec.openapis.org/oas/v3.1.1.html). */
export function openApiDocument(routes: readonly AdminRoute[], version: string): Json {
  const { schemas } = z.toJSONSchema(SHAPES, { uri: refOf });
  const paths = Map.groupBy(routes, ({ path }) => path.replaceAll(/:(\w+)/g, "{$1}"));
  return {
    openapi: "3.1.1",
    info: {
      title: "llmproxy admin API",
      version,
      description: "A path answers 404 and a method 405 if this document does not have it. HEAD answers as GET, without a body.",
    },
    security: [{ adminToken: [] }],
    paths: Object.fromEntries([...paths].map(([path, rows]) => {
      return [path, Object.fromEntries(rows.map((row) => [row.method.toLowerCase(), operationOf(row)]))];
    })),
    components: {
      securitySchemes: { adminToken: { type: "http", scheme: "bearer", description: "LLMPROXY_ADMIN_TOKEN" } },
      schemas: Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutKeys(schema)])),
    },
  };
}

function operationOf(route: AdminRoute): Json {
  const { method, path, does, filters, needs = [], body, isBodyOptional = false, isOpen } = route;
  const actor = { name: ACTOR_HEADER, in: "header", schema: { type: "string", pattern: ACTOR.source } };
  const parameters = [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ({ name, in: "path", required: true, schema: { type: "string" } })),
    ...(filters ?? []).map((name) => filterParameter(name, needs.includes(name))),
    ...(method === "GET" ? [] : [{ ...actor, description: "The user to name in the audit" }]),
  ];
  return {
    operationId: `${method.toLowerCase()}${path.replaceAll(/\W+(\w)/g, (_, first: string) => first.toUpperCase())}`,
    description: does,
    ...(isOpen ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: !isBodyOptional, content: { "application/json": { schema: inputOf(body) } } } }),
    responses: { ...refusalsOf(route), ...mapped(route.answers, answerOf) },
  };
}

/** A comma separates the values of a list. */
function filterParameter(name: FilterName, required: boolean): Json {
  const { expects, schema } = filterSchema(name);
  const after = withoutKeys(z.toJSONSchema(schema, { unrepresentable: "any" }));
  // What a filter becomes says more about it than its text, if JSON can say it.
  const shape = "type" in after ? after : inputOf(schema);
  const list = after.type === "array" ? { style: "form", explode: false } : {};
  return { name, in: "query", ...(required ? { required } : {}), description: expects, ...list, schema: shape };
}

function answerOf({ does, content, headers = {} }: AnswerShape): Json {
  return {
    description: does,
    ...(Object.keys(headers).length === 0 ? {} : { headers: mapped(headers, headerOf) }),
    ...(Object.keys(content).length === 0 ? {} : { content: mapped(content, mediaOf) }),
  };
}

function headerOf(description: string): Json {
  return { description, schema: { type: "string" } };
}

function mediaOf(shape: AnswerShape["content"][string]): Json {
  if (shape === "binary") return {};
  return { schema: shape === "text" ? { type: "string" } : { $ref: refOf(SHAPES.get(shape)!.id) } };
}

/** By status; several reasons may have the same. */
function refusalsOf({ isOpen, path, body, refusals = [] }: AdminRoute): Json {
  const heads = Object.keys(HEAD_MESSAGES) as HeadFault[];
  const ofPath: readonly AdminRefusalType[] = path.includes(":") ? ["not_found_error"] : [];
  const ofBody: readonly AdminRefusalType[] = body === undefined ? [] : ["request_too_large"];
  const types = isOpen ? [] : [...COMMON, ...GUARDED, ...ofPath, ...ofBody, ...refusals];
  const reasons = [
    ...types.map((type) => ({ status: ADMIN_REFUSALS[type].status, when: ADMIN_REFUSALS[type].when })),
    ...heads.filter((fault) => fault !== "path_unknown").map((fault) => ({
      status: FAULTS[fault].status,
      when: HEAD_MESSAGES[fault],
    })),
  ];
  return Object.fromEntries([...Map.groupBy(reasons, ({ status }) => status)].map(([status, all]) => {
    const content = { "application/json": { schema: { $ref: refOf(SHAPES.get(refusalShape)!.id) } } };
    return [status, { description: [...new Set(all.map(({ when }) => when))].join(" "), content }];
  }));
}

function mapped<T>(record: Readonly<Record<string, T>>, map: (value: T) => Json): Json {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

function inputOf(schema: z.ZodType): Json {
  return withoutKeys(z.toJSONSchema(schema, { io: "input" }));
}

function refOf(id: string): string {
  return `#/components/schemas/${id}`;
}

/** The document names the dialect and the places itself. */
function withoutKeys(schema: object): Json {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== "$schema" && key !== "$id"));
}
