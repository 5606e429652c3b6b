/** The upstream's only credential, of which every call may be sent at once. */
import type { Credential, Credentials } from "../src/domain/upstream.ts";

export function onlyCredential(key: string, over: Partial<Credentials> = {}): Credentials {
  const credential = credentialOf("key-1", { secret: key });
  return {
    forCall: () => Promise.resolve(credential),
    ofWorkspace: () => credential,
    has: () => true,
    holding: () => credential,
    answered: () => {},
    refused: () => Promise.resolve(false),
    unsent: () => {},
    outOfCredit: () => {},
    ...over,
  };
}

export function credentialOf(id: string, over: Partial<Credential> = {}): Credential {
  const secret = over.secret ?? `sk-ant-secret-of-${id}-0123456789`;
  const auth = { kind: "header", header: "x-api-key", value: secret } as const;
  return { auth, secret, id, weight: 1, baseUrl: "https://upstream.test", ...over };
}
