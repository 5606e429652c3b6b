/** A file of upstream credentials, and a fake upstream that treats each key as it is told. */
import { defaultAnswer, failing, type Script, type SeenCall } from "./fake_answers.ts";
import type { FakeUpstream } from "./fake_upstream.ts";

export interface KeysFile extends AsyncDisposable {
  readonly path: string;
  /** Settings that make a proxy use the file. */
  readonly env: Readonly<Record<string, string>>;
  /** Writes credentials of these names, or the text as it is. */
  write(content: readonly string[] | string, over?: Readonly<Record<string, unknown>>): Promise<void>;
}

/** All keys that `keyOf` can make begin so. */
export const KEY_STEM = "sk-ant-api03-of-the-file-";

export function keyOf(name: string): string {
  return `${KEY_STEM}${name}-0123456789abcdef`;
}

export async function keysFile(...names: readonly string[]): Promise<KeysFile> {
  const path = await Deno.makeTempFile({ prefix: "llmproxy-keys-", suffix: ".json" });
  const file: KeysFile = {
    path,
    env: { ANTHROPIC_API_KEY: "", ANTHROPIC_API_KEYS_FILE: path },
    write: (content, over = {}) => {
      const entries = typeof content === "string" ? content : content.map((name) => ({ name, key: keyOf(name), ...over }));
      return Deno.writeTextFile(path, typeof entries === "string" ? entries : JSON.stringify(entries));
    },
    [Symbol.asyncDispose]: () => Deno.remove(path),
  };
  await file.write(names);
  return file;
}

/** The name of the credential that a call came with; null if `keyOf` did not make its key. */
export function nameIn(call: SeenCall): string | null {
  const key = call.header("x-api-key") ?? "";
  const name = key.slice(KEY_STEM.length).replace(/-0123456789abcdef$/, "");
  return keyOf(name) === key ? name : null;
}

/** From now on the upstream answers these keys so, and all others as usual. */
export function treat(
  upstream: FakeUpstream,
  how: Readonly<Record<string, (call: SeenCall) => Script>>,
  otherwise: (call: SeenCall) => Script = defaultAnswer,
): void {
  upstream.answer((call) => (how[nameIn(call) ?? ""] ?? otherwise)(call));
}

export const refusing = failing(401, { message: "invalid x-api-key" });
export const WITHOUT_CREDIT =
  "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";
