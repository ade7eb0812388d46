"""Shell completion: of `key=value` arguments from the spec's keys, and the scripts that switch it on."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

from reid.cli.programs import FAMILY_PROGRAMS, PROGRAMS, family_of


def complete_overrides(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of the spec, and after the `=` the values of a key that has choices."""
    from reid.cli.spec_help import keys_for
    from reid.spec.keys import spec_keys

    family = _family(context)
    name, equals, value = incomplete.partition("=")
    if equals:
        known = spec_keys(family).get(name)
        if known is None:
            return []
        choices = known.choices or (("true", "false") if known.kind == "bool" else ())
        return [CompletionItem(f"{name}={choice}") for choice in choices if choice.startswith(value)]
    action = context.info_name or ""
    return [
        CompletionItem(f"{key.path}=", help=key.description)
        for key in keys_for(action, family)
        if key.path.startswith(name)
    ]


def _family(context: click.Context) -> str:
    """That of the program; for `reid`, that of a setting before the word that is completed."""
    said = {f"family={name}": name for name in FAMILY_PROGRAMS}
    words = context.params.get("overrides") or ()
    return family_of(context) or next((said[word] for word in words if word in said), FAMILY_PROGRAMS[0])


def script(shell: str, group: click.Group) -> str:
    """The lines that a shell must read for all commands to complete."""
    completer = get_completion_class(shell)
    if completer is None:  # the command line offers the known ones alone
        raise click.BadParameter(f"no completion for {shell}")
    return "\n".join(completer(group, {}, program, f"_{program.upper()}_COMPLETE").source() for program in PROGRAMS)
