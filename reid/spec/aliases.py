"""Other names that keys and values have in TAO's documents, skills and older versions."""

from __future__ import annotations

import difflib
from typing import Any

from reid.spec.families import FAMILIES, RE_IDENTIFICATION
from reid.spec.keys import section_paths, spec_keys


def canonical(path: str, family: str = RE_IDENTIFICATION) -> str:
    """The key's name in this family's spec; the path itself where no other name applies."""
    names = FAMILIES[family]
    root, dot, rest = path.partition(".")
    if root in names.renamed_roots:
        path = f"{names.renamed_roots[root]}{dot}{rest}"
    return names.renamed_keys.get(path) or names.shorthands.get(path) or path


def canonical_value(path: str, value: Any, family: str = RE_IDENTIFICATION) -> tuple[Any, str]:
    """The value in this spec's words, and a warning where the change is more than spelling.

    Choices match in any case, so `adam` is `Adam`. YAML reads a bare on or off as true or false; `automl_policy` takes
    them back.
    """
    if path == "automl_policy":
        return {True: "on", False: "off", "auto": "on"}.get(value, value), ""
    if path == "train.optim.warmup_method" and str(value).lower() == "exp":
        return "linear", "train.optim.warmup_method: exp does not exist in TAO's code either; linear is used"
    choices = spec_keys(family)[path].choices
    same = [choice for choice in choices if isinstance(value, str) and choice.lower() == value.lower()]
    return (same[0] if same else value), ""


def nearest(path: str, family: str = RE_IDENTIFICATION) -> str:
    """The known key that an unknown one most probably means; empty when none is close."""
    keys, names = spec_keys(family), FAMILIES[family]
    known = sorted(keys, key=lambda key: not keys[key].popular)
    name = path.rpartition(".")[2]
    same_name = [key for key in known if key.rpartition(".")[2] == name]
    if same_name and keys[same_name[0]].popular:
        return same_name[0]
    if same_name:
        return difflib.get_close_matches(path, same_name, n=1, cutoff=0.0)[0]
    candidates = [*known, *names.shorthands, *names.renamed_keys, *section_paths(family)]
    whole = difflib.get_close_matches(path, candidates, n=1, cutoff=0.75)
    if whole:
        return canonical(whole[0], family)
    last = {key.rpartition(".")[2]: key for key in known}
    similar = difflib.get_close_matches(name, list(last), n=1, cutoff=0.7)
    return last[similar[0]] if similar else ""
