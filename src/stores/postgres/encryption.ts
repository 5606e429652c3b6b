import type { SocketTarget } from "./socket.ts";
import type { Tls } from "./url.ts";

/** Throws where the root certificate cannot be read. */
export function encryptionOf(tls: Tls): SocketTarget["tls"] {
  switch (tls.mode) {
    case "disable":
      return null;
    case "prefer":
      return { isNeeded: false, options: { rejectUnauthorized: false } };
    case "require":
      return { isNeeded: true, options: { rejectUnauthorized: false } };
    case "verify-ca":
      return { isNeeded: true, options: { ca: Deno.readTextFileSync(tls.rootCertPath), checkServerIdentity: () => undefined } };
    case "verify-full":
      return { isNeeded: true, options: tls.rootCertPath === null ? {} : { ca: Deno.readTextFileSync(tls.rootCertPath) } };
  }
}
