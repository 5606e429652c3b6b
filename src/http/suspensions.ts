import { z } from "zod";
import type { Actor } from "../domain/audit.ts";
import type { Suspension, SuspensionAdmin, SuspensionScope } from "../domain/suspensions.ts";
import { filtersOf, ID_FILTER } from "./admin_filters.ts";
import { suspensionJson } from "./admin_json.ts";
import { AdminRefusal, readJsonBody, shown } from "./admin_refusal.ts";

const MAX_BODY_BYTES = 16 * 1024;
const MAX_REASON_LENGTH = 500;

const reasonShape = z.string().min(1).max(MAX_REASON_LENGTH).regex(/^\P{Cc}+$/u);
/** The body of a suspension. */
export const wantedSuspension = z.strictObject({ reason: reasonShape.nullable().default(null) });

export interface SuspensionDeps {
  readonly suspensions: SuspensionAdmin;
  readonly by: Actor;
}

/** The parts of the path; without a sandbox the scope is the whole workspace. */
export interface ScopeInPath {
  readonly workspace: string;
  readonly sandbox: string | null;
}

export const SUSPENSION_FILTERS = ["workspace_id"] as const;

/** `GET /internal/suspensions`: `{"suspensions": Suspension[]}`, by workspace and sandbox. */
export async function listSuspensions(request: Request, suspensions: SuspensionAdmin): Promise<Response> {
  const { workspace_id } = filtersOf(request.url, SUSPENSION_FILTERS);
  const all = await suspensions.list();
  const listed = all.filter(({ workspaceId }) => workspace_id === null || workspaceId === workspace_id);
  return Response.json({ suspensions: listed.map(suspensionJson) });
}

/** `PUT`, with an optional body `{reason?}`: the suspension. The first `createdAt` stays. */
export async function putSuspension(request: Request, path: ScopeInPath, deps: SuspensionDeps): Promise<Response> {
  filtersOf(request.url, []);
  return Response.json(suspensionJson(await suspended(await readJsonBody(request, MAX_BODY_BYTES, {}), path, deps)));
}

/** Suspends as the body says. Throws `AdminRefusal` 400. */
export async function suspended(body: unknown, path: ScopeInPath, { suspensions, by }: SuspensionDeps): Promise<Suspension> {
  const scope = scopeOf(path);
  const { data, error } = wantedSuspension.safeParse(body);
  if (data === undefined) throw new AdminRefusal("invalid_request_error", whyUnreadable(error.issues[0]!));
  return await suspensions.suspend({ ...scope, reason: data.reason }, by);
}

/** `DELETE`: the suspension that has ended, or 404. */
export async function deleteSuspension(
  request: Request,
  path: ScopeInPath,
  deps: SuspensionDeps,
): Promise<Response> {
  filtersOf(request.url, []);
  return Response.json(suspensionJson(await resumed(path, deps)));
}

/** The suspension that has ended. Throws `AdminRefusal` 404. */
export async function resumed(path: ScopeInPath, { suspensions, by }: SuspensionDeps): Promise<Suspension> {
  const scope = scopeOf(path);
  const ended = await suspensions.resume(scope, by);
  if (ended !== null) return ended;
  const { workspaceId, sandboxId } = scope;
  const what = sandboxId === null ? "The workspace" : `The sandbox ${shown(sandboxId)} of the workspace`;
  throw new AdminRefusal("not_found_error", `${what} ${shown(workspaceId)} is not suspended`);
}

function scopeOf({ workspace, sandbox }: ScopeInPath): SuspensionScope {
  return { workspaceId: idIn("workspace", workspace), sandboxId: sandbox === null ? null : idIn("sandbox", sandbox) };
}

function idIn(what: string, text: string): string {
  const { data } = ID_FILTER.schema.safeParse(text);
  if (data !== undefined) return data;
  throw new AdminRefusal(
    "invalid_request_error",
    `Cannot read the ${what} in the path as ${ID_FILTER.expects}: it is ${shown(text)}`,
  );
}

function whyUnreadable(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") return `Cannot read ${shown(issue.keys[0]!)} in the body: there is no such key`;
  if (issue.path[0] !== "reason") return "Cannot read the body as a JSON object with perhaps a reason";
  return `Cannot read reason as a text of 1 to ${MAX_REASON_LENGTH} characters without control characters`;
}
