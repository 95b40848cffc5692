"""Speed, growth and memory, as ratios."""
