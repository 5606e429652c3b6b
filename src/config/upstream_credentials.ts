import { createPrivateKey } from "node:crypto";
import { z } from "zod";
import type { UpstreamDefaults } from "../domain/provider.ts";
import type { AwsAuth, Credential, GoogleAuth, HeaderAuth } from "../domain/upstream.ts";
import { entryName, secretPath, secretText, weight } from "./credential_schema.ts";
import type { FileSecrets } from "./file_secrets.ts";
import { url } from "./setting_kinds.ts";
import { awsHostOf, BEDROCK_KEY, PAYMENTS } from "./upstream_dialects.ts";

/** Each schema's message is what stands after "as" in `Cannot read x as …`. */
const REGION = "a region of AWS such as us-east-1";
const SERVICE = "the name by which AWS signs for a service, such as bedrock or bedrock-mantle";
const PATH = "the path of a file";

export const region = z.string(REGION).regex(/^[a-z]{2,4}(-[a-z]+){1,3}-\d{1,2}$/, REGION).optional();
/** Only that of a vertex upstream may hold `{location}`. */
export const baseUrl = z.string("a URL").pipe(url).transform((text) => text.replaceAll("%7Blocation%7D", "{location}"));

const aws = z.strictObject({
  region,
  service: z.string(SERVICE).regex(/^[a-z][a-z0-9-]{0,63}$/, SERVICE).optional(),
  accessKeyId: secretText,
  accessKeyIdFile: secretPath,
  secretAccessKey: secretText,
  secretAccessKeyFile: secretPath,
  sessionToken: secretText,
  sessionTokenFile: secretPath,
}, '"machine", or an object with accessKeyId and secretAccessKey, or their files');
const google = z.strictObject(
  { serviceAccountFile: z.string(PATH).min(1, PATH) },
  '"machine", or an object with serviceAccountFile',
);

export const credentialEntry = z.strictObject({
  name: entryName,
  weight,
  baseUrl: baseUrl.optional(),
  key: secretText,
  keyFile: secretPath,
  aws: orMachine(aws).optional(),
  google: orMachine(google).optional(),
}, "an object with name, and with key, keyFile, aws or google");
export type CredentialEntry = z.infer<typeof credentialEntry>;

/** What a credential takes from its upstream. */
export interface CredentialOf {
  /** The credential's path in the file. */
  readonly at: string;
  readonly dialect: string;
  readonly defaults: UpstreamDefaults;
  readonly baseUrl: string | undefined;
  readonly region: string | undefined;
}

type Auth = Pick<Credential, "secret" | "auth">;

/** A credential by its entry. What is wrong with it becomes a problem of `secrets`. */
export function credentialOf(
  entry: CredentialEntry,
  { secrets, ...of }: CredentialOf & { readonly secrets: FileSecrets },
): Credential {
  const baseUrl = baseUrlOf(entry, { ...of, secrets });
  return { id: entry.name, weight: entry.weight, baseUrl, ...authOf(entry, { ...of, secrets, baseUrl }) };
}

function baseUrlOf(
  entry: CredentialEntry,
  { at, defaults, secrets, ...of }: CredentialOf & { readonly secrets: FileSecrets },
): string {
  const given = entry.baseUrl ?? of.baseUrl;
  if (given !== undefined) return given;
  const region = regionIn(entry) ?? of.region;
  if (region === undefined && defaults.baseUrl.includes("{region}")) {
    secrets.complain(at, "nothing says where its calls go: give the upstream a region or a baseUrl");
  }
  return defaults.baseUrl.replace("{region}", region ?? "unknown");
}

function regionIn({ aws }: CredentialEntry): string | undefined {
  return aws === undefined || aws === "machine" ? undefined : aws.region;
}

type AuthOf = Omit<CredentialOf, "baseUrl"> & { readonly baseUrl: string; readonly secrets: FileSecrets };

function authOf(entry: CredentialEntry, of: AuthOf): Auth {
  const { at, dialect, defaults, secrets } = of;
  const said = PAYMENTS.filter((way) => way === "key" ? (entry.key ?? entry.keyFile) !== undefined : entry[way] !== undefined);
  if (said.length !== 1) secrets.complain(at, `it needs one of ${listOf(defaults.pays)}, and no other way to pay`);
  else if (!defaults.pays.includes(said[0]!)) {
    secrets.complain(at, `${said[0]} does not pay at an upstream of the dialect ${dialect}: give it ${listOf(defaults.pays)}`);
  }
  if (entry.aws !== undefined) return awsAuth(entry.aws, of);
  if (entry.google !== undefined) return googleAuth(entry.google, of);
  return said.length === 0 ? { secret: "", auth: { kind: "header", header: "", value: "" } } : keyAuth(entry, of);
}

function keyAuth(entry: CredentialEntry, { at, defaults, baseUrl, secrets }: AuthOf): Auth {
  const isBedrock = awsHostOf(baseUrl)?.service?.isBedrock === true;
  const { keyHeader: { header, prefix }, keyVariable: variable } = isBedrock ? BEDROCK_KEY : defaults;
  const secret = secrets.required(entry, { at, key: "key", variable });
  return { secret, auth: { kind: "header", header, value: prefix + secret } satisfies HeaderAuth };
}

function awsAuth(aws: NonNullable<CredentialEntry["aws"]>, { at, baseUrl, secrets, ...of }: AuthOf): Auth {
  const own = aws === "machine" ? null : aws;
  const host = awsHostOf(baseUrl);
  const hostRegion = host?.region ?? undefined;
  const region = own?.region ?? of.region ?? hostRegion;
  if (region === undefined) secrets.complain(at, "nothing says which region it is for: give the upstream a region");
  else if (hostRegion !== undefined && region !== hostRegion) {
    secrets.complain(at, `its region is ${region}, and its baseUrl is in ${hostRegion}`);
  }
  const service = own?.service ?? host?.service?.service ?? "bedrock";
  const keys = own === null ? null : awsKeys(own, { at: `${at}.aws`, secrets });
  const auth: AwsAuth = { kind: "aws", region: region ?? "", service, keys };
  return { secret: keys?.secretAccessKey ?? "", auth };
}

function awsKeys(
  entry: z.infer<typeof aws>,
  { at, secrets }: { readonly at: string; readonly secrets: FileSecrets },
): NonNullable<AwsAuth["keys"]> {
  const accessKeyId = secrets.required(entry, { at, key: "accessKeyId", variable: "AWS_ACCESS_KEY_ID" });
  const secretAccessKey = secrets.required(entry, { at, key: "secretAccessKey", variable: "AWS_SECRET_ACCESS_KEY" });
  const sessionToken = secrets.optional(entry, { at, key: "sessionToken", variable: "AWS_SESSION_TOKEN" });
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
  if (accessKeyId !== "" && !/^A[A-Z0-9]{15,127}$/.test(accessKeyId)) {
    secrets.complain(at, "its accessKeyId is not one: one begins with AKIA or ASIA and has capital letters and digits only");
  } else if (accessKeyId.startsWith("ASIA") && entry.sessionToken === undefined && entry.sessionTokenFile === undefined) {
    secrets.complain(at, "its keys are temporary (ASIA…): they need their sessionToken");
  }
  return { accessKeyId, secretAccessKey, sessionToken };
}

function googleAuth(google: NonNullable<CredentialEntry["google"]>, { at, secrets }: AuthOf): Auth {
  const auth = (keyFile: string | null): GoogleAuth => ({ kind: "google", keyFile });
  if (google === "machine") return { secret: "", auth: auth(null) };
  const fileAt = `${at}.google.serviceAccountFile`;
  const text = secrets.text(fileAt, google.serviceAccountFile);
  const read = text === null ? null : serviceAccountIn(text);
  if (text !== null && read === null) {
    secrets.complainOfFile(fileAt, "it is not the JSON key of a service account, as Google Cloud makes it");
  }
  return { secret: read?.private_key ?? "", auth: auth(text ?? "") };
}

const serviceAccount = z.object({
  type: z.literal("service_account"),
  client_email: z.string().min(1),
  private_key: z.string().refine(isPrivateKey),
  token_uri: z.url({ protocol: /^https?$/ }).optional(),
});

function serviceAccountIn(text: string): z.infer<typeof serviceAccount> | null {
  try {
    return serviceAccount.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === "rsa";
  } catch {
    return false;
  }
}

/** A union's problems would hide which key of the object is wrong. */
function orMachine<T>(object: z.ZodType<T>): z.ZodType<T | "machine"> {
  return z.unknown().transform((value, context): T | "machine" => {
    if (value === "machine") return "machine";
    const read = object.safeParse(value, { reportInput: true });
    if (read.success) return read.data;
    for (const issue of read.error.issues) context.issues.push(issue as z.core.$ZodRawIssue);
    return z.NEVER;
  });
}

function listOf(pays: UpstreamDefaults["pays"]): string {
  return pays.flatMap((way) => way === "key" ? ["key", "keyFile"] : [way]).join(", ").replace(/, (\w+)$/, " or $1");
}
