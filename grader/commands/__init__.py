"""The commands of `grader`, one file a family; `grader.cli` puts them together."""
