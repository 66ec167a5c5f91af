"""Records held against published numbers, and against what a publication says that it found."""
