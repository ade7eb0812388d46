"""The embedded sample: pedestrians drawn by a program, in the form of Market-1501, for demos and tests."""

from reid.data.synthetic.dataset import QUERY, TEST, TRAIN, SampleCounts, generate

__all__ = ["QUERY", "TEST", "TRAIN", "SampleCounts", "generate"]
