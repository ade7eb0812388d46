"""Market-1501's two special identities."""

JUNK_PID = -1
"""Bad detections: dropped from training and evaluation, never a match and never a miss."""

DISTRACTOR_PID = 0
"""Background people: kept in the gallery, never a match."""
