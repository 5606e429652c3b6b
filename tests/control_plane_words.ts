/**
 * Answers to a lookup, as seen or as documented: from control planes, and from what stands in
 * front of them.
 */
import type { AgentserverScript } from "./fake_agentserver.ts";

const JSON_TYPE = { "content-type": "application/json" };
const PLAIN = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };
const HTML = { "content-type": "text/html; charset=utf-8" };
const ROUTE = "/internal/validate-proxy-token";
const page = (title: string) => `<html>\r\n<head><title>${title}</title></head>\r\n<body><h1>${title}</h1></body>\r\n</html>\r\n`;

function answer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): AgentserverScript {
  return { kind: "answer", status, body, headers };
}

/** The control plane's own word that it knows no such token. */
export const NO_SUCH_TOKEN: Readonly<Record<string, AgentserverScript>> = {
  "agentserver's 401": answer(401, "invalid token\n", PLAIN),
  "a 401 without a word": answer(401, ""),
  "a 401 in JSON": answer(401, '{"error":"unauthorized"}', JSON_TYPE),
  "a 404 in JSON that names the token": answer(404, '{"error":"unknown token"}', JSON_TYPE),
  "a 404 with a message": answer(404, '{"error":{"type":"not_found","message":"Proxy token not found"}}', JSON_TYPE),
  "a 404 in a sentence": answer(404, '{"error":"The proxy token was not found."}', JSON_TYPE),
  "a 404 with a code": answer(404, '{"error":{"code":"token_not_found"}}', JSON_TYPE),
};

/**
 * No word about a token: what an ingress, a gate or another server says while the control plane
 * is not there.
 */
export const NOBODYS_WORD: Readonly<Record<string, AgentserverScript>> = {
  "Traefik's and Go's 404": answer(404, "404 page not found\n", PLAIN),
  "the 404 of ingress-nginx": answer(404, "default backend - 404", PLAIN),
  "nginx's 404": answer(404, page("404 Not Found"), HTML),
  "Envoy's 404": answer(404, ""),
  "Kong's 404": answer(404, '{"message":"no Route matched with those values"}', JSON_TYPE),
  "Express' 404": answer(404, `<pre>Cannot POST ${ROUTE}</pre>`, HTML),
  "NestJS' 404": answer(404, `{"message":"Cannot POST ${ROUTE}","error":"Not Found","statusCode":404}`, JSON_TYPE),
  "Spring's 404": answer(404, `{"status":404,"error":"Not Found","path":"${ROUTE}"}`, JSON_TYPE),
  "a 404 whose error is the route": answer(404, `{"error":"no route for ${ROUTE}"}`, JSON_TYPE),
  "a 404 that repeats a URL with the word": answer(404, `{"error":"no route for POST /token-service${ROUTE}"}`, JSON_TYPE),
  "a 404 that repeats a coded URL": answer(404, '{"error":"unknown token%2Dservice"}', JSON_TYPE),
  "a 404 about another token": answer(404, '{"error":"missing CSRF token"}', JSON_TYPE),
  "a 404 about a bucket": answer(404, '{"error":"backend not found for token bucket service"}', JSON_TYPE),
  "FastAPI's 404": answer(404, '{"detail":"Not Found"}', JSON_TYPE),
  "a 404 of S3": answer(404, "<Error><Code>NoSuchKey</Code><Message>token</Message></Error>", {
    "content-type": "application/xml",
  }),
  "a 404 that is a list": answer(404, '["unknown token"]', JSON_TYPE),
  "a 404 in words": answer(404, "unknown token", PLAIN),
  "nginx' password": answer(401, page("401 Authorization Required"), { ...HTML, "www-authenticate": 'Basic realm="x"' }),
  "Traefik's password": answer(401, "401 Unauthorized\n", { ...PLAIN, "www-authenticate": 'Basic realm="traefik"' }),
  "Istio's login": answer(401, "Jwt is missing", { ...PLAIN, "www-authenticate": 'Bearer realm="http://x/"' }),
  "a load balancer's login page": answer(401, page("401 Authorization Required"), HTML),
  "a login page without a type": answer(401, "\n<!DOCTYPE html><html></html>"),
  "oauth2-proxy's login page": answer(403, page("Sign in"), HTML),
  "a firewall's 403": answer(403, '{"error":"token"}', JSON_TYPE),
  "a redirect to a login": { kind: "redirect", location: "/oauth2/start?rd=%2F" },
  "an application's page for everything": answer(200, page("App"), HTML),
  "another server's 200": answer(200, '{"status":"ok"}', JSON_TYPE),
  "a 200 whose status is no text": answer(200, '{"sandbox_id":"s","workspace_id":"w","status":1}', JSON_TYPE),
  "Cloudflare's 523": answer(523, "error code: 523", PLAIN),
};
