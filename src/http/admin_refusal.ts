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
  return value.length <= MAX_SHOWN ? JSON.stringify(value) : `${JSON.stringify(value.slice(0, MAX_SHOWN))}…`;
}
