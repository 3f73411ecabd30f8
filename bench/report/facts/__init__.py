"""What several sections and figures show alike, computed once: pure functions, and nothing is drawn here."""
