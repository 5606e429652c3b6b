/** The admin listener's errors: their statuses, and when they come. */
export const ADMIN_REFUSALS = {
  invalid_request_error: { status: 400, when: "The proxy cannot read a filter, a header or the body; the message names it." },
  authentication_error: { status: 401, when: "The admin token is missing or wrong." },
  permission_error: { status: 403, when: "The Host header names no host of the admin listener." },
  not_found_error: { status: 404, when: "There is nothing with this id." },
  method_not_allowed_error: { status: 405, when: "The path does not take this method." },
  conflict_error: { status: 409, when: "The proxy's state or settings do not allow this." },
  request_too_large: { status: 413, when: "The body is too large." },
  api_error: { status: 500, when: "The proxy failed; its log says why." },
  overloaded_error: { status: 503, when: "Too much work of this kind runs already; retry-after says when to ask again." },
  unavailable_error: { status: 503, when: "The database cannot be used; retry-after says when to ask again." },
} as const satisfies Record<string, { readonly status: number; readonly when: string }>;

export type AdminRefusalType = keyof typeof ADMIN_REFUSALS;

export const ADMIN_REFUSAL_TYPES = Object.keys(ADMIN_REFUSALS) as AdminRefusalType[];

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
  return Response.json({ error: { type, message } }, { status: ADMIN_REFUSALS[type].status, headers });
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
