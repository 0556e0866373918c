"""PromQL over the store: `promql-parser` parses, these modules plan and evaluate."""
