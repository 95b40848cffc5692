"""What was graded: gradebook, second judgements, the board."""
