import pytest

from reid.spec.gpus import resolve_gpus
from reid.spec.load import load_spec


@pytest.mark.parametrize(
    ("num_gpus", "gpu_ids", "expected"),
    [
        (1, [0], (1, (0,))),
        (4, [0], (4, (0, 1, 2, 3))),
        (1, [2, 3], (2, (2, 3))),
        (2, [2, 3], (2, (2, 3))),
        (3, [5, 6], (3, (0, 1, 2))),
        (2, [], (2, (0, 1))),
    ],
)
def test_whichever_key_asks_for_more_gpus_wins(num_gpus, gpu_ids, expected):
    assert resolve_gpus(num_gpus, gpu_ids) == expected


def test_num_gpus_on_the_command_line_keeps_the_ids_of_the_file(tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text("train:\n  gpu_ids: [2, 3]\n")
    loaded = load_spec("train", file, ["train.num_gpus=1"])
    assert loaded.spec.train.gpu_ids == (2, 3)
    assert loaded.spec.train.num_gpus == 2
    assert "train.num_gpus 1 and train.gpu_ids [2, 3] disagree" in loaded.report.warnings[0]


@pytest.mark.parametrize("given", ["train.num_gpus=2", "train.gpu_ids=[0,1]"])
def test_a_count_or_ids_alone_disagree_with_no_default(given):
    loaded = load_spec("train", None, [given])
    assert (loaded.spec.train.num_gpus, loaded.spec.train.gpu_ids) == (2, (0, 1))
    assert loaded.report.warnings == ()


def test_world_size_in_the_environment_never_rewrites_the_users_file(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    file = tmp_path / "spec.yaml"
    file.write_text("train:\n  num_gpus: 1\n")
    assert load_spec("train", file).spec.train.num_gpus == 1
    assert file.read_text() == "train:\n  num_gpus: 1\n"
