/** What a path asks for: `/model/ID/invoke` or `/model/ID/invoke-with-response-stream`. */
export interface Invocation {
  /** Decoded; empty if the path names none. */
  readonly model: string;
  readonly isStreamed: boolean;
}

const INVOCATION = /^\/model\/([^/?]+)\/invoke(-with-response-stream)?(?:\?|$)/;

export function invocationOf(target: string): Invocation {
  const [, id, stream] = INVOCATION.exec(target) ?? [];
  return { model: decoded(id ?? ""), isStreamed: stream !== undefined };
}

/** A geographic inference profile, such as `eu.anthropic.claude-opus-5-5`, or the global one. */
const PROFILE = /^([a-z][a-z-]*)\.anthropic\./;

/**
 * Where the model may run, which decides the price: `us`, `eu`, `jp`, `au`, `apac`, `global`, as
 * the profile's name begins; `regional` for a model itself. Null: the name does not tell, as that
 * of an application's inference profile.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/cross-region-inference.html
 */
export function geoOf(model: string): string | null {
  const { id } = resourceOf(model);
  return id.startsWith("anthropic.") ? "regional" : PROFILE.exec(id)?.[1] ?? null;
}

/** False if the name is another company's, or not one of Bedrock's. */
export function mayBeAnthropics(model: string): boolean {
  const { kind, id } = resourceOf(model);
  const isNamed = kind === null || ["foundation-model", "inference-profile"].includes(kind);
  return !isNamed || /^(?:[a-z-]+\.)?anthropic\./.test(id);
}

/** The parts of an ARN that tell the model; another name has no kind. */
function resourceOf(model: string): { readonly kind: string | null; readonly id: string } {
  const [, kind, id] = /^arn:[^:]*:bedrock:[^/]*:([a-z-]+)\/(.+)$/.exec(model) ?? [];
  return { kind: kind ?? null, id: id ?? model };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
