import type { Person, Role } from "../domain/sign_in.ts";

/** Whom an entry of a setting means. */
export type PeopleRule =
  | { readonly email: string }
  | { readonly emailDomain: string }
  | { readonly claim: string; readonly value: string };

/** The people who may come in, by what they may do. */
export type People = Readonly<Record<Role, readonly PeopleRule[]>>;

/** Claims of one document about a person: an ID token, or what the userinfo endpoint answers. */
export type Claims = Readonly<Record<string, unknown>>;

/** Visible ASCII: no other letter becomes one of these in lower case, as the Kelvin sign would. */
const EMAIL = /^[\x21-\x7e]+@[A-Za-z0-9.-]+$/;
/** At most 255 ASCII characters (OpenID Connect Core 1.0, 2). */
const SUBJECT = /^[\x20-\x7e]{1,255}$/;

/** An address, `*@domain` or `claim=value`; null for anything that could mean more than it says. */
export function peopleRuleOf(entry: string): PeopleRule | null {
  const [, claim, value] = /^([^=]+)=(.+)$/.exec(entry) ?? [];
  // The claim of an address says nothing of whether the provider has verified it.
  if (claim !== undefined) return claim === "email" || value === undefined ? null : { claim, value };
  if (!EMAIL.test(entry)) return null;
  const text = entry.toLowerCase();
  return text.startsWith("*@") ? { emailDomain: text.slice(2) } : text.includes("*") ? null : { email: text };
}

/** Who the documents are about, and what that person may do. Null if their id cannot be shown. */
export function personOf(documents: readonly Claims[], people: People): Person | null {
  const subject = documents[0]?.sub;
  if (typeof subject !== "string" || !SUBJECT.test(subject)) return null;
  const isOneOf = (rules: readonly PeopleRule[]) => documents.some((claims) => rules.some((rule) => matches(rule, claims)));
  const name = documents.map(verifiedEmail).find((email) => email !== null) ?? subject;
  return { name, role: isOneOf(people.admin) ? "admin" : isOneOf(people.viewer) ? "viewer" : null };
}

function matches(rule: PeopleRule, claims: Claims): boolean {
  if ("claim" in rule) {
    const values = Object.hasOwn(claims, rule.claim) ? [claims[rule.claim]].flat() : [];
    return values.some((value) => value !== null && typeof value !== "object" && String(value) === rule.value);
  }
  const email = verifiedEmail(claims);
  return email !== null && ("email" in rule ? email === rule.email : email.endsWith(`@${rule.emailDomain}`));
}

/** In lower case. Some providers write the boolean as a text. */
function verifiedEmail({ email, email_verified: isVerified }: Claims): string | null {
  if (typeof email !== "string" || !EMAIL.test(email) || email.length > 255) return null;
  return isVerified === true || isVerified === "true" ? email.toLowerCase() : null;
}
