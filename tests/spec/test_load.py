import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import SpecError
from reid.spec.keys import nested, spec_keys
from reid.spec.load import dump_spec, flatten_spec, load_spec
from reid.spec.re_identification import ReIdentificationSpec


@pytest.fixture
def refused(tmp_path):
    """The error that a spec given as YAML text, with overrides, ends in."""

    def run(text, *overrides, action="train"):
        file = tmp_path / "spec.yaml"
        file.write_text(text)
        with pytest.raises(SpecError) as caught:
            load_spec(action, file, overrides)
        return caught.value

    return run


def test_no_file_gives_the_defaults():
    assert load_spec("train").spec == ReIdentificationSpec()


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n", "{}\n"])
def test_an_empty_file_gives_the_defaults(tmp_path, text):
    file = tmp_path / "empty.yaml"
    file.write_text(text)
    assert load_spec("train", file).spec == ReIdentificationSpec()


@pytest.mark.parametrize(("text", "kind"), [("- 1\n- 2\n", "a list"), ("hello\n", "a single value")])
def test_a_file_that_is_not_a_mapping_is_refused(refused, text, kind):
    assert kind in refused(text).found


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"none\.yaml cannot be read: No such file"):
        load_spec("train", tmp_path / "none.yaml")


def test_a_binary_file_is_refused(tmp_path):
    file = tmp_path / "model.pth"
    file.write_bytes(b"\x80\x02\xff\xfe")
    with pytest.raises(SpecError, match="is not text"):
        load_spec("train", file)


def test_broken_yaml_names_the_line(refused):
    assert "line 2" in refused("train:\n  num_epochs: 1: 2\n").found


def test_a_key_given_twice_names_both_lines(refused):
    error = refused("train:\n  num_epochs: 1\n  seed: 3\n  num_epochs: 2\n")
    assert "train.num_epochs is given twice in spec.yaml: lines 2 and 4" in error.found


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("train.num_epoch", "train.num_epochs"),
        ("train.optim.base_learning_rate", "train.optim.base_lr"),
        ("dataset.val_batchsize", "dataset.val_batch_size"),
        ("modle.backbone", "model.backbone"),
        ("evaluate.check_point", "evaluate.checkpoint"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(refused, written, meant):
    error = refused("", f"{written}=1")
    assert error.found == f"unknown key {written} (command line)"
    assert error.fix == f"did you mean {meant}?"


def test_a_key_of_the_other_family_names_the_family_beside_the_nearest_key(refused):
    error = refused("", "train.batch_size=1")
    assert error.why == "ml_recog has such a key, and this is a spec of re_identification"
    assert error.fix == "use dataset.batch_size, or set family=ml_recog"


def test_an_unknown_key_in_a_file_names_its_line(refused):
    assert refused("train:\n  num_epochs: 1\n  epochs: 2\n").found == "unknown key train.epochs (spec.yaml, line 3)"


def test_a_value_for_a_whole_block_is_refused(refused):
    assert "name of a block of keys" in refused("train: 3\n").why


def test_all_problems_are_named_at_once(refused):
    error = refused(
        "train:\n  num_epochs: 0\n  nothing: 1\nmodel:\n  neck_feat: middle\n", "dataset.prob=1.5", "just-a-word"
    )
    assert error.found.startswith("5 problems in the spec")
    for part in ("train.num_epochs is 0", "train.nothing", "model.neck_feat is 'middle'", "dataset.prob is 1.5"):
        assert part in error.found
    assert "just-a-word" in error.found


@pytest.mark.parametrize(
    ("override", "needed"),
    [
        ("train.num_epochs=true", "a whole number, >= 1"),
        ("train.num_epochs=2.5", "a whole number, >= 1"),
        ("train.optim.base_lr=fast", "a number, >= 0, <= 1"),
        ("train.optim.base_lr=.nan", "a number, >= 0, <= 1"),
        ("model.label_smooth=maybe", "true or false"),
        ("model.neck=foo", 'one of bnneck, ""'),
        ("dataset.pixel_std=[0.5,0.5]", "field required"),
        ("dataset.pixel_std=[0.5,0,0.5]", "entry 2: "),
        ("train.gpu_ids=[0,-1]", "entry 2: "),
    ],
)
def test_a_value_of_the_wrong_type_or_out_of_bounds_says_what_is_needed(refused, override, needed):
    assert needed in refused("", override).why


@pytest.mark.parametrize("word", ["true", "True", "'true'", "yes", "on", "1"])
def test_every_spelling_of_true_is_true(word):
    assert load_spec("", None, [f"model.no_margin={word}"]).spec.model.no_margin is True


def test_choices_match_in_any_case():
    spec = load_spec("", None, ["train.optim.name=adamw", "evaluate.results_dir=/R"]).spec
    assert (spec.train.optim.name, spec.evaluate.results_dir) == ("AdamW", "/R")


@pytest.mark.parametrize("text", ["0123", "12e10", "1_000", "a: b", "#x", "@x", "k=v", "C:\\data", "{x", "true"])
def test_an_override_of_a_text_key_is_taken_letter_by_letter(text):
    assert load_spec("", None, [f"mlflow.parent_run={text}"]).spec.mlflow.parent_run == text


def test_a_run_id_that_looks_like_a_number_keeps_its_zeros_in_a_file(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("mlflow:\n  parent_run: 0123\n  model_name: 12.50\n")
    mlflow = load_spec("", file).spec.mlflow
    assert (mlflow.parent_run, mlflow.model_name) == ("0123", "12.50")


def test_an_override_may_be_a_mapping_and_may_start_with_hydras_plus():
    spec = load_spec("", None, ["train.optim={steps: [1, 2], gamma: 0.5}", "++train.seed=7"]).spec
    assert (spec.train.optim.lr_steps, spec.train.optim.gamma, spec.train.seed) == ((1, 2), 0.5, 7)


def test_the_last_override_wins_and_all_win_over_the_file(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("train: {seed: 1}")
    assert load_spec("", file, ["train.seed=2", "train.seed=3"]).spec.train.seed == 3


def test_a_setting_given_twice_on_the_command_line_with_two_values_is_a_warning():
    report = load_spec("", None, ["train.num_epochs=3", "learning_rate=0.1", "train.num_epochs=4"]).report
    assert report.warnings == (
        "train.num_epochs is 3 (command line), train.num_epochs is 4 (command line); the last one counts",
    )
    assert load_spec("", None, ["train.num_epochs=3", "train.num_epochs=3"]).report.warnings == ()


def test_wrong_values_hide_rules_over_several_keys_and_the_message_says_so(refused):
    hidden = refused("", "train.num_epochs=none", "dataset.batch_size=10")
    assert "batch_size" not in str(hidden)
    assert hidden.fix.splitlines()[-1] == "Rules that look at several keys are checked once each of them is valid."
    both = refused("", "train.epochs=3", "dataset.batch_size=10")  # an unknown key hides nothing
    assert "2 problems" in both.found
    assert "Rules that" not in both.fix


def test_an_unset_override_takes_a_value_of_the_file_back(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("dataset: {batch_size: 8}\nevaluate: {checkpoint: a.pth}\nmodel: {neck: bnneck}\n")
    spec = load_spec("evaluate", file, ["dataset.batch_size=null", "evaluate.checkpoint=", "model.neck="]).spec
    assert (spec.dataset.batch_size, spec.evaluate.checkpoint, spec.model.neck) == (64, "", "")


def test_a_reference_reaches_defaults_lists_and_numbers():
    spec = load_spec(
        "",
        None,
        [
            "train.validation_interval=${train.num_epochs}",
            "train.optim.lr_steps=['${train.num_epochs}', 20]",
            "mlflow.experiment=run-${train.seed}",
        ],
    ).spec
    assert (spec.train.validation_interval, spec.train.optim.lr_steps, spec.mlflow.experiment) == (
        10,
        (10, 20),
        "run-1234",
    )


def test_a_reference_may_name_an_environment_variable(monkeypatch):
    monkeypatch.setenv("REID_TEST_BUCKET", "s3://bucket")
    spec = load_spec("", None, ["dataset.train_dataset_dir=${oc.env:REID_TEST_BUCKET}/train.tar"]).spec
    assert spec.dataset.train_dataset_dir == "s3://bucket/train.tar"


@pytest.mark.parametrize(
    ("given", "why", "fix"),
    [
        ("results_dir=${oc.env:REID_NO_SUCH}", "the environment variable REID_NO_SUCH is not set", "or give the value"),
        (
            "encryption_key=${oc.env:REID_NO_SUCH}",
            "the environment variable REID_NO_SUCH is not set",
            "not belong into a spec",
        ),
        ("results_dir=${train.num_epoch}", "there is no key train.num_epoch", "full dotted name"),
        ("export.onnx_file=${export.onnx_file}", "the references lead back to the key itself", "the value of one"),
        ("results_dir=${results_dir", "a reference is not closed", "full dotted name"),
    ],
)
def test_a_reference_that_cannot_be_filled_in_says_why_without_jargon(refused, given, why, fix):
    error = refused("", given)
    assert error.why.startswith(why)
    assert fix in error.fix
    if "oc.env" in given:
        assert error.fix.startswith("export REID_NO_SUCH=... before the command")


def test_text_around_an_unset_key_is_unset_and_never_a_path_from_the_root():
    loaded = load_spec("", None, ["train.results_dir=${results_dir}/train", "export.onnx_file=${train.results_dir}/a"])
    assert (loaded.spec.train.results_dir, loaded.spec.export.onnx_file) == ("", "")
    assert len(loaded.report.warnings) == 2


@pytest.mark.parametrize("value", ["${nothing}", "${results_dir", "${export.onnx_file}"])
def test_a_reference_that_leads_nowhere_is_an_error(refused, value):
    error = refused("results_dir: /r\nexport: {onnx_file: a.onnx}\n", f"export.onnx_file={value}")
    assert "export.onnx_file" in error.found


@pytest.mark.parametrize("value", ["${eval:'1+1'}", "x/${oc.decode:abc}", "${hydra:runtime.cwd}"])
def test_resolvers_are_refused(refused, value):
    assert "uses the resolver" in refused("", f"results_dir={value}").found


def test_a_batch_of_10_with_4_instances_names_8_and_12():
    with pytest.raises(SpecError, match=r"dataset\.batch_size=8 or 12"):
        load_spec("train", None, ["dataset.batch_size=10"])


def test_a_batch_below_two_identities_names_the_smallest_that_works():
    with pytest.raises(SpecError, match=r"dataset\.batch_size=8 or more"):
        load_spec("train", None, ["dataset.batch_size=4"])


def test_one_identity_a_batch_is_enough_for_the_identity_loss_alone():
    assert load_spec("train", None, ["dataset.batch_size=4", "dataset.sampler=softmax"]).spec.dataset.batch_size == 4


def test_each_gpu_needs_whole_identities():
    with pytest.raises(SpecError, match=r"dataset\.batch_size=16 or 24"):
        load_spec("train", None, ["dataset.batch_size=20", "train.num_gpus=2"])


def test_rules_of_training_do_not_stop_an_evaluation():
    assert load_spec("evaluate", None, ["dataset.batch_size=10"]).spec.dataset.batch_size == 10


def test_intervals_longer_than_the_training_are_shortened_with_a_warning():
    loaded = load_spec(
        "train", None, ["train.num_epochs=3", "train.checkpoint_interval=10", "train.validation_interval=5"]
    )
    assert (loaded.spec.train.checkpoint_interval, loaded.spec.train.validation_interval) == (3, 3)
    assert len(loaded.report.warnings) == 2


def test_an_interval_in_steps_is_not_compared_with_epochs():
    spec = load_spec("train", None, ["train.checkpoint_interval=500", "train.checkpoint_interval_unit=step"]).spec
    assert spec.train.checkpoint_interval == 500


def test_a_center_loss_that_the_metric_loss_leaves_out_is_refused(refused):
    assert "triplet_center" in refused("", "model.with_center_loss=true").fix


def test_early_stopping_without_anything_to_validate_on_is_refused(refused):
    assert "dataset.query_dataset_dir" in refused("", "train.early_stopping=3").fix
    places = ("dataset.query_dataset_dir=q", "dataset.test_dataset_dir=g")
    assert load_spec("train", None, ["train.early_stopping=3", *places]).spec.train.early_stopping == 3


def test_a_backbone_that_is_frozen_to_the_end_or_random_is_a_warning():
    frozen = ["train.freeze_backbone_epochs=3", "train.num_epochs=3", "model.pretrain_choice="]
    assert [line.split("; ")[1][:12] for line in load_spec("train", None, frozen).report.warnings] == [
        "the backbone", "there is not"
    ]  # fmt: skip
    usual = ["train.freeze_backbone_epochs=1", "train.num_epochs=3"]
    assert load_spec("train", None, usual).report.warnings == ()


def test_a_metric_loss_with_centers_that_are_off_is_a_warning():
    assert "triplet loss alone" in load_spec("train", None, ["model.metric_loss_type=center"]).report.warnings[0]


def test_a_batch_of_zero_images_is_refused(refused):
    assert "evaluate.batch_size is 0" in refused("", "evaluate.batch_size=0", action="evaluate").found


def test_a_gpu_named_twice_is_refused(refused):
    assert "names a GPU twice" in refused("", "train.gpu_ids=[1,1]", "dataset.batch_size=64").found


@pytest.mark.parametrize("action", ["select", "train", ""])
def test_from_epoch_number_needs_an_epoch_before_any_training(refused, action):
    assert "select.epoch_number" in refused("", "select.method=from_epoch_number", action=action).found


def test_the_report_keeps_what_was_given_beside_what_it_became(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("results_dir: /r\ntrain: {results_dir: '${results_dir}/t', optim: {steps: [1]}}\n")
    report = load_spec("train", file).report
    assert report.given["train.results_dir"] == "${results_dir}/t"
    assert report.normalised["train.results_dir"] == "/r/t"
    assert "train.optim.steps" in report.given
    assert report.normalised["train.optim.lr_steps"] == [1]


def test_yaml_anchors_and_merge_keys_work(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text(
        "evaluate: &data {test_dataset: /g, query_dataset: /q}\ninference: {<<: *data, query_dataset: /p}\n"
    )
    spec = load_spec("", file).spec
    assert (spec.inference.test_dataset, spec.inference.query_dataset) == ("/g", "/p")


def _values_of(key):
    if key.choices:
        return st.sampled_from(key.choices)
    if key.kind == "bool":
        return st.booleans()
    if key.kind == "string":
        return st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1).filter(
            lambda text: text != "???"
        )
    if key.kind == "float":
        lower = key.at_least if key.at_least is not None else key.above or 0.0
        return st.floats(lower, key.at_most or 1e6, exclude_min=key.above is not None)
    return st.integers(max(int(key.at_least or 0), 1) if key.multiple_of is None else 1, 30).map(
        lambda number: number * (key.multiple_of or 1)
    )


_FREE = {
    path: _values_of(key)
    for path, key in spec_keys().items()
    if key.kind != "list" and path not in ("model.input_channels", "export.opset_version", "encryption_key")
}


@given(st.fixed_dictionaries({}, optional=_FREE))
def test_any_valid_spec_is_the_same_after_dump_and_load(tmp_path_factory, values):
    spec = ReIdentificationSpec.model_validate(nested({**values, **_coherent(values)}))
    file = tmp_path_factory.mktemp("dump") / "experiment.yaml"
    file.write_text(dump_spec(spec), encoding="utf-8")
    assert load_spec("evaluate", file).spec == spec


def _coherent(values):
    """The keys that the loader would otherwise change or refuse together with others."""
    blocks = ("train", "evaluate", "inference")
    return {f"{block}.gpu_ids": tuple(range(values.get(f"{block}.num_gpus", 1))) for block in blocks} | {
        "train.validation_interval": 1,
        "train.checkpoint_interval": 1,
        "model.id_loss_type": "softmax",
        "select.epoch_number": values.get("select.epoch_number", 0),
    }


@pytest.mark.parametrize(
    "text", ["${results_dir}", "\\${x}", "a\\\\${b}", "$", "{}", "'\"", " x ", "on", "1e3", "${eval:1}"]
)
def test_text_that_looks_like_something_else_survives_dump_and_load(tmp_path, text):
    spec = ReIdentificationSpec.model_validate({"model_name": text})
    file = tmp_path / "experiment.yaml"
    file.write_text(dump_spec(spec))
    assert load_spec("", file).spec.model_name == text


@pytest.mark.parametrize("passphrase", ["open sesame", "${results_dir}", "123", "a: b # c"])
def test_a_passphrase_is_never_written_down_and_is_asked_for_in_the_environment(tmp_path, monkeypatch, passphrase):
    monkeypatch.setenv("REID_ENCRYPTION_KEY", passphrase)
    spec = load_spec("", None, ["encryption_key=${oc.env:REID_ENCRYPTION_KEY}"]).spec
    assert spec.encryption_key == passphrase
    assert flatten_spec(spec)["encryption_key"] == "${oc.env:REID_ENCRYPTION_KEY}"
    file = tmp_path / "experiment.yaml"
    file.write_text(dump_spec(spec))
    assert yaml.safe_load(file.read_text())["encryption_key"] == "${oc.env:REID_ENCRYPTION_KEY}"
    assert load_spec("", file).spec == spec

    monkeypatch.delenv("REID_ENCRYPTION_KEY")
    with pytest.raises(SpecError, match=r"REID_ENCRYPTION_KEY is not set\. export REID_ENCRYPTION_KEY="):
        load_spec("", file)
    assert load_spec("", file, ["encryption_key=given again"]).spec.encryption_key == "given again"


def test_flattened_values_are_plain_and_cover_every_key():
    flat = flatten_spec(ReIdentificationSpec())
    assert list(flat) == list(spec_keys())
    assert flat["train.optim.lr_steps"] == [40, 70]


def test_a_spec_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        ReIdentificationSpec().train.num_epochs = 3
