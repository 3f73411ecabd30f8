"""The files that a run leaves beside its comparison; ``bench.core.responses`` names those of responses and verdicts."""

RECORDS = "records.parquet"
CONTRASTS = "contrasts.json"
LABELS = "labels.parquet"
AUDIT = "audit.parquet"
CLAIMS = "claims.parquet"
SUMMARY = "run.json"
