import type { UpstreamAsked, UpstreamConfig } from "../domain/upstream.ts";

/**
 * Whether the settings of an upstream let the workspace ask for the model. Calls of some kinds name
 * none (null). One that should and does not (empty) leaves the choice to the upstream, so only a
 * pattern for all lets it pass. A pattern is a model's name with `*` for any characters. An ARN can
 * name another account, so only a pattern that begins as one lets it pass.
 */
export function mayAskFor(
  { workspaceId, model }: Pick<UpstreamAsked, "workspaceId" | "model">,
  { models, workspaces }: Pick<UpstreamConfig, "models" | "workspaces">,
): boolean {
  if (workspaces !== null && !workspaces.includes(workspaceId)) return false;
  if (model === null) return true;
  const isArn = model.startsWith("arn:");
  return models.some((pattern) => (!isArn || pattern.startsWith("arn:")) && fits(pattern, model));
}

function fits(pattern: string, model: string): boolean {
  if (!pattern.includes("*")) return pattern === model;
  const [first = "", ...rest] = pattern.split("*");
  if (!model.startsWith(first)) return false;
  const last = rest.pop()!;
  let from = first.length;
  for (const part of rest) {
    const at = model.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return model.length - last.length >= from && model.endsWith(last);
}
