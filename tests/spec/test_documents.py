"""Specs that TAO's users have: the documents' example, the shipped ResNet and Swin specs, the skill's overrides."""

import json

import pytest

from reid.spec.load import dump_spec, load_spec

DOCUMENTS_EXAMPLE = """
results_dir: "/path/to/experiment_results"
encryption_key: nvidia_tao
model: {backbone: resnet_50, last_stride: 1, pretrain_choice: imagenet,
        pretrained_model_path: "/path/to/pretrained_model.pth", input_channels: 3, input_width: 128, input_height: 256,
        neck: bnneck, feat_dim: 256, neck_feat: after, metric_loss_type: triplet, with_center_loss: False,
        with_flip_feature: False, label_smooth: True}
dataset: {train_dataset_dir: "/path/to/train_dataset_dir", test_dataset_dir: "/path/to/test_dataset_dir",
          query_dataset_dir: "/path/to/query_dataset_dir", num_classes: 751, batch_size: 64, val_batch_size: 128,
          num_workers: 1, pixel_mean: [0.485, 0.456, 0.406], pixel_std: [0.226, 0.226, 0.226], padding: 10, prob: 0.5,
          re_prob: 0.5, sampler: softmax_triplet, num_instances: 4}
re_ranking: {re_ranking: True, k1: 20, k2: 6, lambda_value: 0.3}
train:
  results_dir: "${results_dir}/train"
  optim: {name: Adam, lr_monitor: val_loss, steps: [40, 70], gamma: 0.1, bias_lr_factor: 1, weight_decay: 0.0005,
          weight_decay_bias: 0.0005, warmup_factor: 0.01, warmup_iters: 10, warmup_method: linear, base_lr: 0.00035,
          momentum: 0.9, center_loss_weight: 0.0005, center_lr: 0.5, triplet_loss_margin: 0.3}
  num_epochs: 10
  checkpoint_interval: 5
  validation_interval: 5
  seed: 1234
"""

SHIPPED_RESNET = """
results_dir: ???
model: {backbone: resnet_50, pretrain_choice: imagenet, pretrained_model_path: "", feat_dim: 256}
dataset: {num_classes: 100, batch_size: 64, num_instances: 4}
re_ranking: {re_ranking: True}
train:
  num_epochs: 120
  checkpoint_interval: 10
  optim: {name: Adam, base_lr: 0.00035, lr_steps: [40, 70]}
"""

SHIPPED_SWIN = """
results_dir: /results
model: {backbone: swin_tiny_patch4_window7_224, pretrain_choice: self, reduce_feat_dim: True, no_margin: True,
        label_smooth: False, neck_feat: before, semantic_weight: 1.0}
dataset: {pixel_mean: [0.5, 0.5, 0.5], pixel_std: [0.5, 0.5, 0.5]}
train:
  num_epochs: 120
  optim: {name: SGD, base_lr: 8e-4, bias_lr_factor: 2, weight_decay: 1e-4, weight_decay_bias: 1e-4,
          warmup_method: cosine, warmup_epochs: 20}
"""

SKILL_OVERRIDES = {
    "train.num_epochs": 30,
    "train.checkpoint_interval": 10,
    "train.validation_interval": 10,
    "train.num_gpus": 1,
    "dataset.num_classes": 100,
    "dataset.num_workers": 4,
    "dataset.batch_size": 16,
    "dataset.num_instances": 4,
    "dataset.train_dataset_dir": "s3://bucket/data/train/sample_train.tar.gz",
    "dataset.test_dataset_dir": "s3://bucket/data/train/sample_test.tar.gz",
    "dataset.query_dataset_dir": "s3://bucket/data/train/sample_query.tar.gz",
}


@pytest.fixture
def write(tmp_path):
    def run(text, name="spec.yaml"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return run


def test_the_documents_example_loads_and_reports_one_alias_and_its_dead_keys(write):
    loaded = load_spec("train", write(DOCUMENTS_EXAMPLE))
    assert loaded.spec.train.results_dir == "/path/to/experiment_results/train"
    assert loaded.spec.train.optim.lr_steps == (40, 70)
    assert [alias.given for alias in loaded.report.aliases] == ["train.optim.steps"]
    assert set(loaded.report.no_effect) == {
        "model.input_channels",
        "dataset.num_classes",
        "train.optim.lr_monitor",
    }
    assert loaded.report.warnings == ()


def test_the_shipped_resnet_spec_loads(write):
    spec = load_spec("train", write(SHIPPED_RESNET), ["results_dir=/r"]).spec
    assert (spec.results_dir, spec.train.num_epochs, spec.train.checkpoint_interval) == ("/r", 120, 10)
    assert spec.re_ranking.re_ranking is True


def test_the_shipped_swin_spec_loads_with_its_numbers_in_exponent_form(write):
    spec = load_spec("train", write(SHIPPED_SWIN)).spec
    assert spec.train.optim.base_lr == 0.0008
    assert spec.train.optim.bias_lr_factor == 2
    assert spec.model.no_margin is True
    assert spec.dataset.pixel_std == (0.5, 0.5, 0.5)


def test_the_skills_overrides_load_as_json_with_dotted_keys_and_as_arguments(write):
    from_file = load_spec("train", write(json.dumps(SKILL_OVERRIDES), "spec.json")).spec
    from_arguments = load_spec("train", None, [f"{key}={value}" for key, value in SKILL_OVERRIDES.items()]).spec
    assert from_file == from_arguments
    assert from_file.dataset.query_dataset_dir.endswith("/sample_query.tar.gz")


@pytest.mark.parametrize("text", [DOCUMENTS_EXAMPLE, SHIPPED_RESNET, SHIPPED_SWIN])
def test_a_resolved_spec_loads_again_to_the_same_spec(write, text, monkeypatch):
    monkeypatch.setenv("REID_ENCRYPTION_KEY", "nvidia_tao")  # the documents' example has it; no file repeats it
    first = load_spec("train", write(text)).spec
    assert load_spec("train", write(dump_spec(first), "experiment.yaml")).spec == first
