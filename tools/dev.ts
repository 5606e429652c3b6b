/**
 * `deno task dev`: the real proxy with nothing configured. It is development code and not part of
 * the executable.
 */
import { startLocalProxy } from "./local_proxy.ts";

const proxy = await startLocalProxy();
const token = await proxy.makeToken("dev", "dev-sandbox");

console.log(`
llmproxy is running. Ctrl-C ends it.

  proxy     ${proxy.url}
  admin     ${proxy.adminUrl}  (token in ${proxy.dataDir}/admin-token)
  upstream  ${proxy.upstream === "simulated" ? "simulated: set ANTHROPIC_API_KEY for the real one" : proxy.upstream}
  token     ${token}

Stream an answer:

  curl -N ${proxy.url}/v1/messages -H 'x-api-key: ${token}' -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' -H 'x-trace-id: first-call' -d '{"model":"claude-haiku-4-5","max_tokens":200,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'

See its usage row:

  curl -s ${proxy.adminUrl}/internal/traces/first-call -H 'authorization: Bearer ${proxy.adminToken}'

Point Claude Code at it:

  export ANTHROPIC_BASE_URL=${proxy.url}
  export ANTHROPIC_API_KEY=${token}
`);
