"""The embedded samples, drawn for demos and tests: pedestrians as in Market-1501, and products in class folders."""

from reid.data.synthetic.classes import (
    KNOWN_REFERENCE,
    KNOWN_TRAIN,
    KNOWN_VAL,
    UNKNOWN_REFERENCE,
    UNKNOWN_TEST,
    ClassCounts,
    generate_classes,
)
from reid.data.synthetic.dataset import QUERY, TEST, TRAIN, SampleCounts, generate

__all__ = [
    "KNOWN_REFERENCE",
    "KNOWN_TRAIN",
    "KNOWN_VAL",
    "QUERY",
    "TEST",
    "TRAIN",
    "UNKNOWN_REFERENCE",
    "UNKNOWN_TEST",
    "ClassCounts",
    "SampleCounts",
    "generate",
    "generate_classes",
]
