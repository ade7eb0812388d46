"""The `ml_recog` family: classes of things, recognised by the nearest of some reference pictures."""

from reid.spec.ml_recog.spec import MlRecogSpec

__all__ = ["MlRecogSpec"]
