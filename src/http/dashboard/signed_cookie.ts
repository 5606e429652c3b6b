import { createHmac } from "node:crypto";
import type { Context } from "hono";
import { getSignedCookie, setSignedCookie } from "hono/cookie";
import type { z } from "zod";

export interface SignedCookie<T> {
  readonly name: string;
  /** The cookie goes to this path and below. */
  readonly path: string;
  readonly shape: z.ZodType<T>;
}

/** A key for one use of a secret, so that what is signed for one is not taken for another. */
export function signingKey(use: string, secret: string): string {
  return createHmac("sha256", secret).update(`llmproxy dashboard ${use}`).digest("hex");
}

/** Other sites' forms and scripts do not send it, and no script reads it. */
export async function writeSigned<T>(
  context: Context,
  { name, path }: SignedCookie<T>,
  { value, key, isSecure, seconds }: {
    readonly value: T;
    readonly key: string;
    readonly isSecure: boolean;
    readonly seconds: number;
  },
): Promise<void> {
  const options = { path, httpOnly: true, sameSite: "Lax", secure: isSecure, maxAge: seconds } as const;
  await setSignedCookie(context, name, JSON.stringify(value), key, options);
}

/** Null if the request has no such cookie, or if another key has signed it. */
export async function readSigned<T>(context: Context, { name, shape }: SignedCookie<T>, key: string): Promise<T | null> {
  const text = await getSignedCookie(context, key, name);
  return shape.safeParse(typeof text === "string" ? parsed(text) : null).data ?? null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
