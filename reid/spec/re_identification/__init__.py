"""The `re_identification` family: people in the pictures of several cameras."""

from reid.spec.re_identification.spec import ReIdentificationSpec

__all__ = ["ReIdentificationSpec"]
