import type { Child } from "hono/jsx";
import { FormToken } from "./layout.tsx";

export interface ConfirmParts {
  /** Unique on the page. */
  readonly id: string;
  readonly label: string;
  /** What will happen. */
  readonly children: Child;
  readonly action: string;
  readonly formToken: string;
  readonly fields?: Readonly<Record<string, string>>;
}

/** A button that asks before its form is sent. It needs no script. */
export function Confirm({ id, label, children, action, formToken, fields = {} }: ConfirmParts) {
  return (
    <>
      <button type="button" class="danger" popovertarget={id}>{`${label}…`}</button>
      <div popover="auto" id={id} role="dialog" aria-label={label}>
        <form method="post" action={action}>
          <FormToken value={formToken} />
          {Object.entries(fields).map(([name, value]) => <input type="hidden" name={name} value={value} />)}
          {children}
          <button type="submit" class="danger">{label}</button>{" "}
          <button type="button" class="quiet" popovertarget={id}>Keep it</button>
        </form>
      </div>
    </>
  );
}
