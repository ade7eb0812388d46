"""From archives to batches of pixels. Knows no model."""
