"""Judge code that cannot be trusted: see docs/grader.md."""
