import { z } from "zod";
import { count, usd } from "./figures.ts";

/** What tables show of an ended call, as the admin API writes it. */
export const callShape = z.looseObject({
  ...{ id: z.string(), createdAt: z.string(), workspaceId: z.string(), sandboxId: z.string(), model: z.string() },
  ...{ outcome: z.string(), accuracy: z.string(), duration: z.number(), ttft: z.number() },
  ...{ inputTokens: count, outputTokens: count, cacheReadInputTokens: count },
  costUsd: usd.optional(),
  status: z.number().optional(),
  errorType: z.string().optional(),
  traceId: z.string().optional(),
  upstream: z.string().optional(),
  agentId: z.string().optional(),
  requestClass: z.string().optional(),
});
export type ShownCall = z.output<typeof callShape>;

/** `completed`, or how it failed and why: `upstream_error 529 overloaded_error`. */
export function outcomeCell({ outcome, status, errorType }: ShownCall): string {
  if (outcome === "completed") return outcome;
  const known = [status !== undefined && status !== 200 ? String(status) : undefined, errorType];
  return [outcome, ...known.filter((word) => word !== undefined)].join(" ");
}
