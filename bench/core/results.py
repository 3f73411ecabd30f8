"""The files that a run leaves beside its comparison, but for those that ``bench.results.responses`` names."""

RECORDS = "records.parquet"
CONTRASTS = "contrasts.json"
LABELS = "labels.parquet"
AUDIT = "audit.parquet"
CLAIMS = "claims.parquet"
SUMMARY = "run.json"
