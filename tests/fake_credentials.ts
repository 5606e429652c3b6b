/** The upstream's only credential, of which every call may be sent at once. */
import type { Credential } from "../src/domain/provider.ts";
import type { Credentials } from "../src/domain/upstream.ts";

export function onlyCredential(key: string, over: Partial<Credentials> = {}): Credentials {
  const credential = credentialOf("key-1", { value: key, secret: key });
  return {
    forCall: () => Promise.resolve(credential),
    ofWorkspace: () => credential,
    holding: () => credential,
    answered: () => {},
    refused: () => Promise.resolve(false),
    unsent: () => {},
    outOfCredit: () => {},
    ...over,
  };
}

export function credentialOf(id: string, over: Partial<Credential> = {}): Credential {
  const secret = `sk-ant-secret-of-${id}-0123456789`;
  return { header: "x-api-key", value: secret, secret, id, weight: 1, baseUrl: "https://upstream.test", ...over };
}
