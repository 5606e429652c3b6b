/** What the admin listener says no with. */
const ADMIN_REFUSALS = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  method_not_allowed_error: 405,
  conflict_error: 409,
  request_too_large: 413,
  api_error: 500,
  overloaded_error: 503,
  unavailable_error: 503,
} as const satisfies Record<string, number>;

export type AdminRefusalType = keyof typeof ADMIN_REFUSALS;

/** The most that is shown of a value that somebody sent, in characters. */
const MAX_SHOWN = 100;

/** Thrown by the admin routes. `message` is for the operator who asked. */
export class AdminRefusal extends Error {
  override readonly name = "AdminRefusal";
  readonly type: AdminRefusalType;
  readonly headers: Readonly<Record<string, string>>;

  constructor(type: AdminRefusalType, message: string, options: { readonly headers?: Readonly<Record<string, string>> } = {}) {
    super(message);
    this.type = type;
    this.headers = options.headers ?? {};
  }
}

/** `{"error":{"type","message"}}`. */
export function adminRefusalResponse({ type, message, headers }: AdminRefusal): Response {
  return Response.json({ error: { type, message } }, { status: ADMIN_REFUSALS[type], headers });
}

/** A value as a message may show it: cut, in quotes, with control characters escaped. */
export function shown(value: string): string {
  const quoted = JSON.stringify(value.slice(0, MAX_SHOWN)).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
  return value.length <= MAX_SHOWN ? quoted : `${quoted}…`;
}

/** JSON leaves DEL, the C1 controls and what changes the direction of text as they are. */
function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
