/** The dialect with which tests of every room speak; rooms themselves do not import it. */
export { anthropic } from "../src/providers/anthropic/anthropic.ts";
export { messages } from "../src/providers/anthropic/messages.ts";
export { CLIENTS } from "../src/providers/clients.ts";
export { BILLINGS } from "../src/providers/billings.ts";
