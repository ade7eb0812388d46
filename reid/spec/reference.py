"""The table of all keys of a family as a page of the documents."""

from __future__ import annotations

import json

from reid.spec.families import FAMILIES, RE_IDENTIFICATION
from reid.spec.keys import Key, section_paths, spec_keys
from reid.spec.templates import shown_default

_HEAD = """# The experiment spec of {family}

<!-- Written by `reid schema --family {family} --docs {page}`; a test fails when it is stale. -->

A spec is a YAML file that says `family: {family}`{default}. Every key can also be given as `key=value` on the
command line, which wins over the file. `reid spec check -e FILE [key=value ...]` prints the resolved spec, what was
renamed, and what has no effect.

- `null`, an empty value and `???` mean "not set": the default applies.
- `${{other.key}}` is replaced by that key's value, `${{oc.env:NAME}}` by an environment variable. Nothing else is
  computed.
- Keys marked **+** do not exist in TAO. A key with *no effect* is accepted, so that TAO's specs load, and then ignored.
- Accepted values are those of TAO's documents where its schema is narrower; the schema's own bounds are in the files
  that `reid schema` writes.
"""


def reference_page(family: str = RE_IDENTIFICATION) -> str:
    """Markdown with one table for each block: type, default, accepted values, and what the key does."""
    names = FAMILIES[family]
    default = " (or nothing: it is the default)" if family == RE_IDENTIFICATION else ""
    parts = [_HEAD.format(family=family, page=names.page, default=default)]
    for section in ("", *section_paths(family)):
        keys = [key for path, key in spec_keys(family).items() if path.rpartition(".")[0] == section]
        if not keys:
            continue
        parts.append(f"\n## {section or 'Keys of no block'}\n")
        parts.append("| Key | Type | Default | Accepts | What it does |\n|---|---|---|---|---|")
        parts.extend(_row(key) for key in keys)
    parts.append("\n## Other names\n")
    parts.append("These names are read as the keys they stand for, and the report says so.\n")
    parts.append("| Given | Read as |\n|---|---|")
    for old, new in (*names.renamed_keys.items(), *names.shorthands.items()):
        parts.append(f"| `{old}` | `{new}` |")
    for old, new in names.renamed_roots.items():
        parts.append(f"| `{old}.*` | `{new}.*` |")
    return "\n".join(parts) + "\n"


def _row(key: Key) -> str:
    text = key.description
    if key.no_effect:
        text += f" *No effect: {key.no_effect}.*"
    mark = " **+**" if key.ours else ""
    accepts = ", ".join(f"`{choice}`" if choice else '`""`' for choice in key.choices) or key.accepts
    default = "not set" if key.default is None else f"`{json.dumps(shown_default(key))}`"
    cells = (f"`{key.path}`{mark}", key.kind, default, accepts, text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
