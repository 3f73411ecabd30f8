"""A model behind an API: questions, answers, retries, spending."""
