"""Taking in a submission: plain files of known kinds, or a clear refusal."""
