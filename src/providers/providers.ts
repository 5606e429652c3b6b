/**
 * The dialects that the proxy speaks, by the name that rows and the settings have for them: a new one
 * is one folder beside this file and one line in it. It is read as `import * as providers`.
 */
export { anthropic } from "./anthropic/anthropic.ts";
