"""Pictures and pages, drawn from the same Ranking as the figures."""
