"""The experiment spec: its keys, how a file becomes a validated Spec, and the schemas written from it."""
