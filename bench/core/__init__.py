"""The vocabulary that every other room speaks: stages, policies, methods, tasks, judges, records, errors."""
