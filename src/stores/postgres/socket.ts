import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { TlsFailed } from "./errors.ts";
import type { Tls } from "./url.ts";

/** Where to connect, and how the connection is encrypted. */
export interface SocketTarget {
  readonly place: { readonly host: string; readonly port: number } | { readonly path: string };
  /** The name that a certificate must bear. */
  readonly name: string;
  /** Null: not encrypted. */
  readonly tls: { readonly isRequired: boolean; readonly options: ConnectionOptions } | null;
}

/** Throws if the root certificate cannot be read. */
export function encryptionOf(tls: Tls): SocketTarget["tls"] {
  switch (tls.mode) {
    case "disable":
      return null;
    case "prefer":
    case "require":
      return { isRequired: tls.mode === "require", options: { rejectUnauthorized: false } };
    case "verify-ca":
      return { isRequired: true, options: { ca: Deno.readTextFileSync(tls.rootCertPath), checkServerIdentity: () => undefined } };
    case "verify-full":
      return { isRequired: true, options: tls.rootCertPath === null ? {} : { ca: Deno.readTextFileSync(tls.rootCertPath) } };
  }
}

/** https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest) */
const SSL_REQUEST = new Uint8Array([0, 0, 0, 8, 4, 210, 22, 47]);
const YES = "S".charCodeAt(0);

/** Opens a socket. Rejects with the system's error or the signal's reason; then none is open. */
export async function openSocket(target: SocketTarget, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  const plain = connectTcp({ ...target.place, noDelay: true });
  const abort = () => plain.destroy(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await happened(plain, "connect");
    if (target.tls === null) return plain;
    plain.write(SSL_REQUEST);
    const answer = await happened<Uint8Array>(plain, "data");
    // More than one byte was injected in plain text by an attacker (CVE-2021-23222).
    if (answer.length !== 1) throw new TlsFailed("The database's answer to the request for TLS is not one byte");
    if (answer[0] === YES) return await encrypted(plain, target.name, target.tls.options);
    if (target.tls.isRequired) throw new TlsFailed("The database does not offer TLS, and sslmode asks for it");
    return plain;
  } catch (error) {
    plain.destroy();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

async function encrypted(plain: Socket, name: string, options: ConnectionOptions): Promise<Socket> {
  const socket = connectTls({ socket: plain, ...(isIP(name) === 0 && { servername: name }), ...options });
  try {
    await happened(socket, "secureConnect");
    return socket;
  } catch (cause) {
    throw new TlsFailed(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** The first event of that name. Rejects if the socket fails or closes before. */
function happened<T>(socket: Socket, event: string): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const closed = () => reject(new Error("The database has closed the connection"));
  socket.once(event, resolve);
  socket.once("error", reject);
  socket.once("close", closed);
  return promise.finally(() => {
    socket.off(event, resolve);
    socket.off("error", reject);
    socket.off("close", closed);
  });
}
