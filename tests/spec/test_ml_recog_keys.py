"""Every key of TAO's ml_recog, with its default, bounds and flags, and what the written schemas make of it."""

import json
import re

import jsonschema
import pytest
import yaml

from reid.spec.editor import editor_schema
from reid.spec.families import FAMILIES
from reid.spec.keys import SPEC_ACTIONS, TAO_ACTIONS, spec_keys
from reid.spec.load import load_spec
from reid.spec.ml_recog import MlRecogSpec
from reid.spec.schema import action_schema, write_schemas
from reid.spec.templates import default_specs, template, template_values
from tests.spec.ml_recog_keys import rows

KEYS = spec_keys("ml_recog")

ROWS = [row for row in rows() if row[0] != "dataset.val_dataset"]
"""`dataset.val_dataset` is a key with a mapping in TAO and a block of two keys here."""

PART = ("base_lr", "bias_lr_factor", "momentum", "weight_decay", "weight_decay_bias")

SEARCHED = {
    *(f"train.optim.{part}.{name}" for part in ("trunk", "embedder") for name in PART),
    "train.optim.gamma",
    "train.optim.warmup_factor",
    "train.optim.warmup_iters",
    "train.optim.triplet_loss_margin",
    "train.optim.miner_function_margin",
}


def _flags(key):
    automl = {True: ["AUTOML"], False: ["automl off"]}.get(key.automl, [])
    return ["popular", *automl] if key.popular else automl


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_key_has_the_type_default_bounds_and_flags_that_tao_gives_it(row):
    path, kind, default, bounds, flags = row
    key = KEYS[path]
    limits = re.match(r"\[(\S+), (\S+?)\]", bounds)
    low, high = limits.groups() if limits else (None, None)
    condition = re.search(r"cond (.+)$", bounds)
    choices = re.match(r"enum (\S+)", bounds)
    dependence = re.match(r"depends_on (\S+)", bounds)
    assert {
        "type": key.tao_type,
        "default": "???" if key.mandatory else key.default,
        "bounds": (key.tao_minimum, key.tao_maximum),
        "choices": (key.tao_choices or key.choices) if choices else (),
        "condition": key.math_cond,
        "depends_on": key.depends_on,
        "parent_param": key.parent_param,
        "flags": [
            *(["popular"] if key.popular else []),
            *({True: ["AUTOML"], False: ["automl off"]}.get(key.automl, [])),
        ],
        "ours": key.ours,
    } == {
        "type": kind,
        "default": "???" if default == "???" else "" if default == "null" else json.loads(default),
        "bounds": (float(low) if low else None, float(high) if high and high not in ("-", "inf") else None),
        "choices": tuple(choices[1].split("/")) if choices else (),
        "condition": condition[1] if condition else "",
        "depends_on": dependence[1] if dependence else "",
        "parent_param": bounds == "parent_param",
        "flags": [flag for flag in flags.split(", ") if flag],
        "ours": False,
    }


def test_a_key_that_tao_does_not_have_is_marked_as_ours():
    known = {path for path, *_ in ROWS} | {"dataset.val_dataset.reference", "dataset.val_dataset.query"}
    assert {path for path, key in KEYS.items() if not key.ours and key.block != "wandb"} == known


def test_keys_that_mean_the_same_in_both_families_have_one_kind_and_one_place():
    other = spec_keys("re_identification")
    both = [path for path in KEYS if path in other]
    assert [path for path in both if KEYS[path].kind != other[path].kind] == []
    shared = {path for path in other if path.split(".")[0] in ("select", "register", "promote", "re_ranking", "mlflow")}
    assert shared <= set(both)


def test_every_key_is_described_by_a_sentence():
    assert [k.path for k in KEYS.values() if not k.description.endswith(".") or len(k.description) > 220] == []


def test_the_fifteen_parameters_of_taos_search_are_named_and_the_containers_are_not_searched():
    schema = action_schema("train", "ml_recog")
    assert len(SEARCHED) == 15
    assert set(schema["automl_default_parameters"]) == SEARCHED
    disabled = set(schema["automl_disabled_parameters"])
    assert {"train.optim", "train.optim.trunk", "train.optim.steps", "dataset.gaussian_blur.kernel"} <= disabled
    assert not disabled & SEARCHED


def test_conditions_and_dependences_reach_the_schema():
    leaves = action_schema("train", "ml_recog")["properties"]
    rate = leaves["train"]["properties"]["optim"]["properties"]["trunk"]["properties"]["base_lr"]
    assert (rate["math_cond"], rate["minimum"], rate["maximum"], rate["automl_enabled"]) == ("> 0.0", 0, 1, True)
    kernel = leaves["dataset"]["properties"]["gaussian_blur"]["properties"]["kernel"]
    assert (kernel["depends_on"], kernel["type"]) == ("model.input_height,model.input_width", "list_3")
    model = leaves["model"]["properties"]
    assert model["input_width"]["parent_param"] is True
    assert model["backbone"]["enum"][-1] == "nvdinov2_vit_large_legacy"


def test_the_popular_block_is_taos():
    popular = action_schema("evaluate", "ml_recog")["popular"]
    assert {block: sorted(keys) for block, keys in popular.items()} == {
        "train": ["checkpoint_interval", "gpu_ids", "num_epochs", "num_gpus", "num_nodes", "validation_interval"],
        "evaluate": ["gpu_ids", "num_gpus", "num_nodes"],
    }


def test_the_written_files_are_those_of_taos_skill_under_the_familys_name(tmp_path):
    files = [str(path.relative_to(tmp_path)) for path in write_schemas(tmp_path, "ml_recog")]
    assert files == sorted(
        [
            "references/skill_info.yaml",
            *(f"references/spec_template_{action}.yaml" for action in TAO_ACTIONS),
            *(f"schemas/{action}.schema.json" for action in TAO_ACTIONS),
            "schemas/manifest.json",
            "schemas/ml_recog.json",
        ]
    )
    manifest = json.loads((tmp_path / "schemas/manifest.json").read_text())
    assert (manifest["network_arch"], list(manifest["actions"])) == ("ml_recog", list(TAO_ACTIONS))
    assert set(manifest["actions"]["train"]["automl_default_parameters"]) == SEARCHED
    info = yaml.safe_load((tmp_path / "references/skill_info.yaml").read_text())
    assert (info["network_arch"], info["gpu_spec_key"]) == ("ml_recog", "train.num_gpus")
    assert info["actions"]["train"]["command"] == "ml_recog train -e {spec}"
    assert info["spec_params"]["train"]["model.pretrained_model_path"] == "ptm_if_no_resume_model"
    assert info["spec_shorthand_keys"]["trunk_learning_rate"] == "train.optim.trunk.base_lr"
    assert info["data_sources"]["inference"]["inference.input_path"]["path"].endswith("unknown_classes/test.tar.gz")


@pytest.mark.parametrize("action", SPEC_ACTIONS)
def test_a_template_loads_by_its_own_word_for_its_family_and_equals_the_defaults(tmp_path, action):
    file = default_specs(tmp_path, "ml_recog")[action]
    bigger = ["train.batch_size=8"] if action == "train" else []  # the default batch cannot train
    assert load_spec(action, file, bigger).spec == load_spec("select", None, bigger, "ml_recog").spec
    assert yaml.safe_load(template(action, "ml_recog")) == template_values(action, "ml_recog")


@pytest.fixture(scope="module")
def editor():
    schema = editor_schema("ml_recog")
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("action", SPEC_ACTIONS)
def test_an_editor_accepts_every_template(editor, action):
    assert list(editor.iter_errors(template_values(action, "ml_recog"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "train: {optim: {trunk: {base_lr: 2}}}",
        "dataset: {train_dataset_dir: /data}",
        "inference: {inference_input_type: video}",
        "family: re_identification",
        "dataset: {val_dataset: {reference: /r, test: /t}}",
    ],
)
def test_an_editor_underlines_what_the_loader_refuses(editor, text):
    assert list(editor.iter_errors(yaml.safe_load(text)))


def test_the_committed_key_table_is_current(request):
    from reid.spec.reference import reference_page

    page = FAMILIES["ml_recog"].page
    written = (request.config.rootpath / page).read_text(encoding="utf-8")
    assert written == reference_page("ml_recog"), f"run `reid schema --family ml_recog --docs {page}`"


def test_the_defaults_are_a_spec_of_the_family():
    assert load_spec("evaluate", None, (), "ml_recog").spec == MlRecogSpec()
