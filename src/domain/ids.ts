/** Makes a ULID (https://github.com/ulid/spec): 26 characters that sort by time. */
export type NewId = () => string;

/** A new request id: `ar-` and a ULID. */
export function generateRequestId(newId: NewId): string {
  return `ar-${newId()}`;
}

/** A new trace id: `at-` and a ULID. */
export function generateTraceId(newId: NewId): string {
  return `at-${newId()}`;
}

/** A new audit entry's id: `au-` and a ULID. */
export function generateAuditId(newId: NewId): string {
  return `au-${newId()}`;
}
