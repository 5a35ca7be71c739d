"""What the log's files are to those who read them: in which order they stand, and what a line holds."""
