import type { Credential, Payment } from "../domain/upstream.ts";
import { awsPayment, isUnknownToAws } from "./aws.ts";
import { googlePayment, type GooglePaymentOptions } from "./google.ts";

/** What a payment needs that mints. */
export type PaymentParts = Pick<GooglePaymentOptions, "now" | "fetch" | "fetchDirect">;

/** What pays with that credential. Keep it: it holds what it has minted. */
export function paymentOf({ auth }: Credential, parts: PaymentParts): Payment {
  if (auth.kind === "aws") return awsPayment(auth, { now: parts.now });
  if (auth.kind === "google") return googlePayment(auth, parts);
  const paying = [[auth.header, auth.value]] as const;
  return { signsBody: false, headersFor: () => paying, refused: () => {}, isRefusedBy: isUnknownToAws };
}
