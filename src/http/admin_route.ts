import type { z } from "zod";
import type { Actor, AuditedChange, AuditRecords } from "../domain/audit.ts";
import type { NewId } from "../domain/ids.ts";
import type { ImportRows } from "../domain/imported_rows.ts";
import type { LimitAdmin } from "../domain/limits.ts";
import type { Observe } from "../domain/observe.ts";
import type {
  BackUp,
  ExportUsage,
  PricesInForce,
  Readiness,
  Reprice,
  Reship,
  Sample,
  UpstreamInForce,
} from "../domain/operations.ts";
import type { RunningCallAdmin } from "../domain/running_call.ts";
import type { OpenIdSignIn } from "../domain/sign_in.ts";
import type { SuspensionAdmin } from "../domain/suspensions.ts";
import type { TokenAdmin } from "../domain/tokens.ts";
import type { FilterName } from "./admin_filters.ts";
import type { AdminRefusalType } from "./admin_refusal.ts";
import type { InternalDeps } from "./admin_usage.ts";

export interface AdminDeps extends InternalDeps {
  readonly tokens: TokenAdmin;
  readonly limits: LimitAdmin;
  readonly requests: RunningCallAdmin;
  readonly suspensions: SuspensionAdmin;
  readonly audit: Pick<AuditRecords, "listAudit">;
  /** Records a change that is no row of the database. Never rejects; a failure is logged. */
  readonly recordChange: (change: AuditedChange, by: Actor) => Promise<void>;
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
  /** The same without histograms, as values. */
  readonly samples: () => Promise<readonly Sample[]>;
  readonly upstreams: () => readonly UpstreamInForce[];
  /** Of today. */
  readonly prices: () => PricesInForce;
  /**
   * Called for each request, because it can be rotated. If it is empty, every request is refused.
   */
  readonly adminToken: () => string;
  /** What may look and change nothing; null: there is no viewer. Called like `adminToken`. */
  readonly viewerToken: () => string | null;
  /** Signs people in to the dashboard; null: only tokens do. */
  readonly oidc: OpenIdSignIn | null;
  /** Operators reach the dashboard by https only. */
  readonly isSecure: boolean;
  readonly newId: NewId;
  /** Host names of the listener, besides addresses and localhost. */
  readonly adminHosts: () => readonly string[];
  readonly readiness: () => Readiness;
  /** Aborts when the proxy begins to drain. */
  readonly draining: AbortSignal;
  readonly reship: Reship;
  readonly reprice: Reprice;
  readonly exportUsage: ExportUsage;
  readonly backUp: BackUp;
  readonly importRows: ImportRows;
  readonly observe: Pick<Observe, "note">;
  /** The program's. */
  readonly version: string;
}

export interface Asked {
  readonly request: Request;
  /** A parameter of the path; `id` if no name is given. Throws `AdminRefusal` for NUL. */
  readonly param: (name?: string) => string;
  readonly by: Actor;
  readonly deps: AdminDeps;
}

/** An answer that is no refusal. */
export interface AnswerShape {
  readonly does: string;
  /**
   * By content type. JSON has a schema of `answer_shapes.ts`; anything else is `text` or
   * `binary`.
   */
  readonly content: Readonly<Record<string, z.ZodType | "text" | "binary">>;
  /** Names and meanings of its own headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** One route of the admin API. The router and the OpenAPI document are made from it. */
export interface AdminRoute {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** As Hono writes it. */
  readonly path: string;
  /** One sentence or two, for the document. */
  readonly does: string;
  /** The filters of its query; null if it ignores its query. Its answer refuses all others. */
  readonly filters: readonly FilterName[] | null;
  /** Those of the filters that it needs. */
  readonly needs?: readonly FilterName[];
  /** JSON that it reads. */
  readonly body?: z.ZodType;
  /** It reads no body too. */
  readonly isBodyOptional?: true;
  /** By status. */
  readonly answers: Readonly<Record<number, AnswerShape>>;
  /** Besides those that every route has. */
  readonly refusals?: readonly AdminRefusalType[];
  /** It answers anyone, without the admin token. */
  readonly isOpen?: true;
  readonly answer: (asked: Asked) => Response | Promise<Response>;
}

export const NO_CONTENT: AnswerShape = { does: "It is done", content: {} };

/** An answer in JSON, by its schema. */
export function inJson(does: string, shape: z.ZodType): AnswerShape {
  return { does, content: { "application/json": shape } };
}
