"""One test for each contradiction between TAO's documents, schema and code (C1 to C25 of the reference)."""

import pytest

from reid.errors import SpecError
from reid.spec.keys import spec_keys
from reid.spec.load import load_spec


@pytest.fixture
def load(tmp_path):
    """Loads a spec given as YAML text, with overrides."""

    def run(text="", *overrides, action="train"):
        file = tmp_path / "spec.yaml"
        file.write_text(text)
        return load_spec(action, file, overrides)

    return run


def _names(loaded):
    return {alias.given: alias.used for alias in loaded.report.aliases}


def test_c1_steps_is_lr_steps(load):
    loaded = load("train: {optim: {steps: [5, 8]}}")
    assert loaded.spec.train.optim.lr_steps == (5, 8)
    assert _names(loaded) == {"train.optim.steps": "train.optim.lr_steps"}


def test_c1_steps_and_lr_steps_that_differ_are_an_error_that_names_both(load):
    with pytest.raises(SpecError, match=r"train\.optim\.lr_steps is \[40, 70\].*train\.optim\.steps is \[5, 8\]"):
        load("train: {optim: {lr_steps: [40, 70], steps: [5, 8]}}")


def test_c1_steps_and_lr_steps_that_agree_are_fine(load):
    assert load("train: {optim: {lr_steps: [5], steps: [5]}}").spec.train.optim.lr_steps == (5,)


def test_c1_an_override_wins_over_the_other_name_in_the_file(load):
    assert load("train: {optim: {lr_steps: [40, 70]}}", "train.optim.steps=[3]").spec.train.optim.lr_steps == (3,)


def test_c2_optim_at_the_root_is_train_optim(load):
    assert load("optim: {base_lr: 0.001}").spec.train.optim.base_lr == 0.001
    assert load("", "optim.steps=[2]").spec.train.optim.lr_steps == (2,)


def test_c3_dataset_keys_at_the_root_are_shorthands(load):
    loaded = load("num_classes: 100\nnum_workers: 4\nbatch_size: 16\n")
    assert (loaded.spec.dataset.num_classes, loaded.spec.dataset.num_workers, loaded.spec.dataset.batch_size) == (
        100,
        4,
        16,
    )


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("num_epochs=7", "train.num_epochs", 7),
        ("val_batch_size=9", "dataset.val_batch_size", 9),
        ("evaluate_batch_size=5", "evaluate.batch_size", 5),
        ("inference_batch_size=6", "inference.batch_size", 6),
        ("learning_rate=0.01", "train.optim.base_lr", 0.01),
        ("num_gpus=2", "train.num_gpus", 2),
        ("num_instances=8", "dataset.num_instances", 8),
        ("input_width=64", "model.input_width", 64),
        ("input_height=128", "model.input_height", 128),
        ("resume_checkpoint=a.pth", "train.resume_training_checkpoint_path", "a.pth"),
        ("pretrained_model=b.pth", "model.pretrained_model_path", "b.pth"),
        ("export_onnx=c.onnx", "export.onnx_file", "c.onnx"),
        ("inference_output_file=d.json", "inference.output_file", "d.json"),
        ("cmc_curve_plot=e.png", "evaluate.output_cmc_curve_plot", "e.png"),
        ("sampled_matches_plot=f.png", "evaluate.output_sampled_matches_plot", "f.png"),
    ],
)
def test_c3_every_shorthand_of_the_skill_is_known(load, override, path, value):
    block, *rest = path.split(".")
    found = getattr(load("", override).spec, block)
    for name in rest:
        found = getattr(found, name)
    assert found == value


def test_c4_clip_grad_norm_is_grad_clip(load):
    assert load("train: {clip_grad_norm: 2.5}").spec.train.grad_clip == 2.5


def test_c5_re_ranking_is_off_as_in_the_schema_and_every_report_says_so(load):
    loaded = load()
    assert loaded.spec.re_ranking.re_ranking is False
    assert any(note.startswith("re_ranking.re_ranking is false") for note in loaded.report.notes)


def test_c6_num_workers_is_8_as_in_the_schema(load):
    assert load().spec.dataset.num_workers == 8


def test_c7_bias_lr_factor_2_of_the_swin_spec_is_accepted(load):
    assert load("", "train.optim.bias_lr_factor=2").spec.train.optim.bias_lr_factor == 2.0


def test_c8_values_that_the_schema_locks_are_accepted_in_the_documents_range(load):
    spec = load(
        "",
        "model.last_stride=2",
        "model.input_height=384",
        "model.input_width=192",
        "re_ranking.k1=30",
        "re_ranking.k2=1",
        "re_ranking.max_rank=50",
        "re_ranking.num_query=3",
    ).spec
    assert (spec.model.input_height, spec.model.input_width, spec.re_ranking.k1) == (384, 192, 30)


def test_c8_an_input_height_of_250_is_refused_because_it_is_no_multiple_of_32(load):
    with pytest.raises(SpecError, match="a multiple of 32"):
        load("", "model.input_height=250")


@pytest.mark.parametrize("width", [1, 1024, 2048])
def test_c9_any_positive_feat_dim_is_accepted(load, width):
    assert load("", f"model.feat_dim={width}").spec.model.feat_dim == width


def test_c10_two_instances_and_no_padding_are_accepted(load):
    spec = load("", "dataset.num_instances=2", "dataset.padding=0").spec
    assert (spec.dataset.num_instances, spec.dataset.padding) == (2, 0)


def test_c11_batch_size_is_the_total_and_the_report_gives_the_share_of_each_gpu(load):
    notes = load("", "dataset.batch_size=64", "train.num_gpus=2").report.notes
    assert any("64 is the total of 2 device(s): 32 images each" in note for note in notes)


@pytest.mark.parametrize("method", ["linear", "constant", "cosine"])
def test_c12_all_warmup_methods_of_the_code_are_accepted(load, method):
    assert load("", f"train.optim.warmup_method={method}").spec.train.optim.warmup_method == method


def test_c12_exp_becomes_linear_with_a_warning(load):
    loaded = load("", "train.optim.warmup_method=exp")
    assert loaded.spec.train.optim.warmup_method == "linear"
    assert any("exp" in warning for warning in loaded.report.warnings)


def test_c13_warmup_iters_says_that_it_counts_epochs(load):
    assert load().spec.train.optim.warmup_iters == 10
    assert "epochs" in spec_keys()["train.optim.warmup_iters"].description


@pytest.mark.parametrize(
    "name", ["model_epoch_000.pth", "model_epoch_000_step_00099.pth", "reid_model_latest.pth", "m.tlt"]
)
def test_c14_every_name_of_a_checkpoint_is_accepted_as_a_value(load, name):
    assert load("", f"evaluate.checkpoint={name}", action="evaluate").spec.evaluate.checkpoint == name


def test_c15_an_actions_own_results_dir_wins_over_the_common_one(load):
    spec = load("results_dir: /r\ntrain: {results_dir: /elsewhere}").spec
    assert str(spec.results_folder("train")) == "/elsewhere"
    assert str(spec.results_folder("evaluate")) == "/r/evaluate"


def test_c15_without_any_results_dir_the_error_names_the_key(load):
    with pytest.raises(SpecError, match="results_dir is not set"):
        load().spec.results_folder("train")


def test_c16_num_classes_is_accepted_and_reported_as_counted_in_the_data(load):
    assert (
        "counted in the training images" in load("dataset: {num_classes: 100}").report.no_effect["dataset.num_classes"]
    )


@pytest.mark.parametrize("metric", ["mAP", "mINP", "cmc_rank_1", "cmc_rank_5", "cmc_rank_10"])
def test_c17_a_promotion_may_be_decided_by_any_of_the_figures(load, metric):
    assert load("", f"promote.metric={metric}", action="promote").spec.promote.metric == metric


@pytest.mark.parametrize(
    "source", ["/data/train", "train.tar", "train.tar.gz", "train.zip", "s3://b/data/train.tar.gz"]
)
def test_c18_data_may_be_a_folder_an_archive_or_a_uri(load, source):
    assert load("", f"dataset.train_dataset_dir={source}").spec.dataset.train_dataset_dir == source


@pytest.mark.parametrize(("given", "meant"), [("auto", "on"), ("on", "on"), ("off", "off")])
def test_c19_automl_policy_auto_is_on_in_files_and_overrides(load, given, meant):
    assert load(f"automl_policy: {given}").spec.automl_policy == meant
    assert load("", f"automl_policy={given}").spec.automl_policy == meant


@pytest.mark.parametrize("passphrase", ["nvidia_tlt", "nvidia_tao", "tlt_encode", "1234"])
def test_c20_any_encryption_key_is_accepted_and_none_is_needed(load, passphrase):
    loaded = load(f"encryption_key: {passphrase}")
    assert loaded.spec.encryption_key == passphrase
    assert load().spec.encryption_key == ""


def test_c21_blocks_of_tao_4_are_renamed(load):
    loaded = load(
        "model_config: {backbone: resnet_50, feat_dim: 128}\n"
        "train_config: {num_epochs: 3, optim: {steps: [1]}}\n"
        "dataset_config: {batch_size: 32}\n"
        "re_ranking_config: {re_ranking: true}\n"
    )
    assert loaded.spec.model.feat_dim == 128
    assert loaded.spec.train.optim.lr_steps == (1,)
    assert loaded.spec.dataset.batch_size == 32
    assert loaded.spec.re_ranking.re_ranking is True
    assert _names(loaded)["train_config.optim.steps"] == "train.optim.lr_steps"


@pytest.mark.parametrize("name", ["devide_length", "divide_length"])
def test_c22_both_spellings_of_devide_length_are_accepted(load, name):
    assert load(f"model: {{{name}: 3}}").spec.model.devide_length == 3


def test_c23_validation_interval_is_the_users_own_whatever_the_checkpoint_interval(load):
    spec = load("", "train.num_epochs=30", "train.checkpoint_interval=10", "train.validation_interval=5").spec
    assert (spec.train.checkpoint_interval, spec.train.validation_interval) == (10, 5)


def test_c24_the_inference_file_may_have_any_path_and_is_unset_by_default(load):
    assert load("", action="inference").spec.inference.output_file == ""
    path = "/results/job/reid_inference.json"
    assert load("", f"inference.output_file={path}", action="inference").spec.inference.output_file == path


@pytest.mark.parametrize("unset", ["", "null", "''", "'???'"])
def test_c25_null_empty_and_three_question_marks_all_mean_unset(load, unset):
    spec = load(f"evaluate: {{checkpoint: {unset}}}\ndataset: {{batch_size: {unset}}}\nwandb: {unset}\n").spec
    assert spec.evaluate.checkpoint == ""
    assert spec.dataset.batch_size == 64
    assert spec.wandb.project == "TAO Toolkit"


def test_c25_a_reference_is_filled_in(load):
    assert load('results_dir: /r\ntrain: {results_dir: "${results_dir}/train"}').spec.train.results_dir == "/r/train"


def test_c25_eval_is_refused(load):
    with pytest.raises(SpecError, match="uses the resolver eval"):
        load("train: {num_epochs: '${eval:2*3}'}")
