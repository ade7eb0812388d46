"""The commands of the actions; an action's modules are imported when it runs, not before."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import click

from reid.cli.arguments import require_settings, spec_input
from reid.cli.output import print_report, print_result
from reid.cli.programs import family_of
from reid.cli.running import switches
from reid.distributed import is_main_process

if TYPE_CHECKING:
    from reid.actions.result import ActionResult
    from reid.spec.experiment import ExperimentSpec


class Action(NamedTuple):
    """What the help says about an action.

    Attributes:
        text: what it does.
        example: settings for an example.
        own_examples: those of a family's command, by family, where they differ.
    """

    text: str
    example: str
    own_examples: Mapping[str, str] = MappingProxyType({})


ACTIONS = {
    "dataset": Action(
        "Fetch, verify and unpack the data, check it, and write an index.",
        "dataset.train_dataset_dir=s3://bucket/sample_train.tar.gz",
        {"ml_recog": "dataset.train_dataset=s3://bucket/train.tar.gz"},
    ),
    "train": Action(
        "Train a network; goes on from the newest checkpoint in its results folder.",
        "train.num_epochs=30 dataset.batch_size=64 model.backbone=resnet_50",
        {"ml_recog": "train.num_epochs=30 train.batch_size=64 model.backbone=resnet_50"},
    ),
    "select": Action(
        "Choose one of the checkpoints that a training left.",
        "select.method=from_epoch_number select.epoch_number=9",
    ),
    "evaluate": Action(
        "Measure a checkpoint on query and gallery, with plots.",
        "evaluate.checkpoint=results/train/model_best.pth re_ranking.re_ranking=true",
        {"ml_recog": "evaluate.checkpoint=results/train/model_best.pth evaluate.topk=5"},
    ),
    "inference": Action(
        "Embed every image, or recognise it by the nearest reference.",
        "inference.checkpoint=results/train/model_best.pth",
        {"ml_recog": "inference.input_path=photo.jpg inference.inference_input_type=image"},
    ),
    "export": Action(
        "Write a checkpoint as ONNX, checked against the trained network.",
        "export.checkpoint=results/train/model_best.pth export.onnx_file=reid.onnx",
    ),
    "register": Action(
        "Put an export into the MLflow registry as the challenger.",
        "mlflow.enable=true mlflow.model_name=reid",
    ),
    "promote": Action(
        "Make the challenger the champion if it is better on the same test set.",
        "mlflow.enable=true promote.metric=mAP promote.min_gain=0.005",
    ),
}
"""In the order of their use. A test holds them against the spec's own list, which takes pydantic to read."""


_EVERYTHING = "reid.help_all"
"""Whether the help lists every key, in click's notes on a command line."""


class ActionCommand(click.Command):
    """A command whose help ends with the spec's keys and an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the keys and the example."""
        from reid.cli.spec_help import write_keys

        action = self.name or ""
        program = ctx.command_path
        write_keys(action, formatter, family_of(ctx), everything=ctx.meta.get(_EVERYTHING, False))
        with formatter.section("Example"):
            example = ACTIONS[action].own_examples.get(family_of(ctx), ACTIONS[action].example)
            formatter.write_text(f"{program} -e spec.yaml results_dir=results {example}")
            if action == "dataset":
                formatter.write_text(f"{program} check -e spec.yaml")


def _show_all(context: click.Context, option: click.Parameter, given: bool) -> None:
    """Prints the help with every key, as `--help` does with some."""
    if given:
        context.meta[_EVERYTHING] = True
        click.echo(context.get_help(), color=context.color)
        context.exit()


def action_command(action: str) -> click.Command:
    """The command that runs one of `ACTIONS` on a spec and prints its result."""

    @click.command(action, cls=ActionCommand, help=ACTIONS[action].text, short_help=ACTIONS[action].text)
    @spec_input
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @switches
    @click.option(
        "--help-all",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_all,
        help="Show this message with every key of the spec.",
    )
    @click.pass_context
    def command(context: click.Context, file: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
        if action == "dataset" and overrides[:1] == ("check",):
            _check_data(_load(context, action, file, overrides[1:]), as_json=as_json)
            return
        spec = _load(context, action, file, overrides)
        result: ActionResult = getattr(importlib.import_module(f"reid.actions.{action}"), action)(spec)
        if is_main_process():  # Lightning runs this command line once more for each further GPU
            print_result(result, as_json=as_json)

    return command


def _check_data(spec: ExperimentSpec, *, as_json: bool) -> None:
    """Shows what was found, also when it then refuses it."""
    from reid.actions.dataset import inspect

    found = inspect(spec)
    print_report(found.subsets.report, as_json=as_json)
    if found.refusal:
        raise found.refusal


def _load(context: click.Context, action: str, file: Path | None, overrides: tuple[str, ...]) -> ExperimentSpec:
    from reid.spec.load import load_spec, log_report

    require_settings(overrides, context.command_path, verbs=("check",) if action == "dataset" else ())
    loaded = load_spec(action, file, overrides, family_of(context))
    log_report(loaded.report)
    return loaded.spec
