"""Specs of ml_recog that TAO's users have, and what is refused before any training."""

import json

import pytest

from reid.errors import SpecError
from reid.spec.load import dump_spec, load_spec
from reid.spec.ml_recog import MlRecogSpec
from reid.spec.re_identification import ReIdentificationSpec

TRAINING = """
results_dir: /results/ml_recog
model: {backbone: resnet_101, pretrained_model_path: /weights/model.pth, pretrained_trunk_path: /weights/trunk.pth,
        pretrained_embedder_path: /weights/embedder.pth, input_width: 224, input_height: 224, feat_dim: 2048}
dataset:
  train_dataset: /data/known_classes/train
  val_dataset: {reference: /data/known_classes/reference, query: /data/known_classes/val}
  workers: 12
  pixel_mean: [0.485, 0.456, 0.406]
  pixel_std: [0.226, 0.226, 0.226]
  prob: 0.5
  re_prob: 0.5
  num_instance: 4
  color_augmentation: {enabled: True, brightness: 0.5, contrast: 0.3, saturation: 0.1, hue: 0.1}
  gaussian_blur: {enabled: True, kernel: [15, 15], sigma: [0.3, 0.7]}
train:
  optim:
    name: Adam
    steps: [40, 70]
    gamma: 0.1
    embedder: {bias_lr_factor: 1, weight_decay: 0.0001, weight_decay_bias: 0.0005, base_lr: 0.000001, momentum: 0.9}
    trunk: {bias_lr_factor: 1, weight_decay: 0.0001, weight_decay_bias: 0.0005, base_lr: 1e-5, momentum: 0.9}
    warmup_factor: 0.01
    warmup_iters: 10
    warmup_method: linear
    triplet_loss_margin: 0.3
    miner_function_margin: 0.1
  num_epochs: 150
  checkpoint_interval: 10
  validation_interval: 10
  resume_training_checkpoint_path: null
  smooth_loss: False
  batch_size: 16
  val_batch_size: 16
  train_trunk: True
  train_embedder: True
"""

INFERENCE = """
results_dir: "???"
model: {backbone: resnet_101, input_width: 224, input_height: 224, feat_dim: 2048}
dataset: {workers: 8, val_dataset: {reference: "???", query: ""}}
inference: {inference_input_type: classification_folder, input_path: "???", checkpoint: "???", batch_size: 16, topk: 5}
"""

EXPORT = """
model: {backbone: resnet_50, input_width: 224, input_height: 224, feat_dim: 256}
export: {checkpoint: "???", onnx_file: "???", results_dir: "???", batch_size: -1, on_cpu: false, verbose: true,
         opset_version: 14}
"""

ENGINE = """
results_dir: /results
dataset: {val_dataset: {}}
gen_trt_engine:
  gpu_id: 0
  onnx_file: /export/model.onnx
  trt_engine: /export/model.engine
  tensorrt: {data_type: int8, workspace_size: 1024, min_batch_size: 1, opt_batch_size: 10, max_batch_size: 10,
             calibration: {cal_image_dir: [/data/train], cal_cache_file: /export/cal.bin, cal_batch_size: 16,
                           cal_batches: 100}}
"""

SKILL = {
    "train.num_epochs": 30,
    "train.checkpoint_interval": 10,
    "train.validation_interval": 10,
    "train.num_gpus": 1,
    "train.batch_size": 16,
    "dataset.train_dataset": "s3://bucket/data/train/known_classes/train.tar.gz",
    "dataset.val_dataset": {
        "reference": "s3://bucket/data/train/known_classes/reference.tar.gz",
        "query": "s3://bucket/data/train/known_classes/val.tar.gz",
    },
}


@pytest.fixture
def load(tmp_path):
    """Loads a spec of ml_recog given as text, with overrides."""

    def run(text="", *overrides, action="evaluate", family="ml_recog"):
        file = tmp_path / "spec.yaml"
        file.write_text(text)
        return load_spec(action, file, overrides, family)

    return run


@pytest.fixture
def refused(load):
    def run(*overrides, text="", action="train", family="ml_recog"):
        with pytest.raises(SpecError) as caught:
            load(text, *overrides, action=action, family=family)
        return caught.value

    return run


def test_a_training_as_the_documents_show_it_loads_without_a_change(load):
    loaded = load(TRAINING, action="train")
    assert (loaded.report.aliases, loaded.report.warnings, loaded.report.no_effect) == ((), (), {})
    optim = loaded.spec.train.optim
    assert (optim.trunk.base_lr, optim.embedder.base_lr, optim.steps) == (1e-5, 1e-6, (40, 70))
    assert loaded.spec.dataset.val_dataset.query == "/data/known_classes/val"


def test_the_shipped_specs_of_inference_export_and_engine_load(load):
    inference = load(INFERENCE, action="inference").spec
    assert (inference.inference.input_path, inference.dataset.val_dataset.reference) == ("", "")
    assert (inference.inference.topk, inference.inference.batch_size) == (5, 16)
    assert load(EXPORT, action="export").spec.export.checkpoint == ""
    loaded = load(ENGINE)
    assert loaded.spec.gen_trt_engine.tensorrt.data_type == "INT8"
    reasons = {reason for path, reason in loaded.report.no_effect.items() if path.startswith("gen_trt_engine.")}
    assert reasons == {"no TensorRT engine is built by this release"}


@pytest.mark.parametrize("value", ["", "null", "{}", "'???'", "''"])
def test_val_dataset_may_be_unset_in_every_way_that_templates_have_it(load, value):
    spec = load(f"dataset:\n  val_dataset: {value}\n  train_dataset: /t\n").spec
    assert (spec.dataset.val_dataset.reference, spec.dataset.val_dataset.query) == ("", "")


def test_the_skills_overrides_load_as_json_with_a_mapping_and_as_an_argument(load):
    from_file = load(json.dumps(SKILL), action="train").spec
    arguments = [f"{key}={json.dumps(value)}" for key, value in SKILL.items()]
    assert load("", *arguments, action="train").spec == from_file
    assert from_file.dataset.val_dataset.reference.endswith("known_classes/reference.tar.gz")


def test_shorthands_of_the_skill_and_names_of_the_other_family_are_known(load):
    spec = load(
        "num_epochs: 7\nbatch_size: 32\neval_batch_size: 9\ntrunk_learning_rate: 0.01\nfeat_dim: 64\n",
        "dataset.num_workers=2",
        "train.optim.lr_steps=[3]",
        "train.grad_clip=1.5",
    ).spec
    assert (spec.train.num_epochs, spec.train.batch_size, spec.evaluate.batch_size) == (7, 32, 9)
    assert (spec.train.optim.trunk.base_lr, spec.model.feat_dim, spec.dataset.workers) == (0.01, 64, 2)
    assert (spec.train.optim.steps, spec.train.clip_grad_norm) == ((3,), 1.5)


def test_the_file_says_which_family_it_is_of():
    assert isinstance(load_spec("evaluate", None, ["family=ml_recog"]).spec, MlRecogSpec)
    assert isinstance(load_spec("evaluate").spec, ReIdentificationSpec)


def test_a_written_spec_says_its_family_so_that_any_command_reads_it_again(tmp_path):
    spec = load_spec("evaluate", None, ["dataset.num_instance=2", "results_dir=/r"], "ml_recog").spec
    for given_only in (True, False):
        file = tmp_path / "experiment.yaml"
        file.write_text(dump_spec(spec, given_only=given_only))
        assert file.read_text().startswith("family: ml_recog\n")
        assert load_spec("evaluate", file).spec == spec


@pytest.mark.parametrize(("family", "other"), [("ml_recog", "re_identification"), ("re_identification", "ml_recog")])
def test_a_file_of_the_other_family_is_told_so(refused, family, other):
    error = refused(text=f"family: {other}\n", family=family)
    assert error.found == f"the spec is of the family {other} (spec.yaml, line 1), and this is {family}"
    assert error.why
    assert f"run it with `{other}`" in error.fix


def test_a_file_without_a_family_that_has_keys_of_the_other_one_is_told_so_once(refused):
    error = refused(text=TRAINING, family="")
    assert "keys of spec.yaml are keys of ml_recog, such as model.pretrained_trunk_path" in error.found
    assert "read as a spec of re_identification" in error.found
    assert error.fix == "write family: ml_recog into it, or run it with `ml_recog`"


def test_a_family_that_does_not_exist_is_refused(refused):
    assert refused("family=classification", family="").why == "it must be one of re_identification, ml_recog"


def test_the_default_batch_of_one_class_is_refused_before_training_with_the_size_that_works(refused, load):
    error = refused()
    assert error.found == "train.batch_size 4 with dataset.num_instance 4 is one class in a batch"
    assert error.why == "the triplet loss compares different classes, so it needs two or more"
    assert error.fix == "use train.batch_size=8 or more, or fewer num_instance"
    assert load("", "train.batch_size=8", action="train").spec.batch_size == 8
    assert load("", action="dataset").spec.train.batch_size == 4  # the batch is no business of the data


def test_a_check_for_no_action_warns_of_the_default_batch_and_refuses_one_that_was_given(load, refused):
    loaded = load(INFERENCE, action="")
    assert loaded.report.warnings == (
        "train will be refused: train.batch_size 4 with dataset.num_instance 4 is one class in a batch; "
        "use train.batch_size=8 or more, or fewer num_instance",
    )
    assert "is one class in a batch" in refused("train.batch_size=4", action="").found


def test_a_batch_that_is_no_multiple_of_its_classes_names_those_that_are(refused):
    error = refused("train.batch_size=18")
    assert error.found == "train.batch_size 18 is not a multiple of dataset.num_instance 4"
    assert error.fix == "use train.batch_size=16 or 20, or another num_instance"


def test_the_batch_is_that_of_each_gpu_and_all_of_them_together_hold_two_classes(load, refused):
    loaded = load("", "train.num_gpus=2", action="train")
    assert loaded.spec.batch_size == 8
    assert "train.batch_size: 8 is the total of 2 device(s): 4 images each, 4 of each class" in loaded.report.notes
    assert refused("train.num_gpus=2", "train.batch_size=6").fix.startswith("use train.batch_size=4 or 8,")


@pytest.mark.parametrize(
    ("override", "key", "needed"),
    [
        ("train.optim.trunk.base_lr=fast", "train.optim.trunk.base_lr", "a number, >= 0, <= 1"),
        ("train.optim.name=lion", "train.optim.name", "one of Adam, AdamW, Adamax, SGD"),
        ("train.optim.warmup_method=cosine", "train.optim.warmup_method", "one of linear, constant"),
        ("dataset.gaussian_blur.kernel=[15,14]", "dataset.gaussian_blur.kernel", "entry 2: "),
        ("dataset.gaussian_blur.sigma=[0,1]", "dataset.gaussian_blur.sigma", "entry 1: "),
        ("dataset.color_augmentation.hue=0.6", "dataset.color_augmentation.hue", "<= 0.5"),
        ("inference.inference_input_type=video", "inference.inference_input_type", "one of image, image_folder"),
        ("inference.topk=0", "inference.topk", ">= 1"),
        ("evaluate.exclude=same_camera", "evaluate.exclude", "one of same_image, none"),
        ("dataset.num_instance=1", "dataset.num_instance", ">= 2"),
        ("export.opset_version=13", "export.opset_version", ">= 14"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(refused, override, key, needed):
    error = refused(override, action="evaluate")
    assert error.found.startswith(f"{key} is ")
    assert needed in error.why


def test_a_blur_from_more_to_less_is_refused(refused):
    error = refused("dataset.gaussian_blur.sigma=[0.7,0.3]", "train.batch_size=8")
    assert error.fix == "use dataset.gaussian_blur.sigma=[0.3,0.7]"


@pytest.mark.parametrize(
    ("backbone", "size", "fits"),
    [
        ("resnet_50", 224, True),
        ("resnet_50", 196, False),
        ("nvdinov2_vit_large_legacy", 518, True),
        ("vit_small_patch14_dinov2", 256, False),
        ("vit_so400m_patch14_siglip_gap_384", 384, True),  # what its name says that it is made for
        ("vit_so400m_patch14_siglip_gap_384", 256, False),
        ("mobilenetv2_100", 100, False),  # a width, no size
        ("vit_base_patch16_plus_240.laion400m_e31", 240, True),
    ],
)
def test_the_input_size_is_a_multiple_of_what_the_trunk_takes(load, refused, backbone, size, fits):
    overrides = [f"model.backbone={backbone}", f"model.input_width={size}", "model.input_height=224"]
    if fits:
        assert load("", *overrides).spec.model.input_width == size
    else:
        assert refused(*overrides, action="evaluate").found.startswith(f"model.input_width is {size}")


def test_the_size_of_a_checkpoints_unnamed_trunk_may_be_a_multiple_of_14_or_of_32(load, refused):
    assert load("", "model.input_width=518", "model.input_height=256").spec.model.input_width == 518
    assert refused("model.input_width=500", action="evaluate").fix == "use model.input_width=504 or 512"


def test_a_network_with_no_part_to_train_is_refused(refused):
    error = refused("train.train_trunk=false", "train.train_embedder=false", "train.batch_size=8")
    assert error.found == "train.train_trunk and train.train_embedder are both false"


def test_a_frozen_part_with_random_weights_is_a_warning(load):
    warnings = load("", "train.train_embedder=false", "train.batch_size=8", action="train").report.warnings
    assert warnings[0].startswith("train.train_embedder is false and the embedder has random weights")
    weights = "model.pretrained_embedder_path=e.pth"
    loaded = load("", "train.train_embedder=false", "train.batch_size=8", weights, action="train")
    assert loaded.report.warnings == ()


def test_taos_operator_set_is_raised_to_the_oldest_that_is_written(load):
    loaded = load(EXPORT, action="export")
    assert (loaded.spec.export.opset_version, loaded.spec.export.written_opset) == (14, 18)
    assert loaded.report.warnings == (
        "export.opset_version 14 is below the oldest operator set that is written; 18 is used",
    )
    assert load("", "export.opset_version=20").spec.export.written_opset == 20


def test_the_face_reads_each_familys_own_keys():
    recognition = load_spec(
        "evaluate",
        None,
        ["train.batch_size=12", "train.num_gpus=2", "train.val_batch_size=7", "dataset.workers=3"],
        "ml_recog",
    ).spec
    persons = load_spec("evaluate", None, ["dataset.batch_size=24", "train.num_gpus=2", "train.grad_clip=0.5"]).spec
    assert (recognition.batch_size, recognition.val_batch_size, recognition.workers) == (24, 7, 3)
    assert (persons.batch_size, persons.grad_clip, persons.num_instances) == (24, 0.5, 4)
    assert recognition.names["gallery"] == "dataset.val_dataset.reference"


def test_queries_of_recognition_are_those_of_validation_and_in_inference_the_input():
    places = {"query": ("dataset.val_dataset.query", "/q"), "gallery": ("dataset.val_dataset.reference", "/r")}
    overrides = ["dataset.val_dataset={query: /q, reference: /r}", "inference.input_path=/photo.jpg"]
    spec = load_spec("evaluate", None, overrides, "ml_recog").spec
    assert spec.test_places("evaluate") == places
    assert spec.test_places("train") == places
    assert spec.test_places("inference") == places | {"query": ("inference.input_path", "/photo.jpg")}
    assert spec.more_train_places == ()


def test_an_evaluation_has_class_folders_of_its_own_for_either_side_and_validation_keeps_its_own():
    given = ["dataset.val_dataset.reference=/known", "dataset.val_dataset.query=/ask", "evaluate.query_dataset=/new"]
    spec = load_spec("evaluate", None, given, "ml_recog").spec
    assert spec.test_places("evaluate") == {
        "query": ("evaluate.query_dataset", "/new"),
        "gallery": ("dataset.val_dataset.reference", "/known"),
    }
    assert spec.test_places("train")["query"] == ("dataset.val_dataset.query", "/ask")
    assert spec.dataset_places["query"] == ("dataset.val_dataset.query", "/ask")


@pytest.mark.parametrize("family", ["ml_recog", "re_identification"])
def test_the_figure_that_promotes_is_one_of_those_that_are_registered(family):
    spec = load_spec("promote", None, [], family).spec
    assert spec.promote.metric in spec.promote.metrics
    assert {"mAP", "mINP", "cmc_rank_1", "cmc_rank_5", "cmc_rank_10"} <= set(spec.promote.metrics)
    assert ("test Precision at Rank 1" in spec.promote.metrics) == (family == "ml_recog")


def test_an_action_of_re_identification_takes_its_own_places_and_never_anothers():
    given = ["evaluate.query_dataset=/q", "inference.test_dataset=/g", "dataset.test_dataset_dir=/shared"]
    spec = load_spec("evaluate", None, given).spec
    assert spec.test_places("evaluate") == {
        "query": ("evaluate.query_dataset", "/q"),
        "gallery": ("dataset.test_dataset_dir", "/shared"),
    }
    assert spec.test_places("train")["query"] == ("dataset.query_dataset_dir", "")


def test_a_frozen_trunk_with_random_weights_is_a_warning_also_beside_a_file_of_an_embedder(load):
    given = ("model.pretrain_choice=", "train.freeze_backbone_epochs=1", "train.batch_size=8")
    text = "train.freeze_backbone_epochs is 1 and the backbone has random weights"

    def warned(key):
        found = load("", *given, f"model.{key}=/weights.pth", action="train").report.warnings
        return any(warning.startswith(text) for warning in found)

    assert warned("pretrained_embedder_path")
    assert not warned("pretrained_trunk_path")
    assert not warned("pretrained_model_path")
