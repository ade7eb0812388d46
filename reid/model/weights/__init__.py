"""Initial weights: where they are, whose names they bear, what they give to a network, and what they do not."""
