import type { Credential, Payment } from "../domain/upstream.ts";
import { awsPayment } from "./aws.ts";

/** What pays with that credential. Keep it: it holds what it has minted. */
export function paymentOf(credential: Credential): Payment {
  const { auth } = credential;
  if (auth.kind === "header") {
    const paying = [[auth.header, auth.value]] as const;
    return { signsBody: false, headersFor: () => paying, refused: () => {} };
  }
  if (auth.kind === "aws") return awsPayment(auth);
  throw new Error(`There is no way to pay with a credential of the kind ${auth.kind}`);
}
