"""Person re-identification from data archives to a deployed, tracked, versioned model."""

__version__ = "0.1.0"
