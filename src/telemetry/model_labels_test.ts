import assert from "node:assert/strict";
import { MAX_MODEL_LABELS, ModelLabels } from "./model_labels.ts";

Deno.test("ModelLabels.labelOf() gives the first hundred models their own label, and all later ones the same", () => {
  const labels = new ModelLabels();
  const given = new Set(Array.from({ length: 1_000 }, (_, index) => labels.labelOf(`model-${index}`)));
  assert.equal(given.size, MAX_MODEL_LABELS + 1);
  assert.equal(labels.labelOf("model-0"), "model-0");
  assert.equal(labels.labelOf("model-100"), "other");
});

Deno.test("ModelLabels.labelOf() says none where no answer named a model, and cuts a long name", () => {
  const labels = new ModelLabels();
  assert.deepEqual([labels.labelOf(null), labels.labelOf("")], ["none", "none"]);
  assert.equal(labels.labelOf("m".repeat(10_000)).length, 256);
});
