"""The `dataset` block of ml_recog: class folders, how many images of a class a batch has, and augmentation."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from reid.spec.base import Section, key, like
from reid.spec.data import ColorAugmentationSpec, ImagesSpec


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("a kernel has a middle, so its sizes are odd")
    return size


_Size = Annotated[int, Field(ge=1), AfterValidator(_odd)]
_Sigma = Annotated[float, Field(gt=0)]


class ValDatasetSpec(Section):
    """The images of validation and evaluation; inference reads the references."""

    reference: str = key("", "Class folders of the references (the gallery); the same kinds of sources.", automl=False)
    query: str = key("", "Class folders of the queries, whose classes are all among the references'.", automl=False)


class ColorJitterSpec(ColorAugmentationSpec):
    """Colour jitter of training images."""

    enabled: bool = like(ColorAugmentationSpec, "enabled", default=True)


class GaussianBlurSpec(Section):
    """Blur of training images."""

    enabled: bool = key(True, "Blur training images, each with a sigma of its own.")
    kernel: tuple[_Size, _Size] = key(
        (15, 15),
        "Width and height of the kernel in pixels; odd.",
        tao_type="list_3",
        depends_on="model.input_height,model.input_width",
        automl=False,
    )
    sigma: tuple[_Sigma, _Sigma] = key(
        (0.3, 0.7), "Least and largest standard deviation of the blur, in pixels.", automl=False
    )


class ClassesSpec(Section):
    """Sources and batches; a section of its own so that these keys come first."""

    train_dataset: str = key(
        "", "Training images in class folders: a folder, .tar, .tar.gz, .zip, or a file://, https:// or s3:// URI."
    )
    val_dataset: ValDatasetSpec = ValDatasetSpec()
    class_map: str = key(
        "",
        "File that names the classes: YAML of folder to name, or text with one name a line in the order of the sorted "
        "folders; empty: the folders' names.",
    )
    num_instance: int = key(
        4,
        "Images of each class in a batch (K); must divide train.batch_size.",
        ge=2,
        tao_bounds=(None, None),
    )
    workers: int = key(8, "Threads that check and decode images; 0 is 1.", ge=0, tao_bounds=(None, None))


class DatasetSpec(ImagesSpec, ClassesSpec):
    """Sources, batches and training augmentation."""

    prob: float = like(ImagesSpec, "prob", tao_bounds=(None, None), math_cond="> 0.0")
    re_prob: float = like(ImagesSpec, "re_prob", tao_bounds=(None, None), math_cond="> 0.0")
    color_augmentation: ColorJitterSpec = ColorJitterSpec()
    gaussian_blur: GaussianBlurSpec = GaussianBlurSpec()
    min_crop_area: float = key(
        0.08,
        "Least share of a training image that is cut out of it and resized; TAO's is fixed at 0.08. With few images of "
        "a thing that fills them, larger parts teach faster.",
        gt=0,
        le=1,
        ours=True,
    )
    random_rotation: bool = key(False, "Turn training images by 0 to 180 degrees, each by its own draw.")
