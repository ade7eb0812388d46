"""The command groups and the actions' commands; an action's modules are imported when it runs, not before."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reid.cli.output import print_report, print_result
from reid.cli.running import switches
from reid.cli.tools import completion, default_specs, sample, schema, spec, spec_input, version
from reid.distributed import is_main_process

if TYPE_CHECKING:
    from reid.actions.result import ActionResult
    from reid.spec.re_identification import ReIdentificationSpec

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}

ACTIONS = {
    "dataset": "Fetch, verify and unpack the data, check it, and write an index.",
    "train": "Train a network; goes on from the newest checkpoint in its results folder.",
    "select": "Choose one of the checkpoints that a training left.",
    "evaluate": "Measure a checkpoint: CMC, mAP, mINP, with plots.",
    "inference": "Compute the embedding of every image.",
    "export": "Write a checkpoint as ONNX, checked against the trained network.",
    "register": "Put an export into the MLflow registry as the challenger.",
    "promote": "Make the challenger the champion if it is better on the same test set.",
}

_EXAMPLES = {
    "dataset": "dataset.train_dataset_dir=s3://bucket/sample_train.tar.gz",
    "train": "train.num_epochs=30 dataset.batch_size=64 model.backbone=resnet_50",
    "select": "select.method=from_epoch_number select.epoch_number=9",
    "evaluate": "evaluate.checkpoint=results/train/model_best.pth re_ranking.re_ranking=true",
    "inference": "inference.checkpoint=results/train/model_best.pth",
    "export": "export.checkpoint=results/train/model_best.pth export.onnx_file=reid.onnx",
    "register": "mlflow.enable=true mlflow.model_name=reid",
    "promote": "mlflow.enable=true promote.metric=mAP promote.min_gain=0.005",
}


class ActionCommand(click.Command):
    """A command whose help ends with an example and the spec's keys."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the example and the keys."""
        from reid.cli.spec_help import write_keys

        action = self.name or ""
        program = ctx.command_path
        with formatter.section("Example"):
            formatter.write_text(f"{program} -e spec.yaml results_dir=results {_EXAMPLES[action]}")
            if action == "dataset":
                formatter.write_text(f"{program} check -e spec.yaml")
        write_keys(action, formatter)


def reid_group() -> click.Group:
    """`reid`: every action, and the tools around the spec."""
    group = _group("Person re-identification, from data archives to a deployed, tracked, versioned model.")
    for command in (sample, spec, schema, completion, version):
        group.add_command(command)
    return group


def re_identification_group() -> click.Group:
    """`re_identification`: the verbs that take a spec, called as TAO's are."""
    return _group("Person re-identification with TAO's command lines: VERB -e spec.yaml key=value ...")


def _group(text: str) -> click.Group:
    @click.group(cls=_InOrder, help=text, context_settings=_CONTEXT)
    @switches
    def group() -> None:
        """Holds the commands; the switches have noted themselves."""

    for action in ACTIONS:
        group.add_command(_action_command(action))
    group.add_command(default_specs)
    return group


class _InOrder(click.Group):
    """Lists commands in the order in which they are used, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _action_command(action: str) -> click.Command:
    @click.command(action, cls=ActionCommand, help=ACTIONS[action], short_help=ACTIONS[action])
    @spec_input
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @switches
    def command(file: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
        if action == "dataset" and overrides[:1] == ("check",):
            _check_data(file, overrides[1:], as_json=as_json)
            return
        result = _run(action, file, overrides)
        if is_main_process():  # Lightning runs this command line once more for each further GPU
            print_result(result, as_json=as_json)

    return command


def _run(action: str, file: Path | None, overrides: tuple[str, ...]) -> ActionResult:
    function = getattr(importlib.import_module(f"reid.actions.{action}"), action)
    result: ActionResult = function(_load(action, file, overrides))
    return result


def _check_data(file: Path | None, overrides: tuple[str, ...], *, as_json: bool) -> None:
    """Shows what was found, also when it then refuses it."""
    from reid.actions.dataset import inspect

    found = inspect(_load("dataset", file, overrides))
    print_report(found.subsets.report, as_json=as_json)
    if found.refusal:
        raise found.refusal


def _load(action: str, file: Path | None, overrides: tuple[str, ...]) -> ReIdentificationSpec:
    from reid.spec.load import load_spec, log_report

    loaded = load_spec(action, file, overrides)
    log_report(loaded.report)
    return loaded.spec
