"""From an acceptance suite to verdicts, and how a failure is told."""
