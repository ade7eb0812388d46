"""The trained network outside of training: ONNX and what loads it."""
