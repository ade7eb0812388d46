"""The command groups: `reid` with everything, and one for each family with the verbs that take a spec."""

from __future__ import annotations

import click

from reid import __version__
from reid.cli.actions import ACTIONS, action_command
from reid.cli.enroll import enroll
from reid.cli.programs import FAMILY_TITLES
from reid.cli.retrieval import compare, search
from reid.cli.running import switches
from reid.cli.sample import sample
from reid.cli.tools import completion, default_specs, schema, spec, version

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


def reid_group() -> click.Group:
    """`reid`: every action, and the tools around the spec."""
    group = _group("Person re-identification, from data archives to a deployed, tracked, versioned model.")
    for command in (search, enroll, compare, sample, spec, schema, completion, version):
        group.add_command(command)
    return group


def family_group(program: str) -> click.Group:
    """`re_identification` or `ml_recog`: the verbs that take a spec, called as TAO's are."""
    return _group(f"{FAMILY_TITLES[program]} with TAO's command lines: VERB -e spec.yaml key=value ...")


def _group(text: str) -> click.Group:
    @click.group(cls=_InOrder, help=text, context_settings=_CONTEXT)
    @click.version_option(__version__, message="%(prog)s %(version)s")
    @switches
    def group() -> None:
        """Holds the commands; the switches have noted themselves."""

    for action in ACTIONS:
        group.add_command(action_command(action))
    group.add_command(default_specs)
    return group


class _InOrder(click.Group):
    """Lists commands in the order in which they are used, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)
