import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from reid.spec.editor import editor_schema
from reid.spec.keys import SPEC_ACTIONS, TAO_ACTIONS
from reid.spec.load import load_spec
from reid.spec.re_identification import ReIdentificationSpec
from reid.spec.reference import reference_page
from reid.spec.schema import write_schemas
from reid.spec.templates import default_specs, template, template_values

_REPOSITORY = Path(__file__).parents[2]


def _strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skill")
    write_schemas(folder)
    return folder


@pytest.fixture(scope="module")
def schemas(folder):
    return {action: _strict((folder / "schemas" / f"{action}.schema.json").read_text()) for action in TAO_ACTIONS}


def _leaves(properties, prefix=""):
    for name, value in properties.items():
        if value["type"] == "object":
            yield from _leaves(value["properties"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_files_are_those_of_a_skill_and_all_json_is_strict(folder):
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    templates = [f"references/spec_template_{action}.yaml" for action in sorted(TAO_ACTIONS)]
    assert files == [
        "references/skill_info.yaml",
        *templates,
        *sorted([*(f"schemas/{action}.schema.json" for action in TAO_ACTIONS), "schemas/manifest.json"])[:3],
        "schemas/manifest.json",
        "schemas/re_identification.json",
        "schemas/train.schema.json",
    ]
    for path in folder.rglob("*.json"):
        _strict(path.read_text())


def test_an_actions_schema_holds_the_blocks_that_taos_holds(schemas):
    blocks = {"wandb", "model", "dataset", "train", "re_ranking"}
    for action in ("evaluate", "inference", "export"):
        assert blocks | {action} <= set(schemas[action]["properties"])
    assert not {"evaluate", "inference", "export"} & set(schemas["train"]["properties"])
    assert set(schemas["train"]) == {
        "automl_default_parameters",
        "automl_disabled_parameters",
        "default",
        "popular",
        "properties",
        "type",
        "x_tao_schema",
    }


def test_bounds_are_those_of_taos_schema_and_infinite_ones_are_left_out(schemas):
    leaves = dict(_leaves(schemas["train"]["properties"]))
    assert (leaves["model.feat_dim"]["minimum"], leaves["model.feat_dim"]["maximum"]) == (32, 768)
    assert leaves["dataset.batch_size"]["minimum"] == 1
    assert "maximum" not in leaves["dataset.batch_size"]
    assert leaves["train.optim.lr_steps"]["type"] == "list_2"
    assert leaves["train.checkpoint_interval_unit"]["enum"] == ["epoch", "step"]


def test_automl_lists_are_those_of_the_reference(schemas):
    assert schemas["train"]["automl_default_parameters"] == ["train.optim.lr_steps"]
    disabled = (
        "wandb wandb.tags model model.stride_size dataset dataset.pixel_mean dataset.pixel_std train train.gpu_ids"
    )
    disabled += (
        " train.cudnn train.optim evaluate evaluate.gpu_ids inference inference.gpu_ids export re_ranking mlflow"
    )
    assert schemas["train"]["automl_disabled_parameters"] == disabled.split()


def test_the_popular_block_is_that_of_the_reference(schemas):
    popular = schemas["evaluate"]["popular"]
    assert {block: sorted(keys) for block, keys in popular.items()} == {
        "dataset": ["batch_size", "num_classes", "num_instances", "num_workers", "val_batch_size"],
        "model": ["backbone"],
        "re_ranking": ["k1", "k2", "max_rank", "num_query"],
        "train": ["checkpoint_interval", "gpu_ids", "num_epochs", "num_gpus", "num_nodes", "validation_interval"],
        "evaluate": ["gpu_ids", "num_gpus", "num_nodes"],
    }


def test_the_default_of_a_schema_is_its_template(folder, schemas):
    for action in TAO_ACTIONS:
        written = yaml.safe_load((folder / "references" / f"spec_template_{action}.yaml").read_text())
        assert written == schemas[action]["default"]
    assert schemas["evaluate"]["default"]["evaluate"]["checkpoint"] == "???"


def test_the_manifest_names_files_that_exist(folder):
    manifest = _strict((folder / "schemas" / "manifest.json").read_text())
    assert (manifest["network_arch"], manifest["schema_version"], manifest["failures"]) == ("re_identification", 1, {})
    for action in manifest["actions"].values():
        assert (folder / action["path"]).is_file()
        assert (folder / action["spec_template"]).is_file()


def test_skill_info_maps_parents_and_shorthands_as_the_skill_does(folder):
    info = yaml.safe_load((folder / "references" / "skill_info.yaml").read_text())
    assert info["spec_params"]["evaluate"]["evaluate.checkpoint"] == "parent_model"
    assert info["spec_params"]["train"]["train.resume_training_checkpoint_path"] == "resume_model"
    assert info["spec_shorthand_keys"]["learning_rate"] == "train.optim.base_lr"
    assert info["data_sources"]["train"]["dataset.query_dataset_dir"]["path"] == "sample_query.tar.gz"
    assert info["actions"]["train"]["upload_excludes"] == ["inputs/"]


@pytest.mark.parametrize("action", SPEC_ACTIONS)
def test_a_template_loads_unchanged_and_equals_the_defaults(tmp_path, action):
    file = default_specs(tmp_path)[action]
    assert load_spec(action, file).spec == ReIdentificationSpec()
    assert yaml.safe_load(template(action)) == template_values(action)


@pytest.fixture(scope="module")
def editor():
    schema = editor_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("action", SPEC_ACTIONS)
def test_an_editor_accepts_every_template(editor, action):
    assert list(editor.iter_errors(template_values(action))) == []


@pytest.mark.parametrize(
    "text",
    [
        "results_dir: /r\ntrain: {results_dir: '${results_dir}/train', optim: {steps: [1, 2]}}",
        "model_config: {backbone: resnet_50}\noptim: {base_lr: 0.1}\nnum_epochs: 3",
        "automl_policy: auto\nwandb:\nmodel: {neck: , divide_length: 4}",
        "train: {num_epochs: '${dataset.batch_size}', gpu_ids: [0, 1]}",
    ],
)
def test_an_editor_accepts_what_the_loader_accepts(editor, tmp_path, text):
    file = tmp_path / "spec.yaml"
    file.write_text(text)
    load_spec("", file)
    assert list(editor.iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "foo: 1",
        "train: {num_epochs: 0}",
        "train: {optim: {name: foo}}",
        "model_config: {neck_feat: middle}",
        "dataset: {pixel_mean: [0.5]}",
        "train: {gpu_ids: [a]}",
        "model: {input_width: 100}",
    ],
)
def test_an_editor_underlines_what_the_loader_refuses(editor, text):
    assert list(editor.iter_errors(yaml.safe_load(text)))


def test_the_committed_key_table_is_current():
    written = (_REPOSITORY / "docs" / "spec.md").read_text(encoding="utf-8")
    assert written == reference_page(), "run `reid schema --docs docs/spec.md`"
