import { AdminRefusal } from "./admin_refusal.ts";

/** The body as JSON. Throws `AdminRefusal` where it is longer than `maxBytes`, or no JSON. */
export async function readJsonBody(request: Request, maxBytes: number): Promise<unknown> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) throw new AdminRefusal("request_too_large", `Cannot read a body of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  try {
    const bytes = await new Blob(chunks).arrayBuffer();
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new AdminRefusal("invalid_request_error", "Cannot read the body as JSON");
  }
}
