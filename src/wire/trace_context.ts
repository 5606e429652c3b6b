/** The parts of the OpenTelemetry API that Deno fills at its start if `OTEL_DENO=true`. */
interface Otel {
  readonly trace?: object;
  readonly context?: { active(): unknown; with<T>(context: unknown, run: () => T): T };
  readonly propagation?: {
    fields(): string[];
    extract<C>(context: unknown, carrier: C, getter: Getter<C>): unknown;
  };
}

interface Getter<C> {
  readonly get: (carrier: C, key: string) => string | undefined;
  readonly keys: (carrier: C) => string[];
}

type Fields = Pick<Headers, "get"> & Iterable<readonly [string, string]>;

/** A compiled program keeps the OTEL settings of its compilation, so this asks the runtime. */
const OTEL: Otel = Reflect.get(globalThis, Symbol.for("opentelemetry.js.api.1")) ?? {};

/**
 * Headers that the runtime appends to every fetch. W3C Trace Context allows one parent, so the
 * client's stop at the proxy. It appends no `tracestate` (Deno 2.9.6), so that one passes.
 */
export const SENT_BY_RUNTIME: readonly string[] = OTEL.trace === undefined
  ? []
  : (OTEL.propagation?.fields() ?? []).filter((name) => name !== "tracestate");

const GETTER: Getter<Fields> = {
  get: (headers, key) => headers.get(key) ?? undefined,
  keys: (headers) => [...headers].map(([name]) => name),
};

/** Runs a fetch as a part of the client's trace and baggage, if the runtime sends its own. */
export function inTraceOf<T>(headers: Fields, run: () => T): T {
  const { context, propagation } = OTEL;
  if (SENT_BY_RUNTIME.length === 0 || context === undefined || propagation === undefined) return run();
  return context.with(propagation.extract(context.active(), headers, GETTER), run);
}
