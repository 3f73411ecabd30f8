"""What every other room builds on: stages, policies, methods, tasks, judges, records, errors."""
