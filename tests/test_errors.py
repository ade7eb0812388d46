"""What an error says, and with which code the command line ends."""

import inspect
import pickle

import pytest

from reid import errors
from reid.errors import ReidError

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ReidError)]


def test_message_joins_found_why_and_fix_as_sentences():
    error = ReidError("3 images have no name", "a name gives the identity", "rename them")
    assert str(error) == "3 images have no name. a name gives the identity. rename them."


def test_message_leaves_out_empty_parts_and_keeps_given_punctuation():
    assert str(ReidError("is this a folder?", "", "name one!")) == "is this a folder? name one!"
    assert str(ReidError("gone")) == "gone."


def test_what_the_user_must_change_exits_with_2_and_the_rest_with_1():
    with_2 = {kind.__name__ for kind in ALL if kind.exit_code == 2}
    assert with_2 == {"SpecError", "DataError", "ArchiveError", "CheckpointError", "NoSuchSource"}
    assert {kind.exit_code for kind in ALL} == {1, 2}


@pytest.mark.parametrize("kind", ALL)
def test_the_tree_gives_each_error_its_exit_code(kind):
    (line,) = [
        line for line in (errors.__doc__ or "").splitlines() if f"{kind.__name__} " in line and "  " in line[20:]
    ]
    assert line.split(kind.__name__)[1].split()[0] == str(kind.exit_code)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_drawn_in_the_tree_and_says_when_it_happens(kind):
    assert kind.__name__ in (errors.__doc__ or "")
    assert len(kind.__doc__ or "") > 20


@pytest.mark.parametrize("kind", ALL)
def test_every_error_survives_the_way_back_from_a_worker_process(kind):
    error = pickle.loads(pickle.dumps(kind("found", "why", "fix")))
    assert type(error) is kind
    assert (error.found, error.why, error.fix) == ("found", "why", "fix")
