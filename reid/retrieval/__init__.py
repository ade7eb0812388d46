"""Embeddings, distances, rankings and what is measured on them. Knows no model and no image files."""
