import assert from "node:assert/strict";
import { problemsOf } from "../../tests/config_source.ts";
import type { SettingName } from "./settings.ts";

const KEY = "sk-ant-api03-secret-key";

const UNREADABLE: readonly (readonly [SettingName, readonly string[]])[] = [
  ["LLMPROXY_LISTEN_ADDR", ["8081", ":", ":65536", "host", "a b:1", "::1:80", "[zz]:80", "http://x:80"]],
  ["LLMPROXY_ADMIN_ADDR", ["Same", "off", ":x", ":8081", "127.0.0.1:8081"]],
  ["LLMPROXY_WORKERS", ["0", "65", "-1", "1.5", "all", "AUTO"]],
  ["LLMPROXY_INFER_SESSION_HOURS", ["-1", "half", "8761", "1.5"]],
  ["LLMPROXY_ADMIN_HOSTS", ["a b", "http://x", "a/b"]],
  ["ANTHROPIC_BASE_URL", [
    "api.anthropic.com",
    "ftp://x",
    "https://u:p@x",
    "https://x/?a=1",
    "https://x/#a",
    "https://x?",
    " https://x",
  ]],
  ["LLMPROXY_AGENTSERVER_URL", ["x", "http://u@x/", "http://x/?q"]],
  ["LLMPROXY_CLIENT_IP_HEADER", ["x ip", "Authorization", "content-type", "Accept", "anthropic-beta", "User-Agent"]],
  ["LLMPROXY_TRACE_HEADER", ["x trace", "x:", "Authorization", "X-Api-Key", "cookie", "ü"]],
  ["LLMPROXY_ALLOW_PATHS", ["/v2/x", "v1/files", "/v1/../x", "/v1//x", "/v1/%2e", "/v1/x?y", "/v1/files,/x"]],
  ["LLMPROXY_CA_FILE", ["/nowhere", "/no_pem"]],
  ["LLMPROXY_AGENTSERVER_TIMEOUT_SECONDS", ["0", "-1", "1.5", "1e3", "5s", "86401", " 5"]],
  ["LLMPROXY_AGENTSERVER_GRACE_SECONDS", ["-1", "never"]],
  ["LLMPROXY_UPSTREAM_IDLE_SECONDS", ["0", "x"]],
  ["LLMPROXY_BODY_SECONDS", ["0"]],
  ["LLMPROXY_HEAD_SECONDS", ["0", "many"]],
  ["LLMPROXY_KEEP_ALIVE_SECONDS", ["0", "many"]],
  ["LLMPROXY_CLIENT_STALL_SECONDS", ["0", "many"]],
  ["LLMPROXY_MAX_CONNECTIONS", ["0", "many"]],
  ["LLMPROXY_BROKEN_STREAM", ["0", "many"]],
  ["LLMPROXY_BODY_BUDGET_MB", ["31", "64 MB"]],
  ["LLMPROXY_BODY_BUDGET_PER_SANDBOX_MB", ["31", "513"]],
  ["LLMPROXY_DRAIN_LEAD_SECONDS", ["-5", "five"]],
  ["LLMPROXY_LEDGER_SYNC", ["FULL", "off"]],
  ["LLMPROXY_DEFAULT_MAX_RPD", ["many", "-1", "1.5"]],
  ["LLMPROXY_RESERVE", ["most", "MAX"]],
  ["LLMPROXY_UNPRICED", ["yes"]],
  ["LLMPROXY_QUEUE_SECONDS", ["-1", "long"]],
  ["LLMPROXY_TRACE_COST_PER_HOUR", ["-1", "five", "$5"]],
  ["LLMPROXY_WARN_PERCENT", ["0", "101", "80;90"]],
];

for (const [name, values] of UNREADABLE) {
  Deno.test(`loadConfigFromEnv() complains once about each wrong ${name}`, () => {
    for (const value of values) {
      const problems = problemsOf({ ANTHROPIC_API_KEY: KEY, [name]: value }, { "/no_pem": "hello" });
      assert.equal(problems.length, 1, `${value}: ${problems.join("; ")}`);
      assert.match(problems[0]!, new RegExp(`^Cannot .*${name}.*current value is `));
    }
  });
}
