"""The `gen_trt_engine` block of ml_recog, accepted so that TAO's specs load: this release builds no TensorRT engine."""

from __future__ import annotations

from typing import Any, Literal

from reid.spec.base import Section, key


def _unused(default: Any, description: str, **arguments: Any) -> Any:
    return key(default, description, no_effect="no TensorRT engine is built by this release", **arguments)


class CalibrationSpec(Section):
    """Calibration of an INT8 engine."""

    cal_image_dir: tuple[str, ...] = _unused((), "Folders of calibration images.", automl=False, mandatory=True)
    cal_cache_file: str = _unused("", "File of the calibration's scales.", mandatory=True)
    cal_batch_size: int = _unused(1, "Images in a batch of the calibration.", ge=1, popular=True)
    cal_batches: int = _unused(1, "Batches of the calibration.", ge=1, popular=True)


class TensorrtSpec(Section):
    """Precision and batch sizes of an engine."""

    data_type: Literal["FP32", "FP16", "INT8"] = _unused("FP32", "Precision of the engine.", tao_type="categorical")
    workspace_size: int = _unused(1024, "Memory of the build, megabytes.", ge=0)
    min_batch_size: int = _unused(1, "Smallest batch.", ge=1, popular=True)
    opt_batch_size: int = _unused(1, "Batch that the engine is tuned for.", ge=1, popular=True)
    max_batch_size: int = _unused(1, "Largest batch.", ge=1, popular=True)
    layers_precision: tuple[str, ...] = _unused((), "Precision of single layers.", automl=False)
    calibration: CalibrationSpec = CalibrationSpec()


class GenTrtEngineSpec(Section):
    """Building a TensorRT engine, as TAO has it."""

    results_dir: str = _unused("", "Folder of the results.")
    gpu_id: int = _unused(0, "GPU of the build.", ge=0, popular=True)
    onnx_file: str = _unused("", "Exported network.", mandatory=True)
    trt_engine: str = _unused("", "Engine to write.", mandatory=True)
    timing_cache: str = _unused("", "File of the timings of earlier builds.")
    batch_size: int = _unused(-1, "Images that the engine takes at once; -1: any number.", ge=-1, popular=True)
    verbose: bool = _unused(False, "Print the steps of the build.")
    tensorrt: TensorrtSpec = TensorrtSpec()
