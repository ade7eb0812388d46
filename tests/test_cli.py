import json
import logging
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml

from reid.cli import main, ml_recog_main, re_identification_main
from reid.cli.actions import ACTIONS
from reid.cli.programs import FAMILY_PROGRAMS
from reid.spec.families import FAMILIES
from reid.spec.keys import SPEC_ACTIONS
from reid.spec.load import load_spec

_REPOSITORY = Path(__file__).parents[1]
_HEAVY = ("torch", "mlflow", "prefect", "lightning", "pytorch_lightning", "timm", "rich", "matplotlib")


def _imported_by(*arguments):
    """Modules that a fresh interpreter has loaded after running the command line."""
    code = f"import sys; from reid.cli import main; main({list(arguments)!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=_REPOSITORY, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_help_imports_neither_pydantic_nor_anything_heavier():
    assert not _imported_by("--help") & {*_HEAVY, "pydantic", "omegaconf", "yaml"}


@pytest.mark.parametrize("arguments", [("spec", "check", "train.num_epochs=3"), ("train", "--help")])
def test_spec_check_and_an_actions_help_import_nothing_heavy(arguments):
    assert not _imported_by(*arguments) & set(_HEAVY)


@pytest.mark.parametrize("action", ["train", "evaluate"])
def test_a_wrong_path_is_told_before_the_slow_imports(tmp_path, action):
    (tmp_path / "images").mkdir()
    places = [f"dataset.{name}_dataset_dir={tmp_path}/images" for name in ("train", "test", "query")]
    loaded = _imported_by(action, f"results_dir={tmp_path}/results", *places)
    assert "torch" in loaded
    assert not loaded & {"timm", "torchvision", "pytorch_lightning"}


@pytest.mark.parametrize("action", SPEC_ACTIONS)
def test_every_actions_help_shows_an_example_and_spec_keys_with_defaults(capsys, action):
    assert main([action, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"reid {action} -e spec.yaml results_dir=results" in text
    assert "Spec keys, popular ones:" in text
    assert "results_dir=" in text
    assert ("device=auto" in text) == (action in ("train", "evaluate", "inference", "export"))


def test_popular_keys_come_first_in_help(capsys):
    assert main(["train", "--help-all"]) == 0
    text = capsys.readouterr().out
    assert text.index("train.num_epochs=10") < text.index("Other spec keys") < text.index("train.optim.gamma=0.1")


@pytest.mark.parametrize("action", SPEC_ACTIONS)
def test_an_actions_help_is_short_ends_with_the_example_and_says_where_the_other_keys_are(capsys, action):
    main([action, "--help"])
    text = capsys.readouterr().out
    assert "Other spec keys" not in text
    assert len(text.splitlines()) < 125  # of 80 columns
    assert f"reid {action} -e spec.yaml" in text.partition("Example:")[2]
    if action in ("train", "evaluate"):
        assert re.search(r"\d+ more keys: --help-all, or docs/spec.md", text)


@pytest.mark.parametrize("program", [re_identification_main, ml_recog_main])
def test_a_familys_command_has_taos_verbs_and_ours_that_take_a_spec(capsys, program):
    assert program(["--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.splitlines() if line[2:3].strip()] == [*SPEC_ACTIONS, "default_specs"]


def test_there_is_a_command_for_each_family_of_specs():
    assert list(FAMILY_PROGRAMS) == list(FAMILIES)


def test_every_example_of_an_action_loads_as_a_spec_of_the_family_whose_command_shows_it():
    for action, said in ACTIONS.items():
        assert said.own_examples.keys() <= FAMILIES.keys()
        for family in FAMILIES:
            example = said.own_examples.get(family, said.example)
            load_spec(action, None, example.split(), family)


@pytest.mark.parametrize("action", SPEC_ACTIONS)
def test_help_of_ml_recog_lists_the_keys_of_its_own_spec(capsys, action):
    assert ml_recog_main([action, "--help-all"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"ml_recog {action} -e spec.yaml results_dir=results" in text
    assert "family=ml_recog" in text
    assert ("dataset.val_dataset.reference=" in text) == (action not in ("select", "register", "promote"))
    assert "dataset.num_instances" not in text
    assert "docs/spec-ml- recog.md" in text


def test_help_of_reid_tells_where_the_other_familys_keys_are(capsys):
    main(["train", "--help"])
    assert "see `ml_recog train --help`" in " ".join(capsys.readouterr().out.split())


def test_ml_recog_reads_its_own_specs_without_a_word_of_the_family_and_refuses_others(tmp_path, capsys):
    file = tmp_path / "spec.yaml"
    file.write_text("dataset: {num_instance: 2}\ninference: {input_path: photo.jpg}\n")
    assert ml_recog_main(["train", "-e", str(file), "train.optim.trunk.base_lr=0.1"]) == 2
    assert "results_dir is not set" in capsys.readouterr().err
    assert ml_recog_main(["train", "-e", str(file), "family=re_identification"]) == 2
    assert "the spec is of the family re_identification (command line), and this is ml_recog" in capsys.readouterr().err


def test_reid_takes_a_spec_of_either_family_and_checks_it(tmp_path, capsys):
    file = tmp_path / "spec.yaml"
    file.write_text("family: ml_recog\ntrain: {batch_size: 8}\ngen_trt_engine: {tensorrt: {data_type: int8}}\n")
    assert main(["spec", "check", "-e", str(file), "dataset.num_instance=2"]) == 0
    text = capsys.readouterr().out
    assert yaml.safe_load(text)["dataset"]["num_instance"] == 2
    assert "No effect: gen_trt_engine.tensorrt.data_type: no TensorRT engine is built by this release" in text


def test_spec_check_prints_a_spec_that_can_be_loaded_and_the_report_as_comments(tmp_path, capsys):
    file = tmp_path / "spec.yaml"
    file.write_text("model: {cos_layer: true}\ntrain: {optim: {steps: [5]}}\n")
    assert main(["spec", "check", "train.num_epochs=20", "-e", str(file)]) == 0
    text = capsys.readouterr().out
    assert yaml.safe_load(text)["train"]["optim"]["lr_steps"] == [5]
    assert yaml.safe_load(text)["train"]["num_epochs"] == 20
    assert "# Read as train.optim.lr_steps: train.optim.steps (spec.yaml, line 2)" in text
    assert "# No effect: model.cos_layer: TAO stores it and never reads it; neither do we" in text


def test_spec_check_of_a_bad_spec_exits_with_2_and_labels_the_parts_of_the_error(capsys):
    assert main(["spec", "check", "train.num_epoch=20"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: unknown key train.num_epoch (command line)",
        "why:   no action reads a key of this name",
        "next:  did you mean train.num_epochs?",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("train.num_epochs", "3"),
        ("train.num_epochs=", "3"),
        ("train.num_epochs", "=3"),
        ("train.num_epochs", "=", "3"),
        ("train.seed=1", "train.num_epochs", "3", "train.seed=2"),
    ],
)
def test_a_setting_cut_in_two_by_a_space_is_put_together_again(capsys, words):
    assert main(["spec", "check", *words]) == 2
    assert "next:  did you mean train.num_epochs=3?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("nonsense",), ("train.num_epochs",), ("nonsense", "3"), ("3", "train.num_epochs")])
def test_words_about_which_there_is_nothing_to_guess_are_named(capsys, words):
    assert main(["spec", "check", *words]) == 2
    assert "is not key=value" in capsys.readouterr().err


def test_a_mistyped_dataset_check_is_recognised(capsys):
    assert main(["dataset", "chek"]) == 2
    assert "next:  did you mean reid dataset check?" in capsys.readouterr().err


def test_spec_check_for_another_action_leaves_the_rules_of_training_out():
    assert main(["spec", "check", "dataset.batch_size=10"]) == 2
    assert main(["spec", "check", "dataset.batch_size=10", "--action", "evaluate"]) == 0


def test_spec_check_as_json_has_the_spec_and_all_layers_of_the_report(capsys):
    assert main(["spec", "check", "--json", "learning_rate=0.1"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["spec"]["train.optim.base_lr"] == 0.1
    assert document["given"] == {"learning_rate": 0.1}
    assert document["normalised"] == {"train.optim.base_lr": 0.1}
    assert document["aliases"][0]["used"] == "train.optim.base_lr"


@pytest.mark.parametrize("option", ["-e", "--experiment_spec_file", "--experiment_spec"])
def test_the_spec_file_has_three_option_names_and_may_stand_last(tmp_path, capsys, option):
    file = tmp_path / "spec.yaml"
    file.write_text("train: {seed: 5}")
    assert main(["spec", "check", "train.num_epochs=3", option, str(file)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["train"]["seed"] == 5


def test_default_specs_writes_one_template_for_each_action(tmp_path, capsys):
    assert re_identification_main(["default_specs", f"results_dir={tmp_path / 'out'}"]) == 0
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == sorted(SPEC_ACTIONS)


def test_default_specs_of_ml_recog_writes_its_own_templates(tmp_path):
    assert ml_recog_main(["default_specs", f"results_dir={tmp_path}"]) == 0
    assert main(["default_specs", f"results_dir={tmp_path / 'same'}", "family=ml_recog"]) == 0
    for action in SPEC_ACTIONS:
        text = (tmp_path / f"{action}.yaml").read_text()
        assert yaml.safe_load(text)["family"] == "ml_recog"
        assert (tmp_path / "same" / f"{action}.yaml").read_text() == text


def test_default_specs_takes_results_dir_from_a_spec_file_too(tmp_path, capsys):
    file = tmp_path / "spec.yaml"
    file.write_text(f"results_dir: {tmp_path / 'out'}\n")
    assert main(["default_specs", "-e", str(file)]) == 0
    assert (tmp_path / "out" / "train.yaml").is_file()


def test_default_specs_without_a_folder_says_what_to_add(capsys):
    assert main(["default_specs"]) == 2
    assert "next:  add results_dir=DIR" in capsys.readouterr().err


def test_schema_writes_schemas_and_the_key_table(tmp_path, capsys):
    assert main(["schema", "--out", str(tmp_path), "--docs", str(tmp_path / "spec.md")]) == 0
    assert (tmp_path / "schemas" / "manifest.json").is_file()
    assert (tmp_path / "spec.md").read_text() == (_REPOSITORY / "docs" / "spec.md").read_text()


def test_written_schemas_promise_no_search_that_does_not_exist(tmp_path):
    assert main(["schema", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "schemas" / "manifest.json").read_text())["automl_enabled"] is False
    assert yaml.safe_load((tmp_path / "references" / "skill_info.yaml").read_text())["automl_enabled"] is False


def test_help_of_sample_shows_defaults_and_least_values(capsys):
    assert main(["sample", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for bounds in ("[default: 96; x>=4]", "[default: 4; x>=2]", "[default: 0; x>=0]", "[default: one a core]"):
        assert bounds in text
    assert main(["sample", "--identities", "3"]) == 2


@pytest.mark.parametrize("arguments", [["nothing"], ["train", "--nothing"], ["spec", "check", "--action", "nothing"]])
def test_a_command_line_that_cannot_be_parsed_exits_with_2(capsys, arguments):
    assert main(arguments) == 2


def test_an_unforeseen_error_is_one_line_and_debug_shows_where_it_comes_from(tmp_path, capsys):
    assert main(["schema", "--docs", str(tmp_path)]) == 1  # a folder where a file should go
    quiet = capsys.readouterr().err
    assert quiet.startswith("error: ")
    assert "--debug" in quiet
    assert "Traceback" not in quiet
    assert main(["schema", "--docs", str(tmp_path), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_file_that_is_named_wrongly_exits_with_2(tmp_path, capsys):
    picture, gallery = tmp_path / "a.jpg", tmp_path / "absent.parquet"
    assert main(["search", str(picture), "--gallery", str(gallery)]) == 2
    assert main(["export", f"results_dir={tmp_path}", f"export.checkpoint={tmp_path}/absent.pth"]) == 2
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    capsys.readouterr()


def test_log_lines_go_to_stderr_and_the_command_leaves_no_handler_behind(tmp_path, capsys):
    before = list(logging.getLogger("reid").handlers)
    assert main(["default_specs", f"results_dir={tmp_path}", "learning_rate=0.1"]) == 0
    assert "learning_rate (command line) is read as train.optim.base_lr" in capsys.readouterr().err
    assert logging.getLogger("reid").handlers == before


def test_ctrl_c_exits_with_130(tmp_path):
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a background job ignores it
    code += "; import sys; from reid.cli import main; import reid.spec.load; print('ready', flush=True)"
    code += "; sys.exit(main(['spec', 'check', '-e', sys.argv[1]]))"
    never_written = tmp_path / "spec.yaml"
    os.mkfifo(never_written)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(never_written)],
        cwd=_REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.5)  # it now waits for somebody to write the spec
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_closed_pipe_is_no_error(reader):
    command = f"{sys.executable} -c 'from reid.cli import main; raise SystemExit(main())' spec check | {reader}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=_REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _complete(*words):
    program, *_ = words
    environment = os.environ | {
        f"_{program.upper()}_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    function = "main" if program == "reid" else f"{program}_main"
    code = f"import sys; sys.argv[0] = {program!r}; from reid.cli import {function}; {function}()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_REPOSITORY, env=environment, capture_output=True, text=True
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_the_shell_completes_commands_keys_and_choices():
    assert _complete("reid", "exp") == ["export"]
    assert _complete("reid", "train", "train.optim.lr") == ["train.optim.lr_steps=", "train.optim.lr_monitor="]
    assert _complete("reid", "train", "model.neck_feat=") == ["model.neck_feat=before", "model.neck_feat=after"]
    recognition = "family=ml_recog"
    assert _complete("reid", "train", recognition, "train.optim.st") == ["train.optim.steps="]
    assert _complete("ml_recog", "train", "train.optim.trunk.base") == ["train.optim.trunk.base_lr="]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_serve_all_commands(capsys, shell):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "_REID_COMPLETE" in text
    assert "_RE_IDENTIFICATION_COMPLETE" in text
    assert "_ML_RECOG_COMPLETE" in text


def test_help_of_register_lists_the_keys_that_say_where_the_export_and_its_figures_are(capsys):
    assert main(["register", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(key in text for key in ("export.onnx_file=", "evaluate.results_dir=", "mlflow.model_name="))
    assert "dataset." not in text.partition("Spec keys")[2]


def test_version_as_a_switch_is_one_line(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("reid 0.")


def test_version_names_the_packages_of_a_bug_report(capsys):
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("reid 0.")


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Overrides that name a drawn sample: 4 people, 2 cameras, 2 images of each by each."""
    folder = tmp_path_factory.mktemp("sample")
    size = ("--identities", "4", "--cameras", "2", "--images-per-camera", "2", "--workers", "1")
    assert main(["sample", "--out", str(folder), *size]) == 0
    places = [f"dataset.{name}_dataset_dir={folder}/sample_{name}.tar.gz" for name in ("train", "test", "query")]
    return [*places, f"dataset.cache_dir={folder}/cache"]


def _table(text):
    """Cells of a printed table by the text before them; cells stand two spaces apart."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]
    return {row[0]: row[1:] for row in rows}


def test_dataset_check_needs_no_results_folder_and_writes_none(tmp_path, monkeypatch, capsys, archives):
    monkeypatch.chdir(tmp_path)
    few = ["dataset.batch_size=4", "dataset.num_instances=2", "mlflow.enable=true"]
    assert main(["dataset", "check", *archives, *few]) == 0
    rows = _table(capsys.readouterr().out)
    # 2 x 2 x 2; one query of each person and camera; the rest, 2 junk, 2 distractors
    assert rows["images"] == ["8", "4", "8"]
    assert rows["identities"] == ["2", "2", "2"]
    assert rows["junk (-1), dropped"] == ["0", "0", "2"]
    assert rows["queries without a match by another camera"] == ["0"]
    assert list(tmp_path.iterdir()) == []


def test_dataset_check_of_too_few_people_shows_the_table_and_then_the_error(capsys, archives):
    assert main(["dataset", "check", *archives]) == 2  # a batch of 64 by 4 wants 16 identities
    said = capsys.readouterr()
    assert _table(said.out)["identities"] == ["2", "2", "2"]
    assert "has 2 identities (8 images)" in said.err


def test_dataset_check_of_an_empty_folder_shows_its_zeros_and_names_folder_and_key(tmp_path, capsys, archives):
    empty = f"dataset.query_dataset_dir={tmp_path}"
    assert main(["dataset", "check", *archives, empty, "dataset.batch_size=4", "dataset.num_instances=2"]) == 2
    said = capsys.readouterr()
    assert _table(said.out)["images"] == ["8", "0", "8"]
    assert f"error: the query folder {tmp_path} (dataset.query_dataset_dir) holds no image" in said.err


def test_dataset_check_is_narrow_and_names_what_it_counts_as_odd(tmp_path, capsys, archives):
    with tarfile.open(archives[2].partition("=")[2]) as archive:
        archive.extractall(tmp_path, filter="data")
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "notes.txt"):
        (tmp_path / "sample_query" / name).write_bytes(b"no picture")
    given = [f"dataset.query_dataset_dir={tmp_path}", "dataset.batch_size=4", "dataset.num_instances=2"]
    assert main(["dataset", "check", *archives, *given]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  names that do not follow the naming: a.jpg, b.jpg, c.jpg and 1 more" in lines
    assert "  other files: notes.txt" in lines
    assert max(len(line) for line in lines if "/" not in line) <= 100


def test_dataset_check_as_json_is_the_report_alone(capsys, archives):
    assert main(["dataset", "check", *archives, "dataset.batch_size=4", "dataset.num_instances=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subsets"]["train"]["images"] == 8


def test_the_dataset_action_prints_its_figures_as_json(tmp_path, capsys, archives):
    few = ["dataset.batch_size=4", "dataset.num_instances=2"]
    assert main(["dataset", *archives, *few, f"results_dir={tmp_path}", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["action"], result["figures"]["train_images"]) == ("dataset", 8)


@pytest.mark.slow
def test_ctrl_c_in_train_names_the_checkpoint_that_the_same_command_goes_on_from(tmp_path, archives):
    small = ["model.backbone=test_resnet", "model.pretrain_choice=", "model.input_height=64", "model.input_width=32"]
    few = ["dataset.batch_size=4", "dataset.num_instances=2", "train.checkpoint_interval=1", "train.num_epochs=9999"]
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a background job ignores it
    code += "; import sys; from reid.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "train",
        f"results_dir={tmp_path}",
        "device=cpu",
        archives[0],
        archives[-1],
        *small,
        *few,
    ]
    latest = tmp_path / "train" / "reid_model_latest.pth"
    with subprocess.Popen(command, cwd=_REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 100
        while not latest.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert re.search(
        rf"stopped\nnext:  the same command goes on from {latest} \(epoch \d+, counted from 0, step \d+\)\n", said
    )
