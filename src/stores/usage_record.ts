import type { UsageRecord } from "../domain/usage_record.ts";
import { integer, type Row, text, textOrNull, tokenUsageOf } from "./row_decoders.ts";

/** A closed row as an export shows it. */
export function usageRecordOf(row: Row): UsageRecord {
  const tokenId = textOrNull(row, "token_id");
  const credentialId = textOrNull(row, "credential_id");
  const retryOf = textOrNull(row, "retry_of");
  const batchId = textOrNull(row, "batch_id");
  const customId = textOrNull(row, "custom_id");
  return {
    ...tokenUsageOf(row),
    // The column holds what `kind` names: only rows of ours are ever written.
    kind: text(row, "kind") as UsageRecord["kind"],
    ...(row.max_tokens !== null && { maxTokens: integer(row, "max_tokens") }),
    requestBytes: integer(row, "request_bytes"),
    ...(tokenId && { tokenId }),
    ...(credentialId && { credentialId }),
    ...(retryOf && { retryOf }),
    ...(batchId && { batchId }),
    ...(customId && { customId }),
  };
}
