"""What leaves a finished run: tables, a policy with its card, scalars for trackers."""
