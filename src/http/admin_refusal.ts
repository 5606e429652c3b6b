/** The admin listener's errors and their statuses. */
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

/** A message shows so many characters of a value that a client sent. */
const MAX_SHOWN = 100;

/** Thrown by the admin routes. `message` is for the operator. */
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

/** JSON does not escape DEL, C1 controls and characters that change the direction of text. */
function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/**
 * The body as JSON, or `ifEmpty` if it is empty. Throws `AdminRefusal` if it is longer than
 * `maxBytes` or invalid.
 */
export async function readJsonBody(request: Request, maxBytes: number, ifEmpty?: unknown): Promise<unknown> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) throw new AdminRefusal("request_too_large", `Cannot read a body of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  if (length === 0 && ifEmpty !== undefined) return ifEmpty;
  try {
    const bytes = await new Blob(chunks).arrayBuffer();
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new AdminRefusal("invalid_request_error", "Cannot read the body as JSON");
  }
}
