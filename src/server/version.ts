/** Held to deno.json by tests/house_test.ts. */
export const VERSION = "0.1.0";
