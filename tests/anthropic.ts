/** The provider with which tests of every room speak; rooms themselves do not import it. */
export { anthropic } from "../src/providers/anthropic/anthropic.ts";
export { BILLINGS } from "../src/providers/billings.ts";
