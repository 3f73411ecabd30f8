"""Pictures of a comparison: drawn from records, contrasts and the run summary, equal inputs giving equal bytes."""
