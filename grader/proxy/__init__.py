"""The judge's view of a submission: questions, and objects that live in the worker."""
