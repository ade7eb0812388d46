"""The DVC graph of a flow's spec: where it is, and that the flow has made its outputs, so that both agree on them."""

import contextlib
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

log = logging.getLogger("reid.flows")  # below `reid`, so that Prefect shows it like the library's own lines

PARAMS = "params.yaml"
GRAPH = "dvc.yaml"


@contextlib.contextmanager
def in_folder_of_graph(spec_file: str) -> Iterator[str]:
    """Works in the folder of a spec that lies beside a dvc.yaml, as its stages do; elsewhere stays where it is.

    Places in a spec are relative to the working directory, which belongs to the whole process: do not run two flows in
    one process at a time.

    Yields:
        The spec, as seen from there.
    """
    path = Path(spec_file)
    if not path.with_name(GRAPH).is_file():
        yield spec_file
        return
    with contextlib.chdir(path.parent):
        yield path.name


def content_of(spec_file: str) -> bytes | None:
    """The file as it is now; None when it cannot be read, of which loading the spec tells more."""
    try:
        return Path(spec_file).read_bytes()
    except OSError:
        return None


def record_in_dvc(spec_file: str, overrides: Sequence[str], content: bytes | None) -> str:
    """Runs `dvc commit --force` where the results are those that `dvc repro` would have made.

    That is so when the flow ran exactly params.yaml of a DVC project in the working directory. A failure is reported
    and not raised: the results stand, and `dvc repro` would only make them again.

    Args:
        spec_file: what the flow ran.
        overrides: what it ran besides.
        content: of the file when the flow read it. DVC records the parameters that stand there now.

    Returns:
        "committed", or a sentence on why not.
    """
    reason = _why_not(spec_file, overrides, content)
    if not reason:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "commit", "--force", "--quiet"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            log.info("dvc commit: `dvc status` now takes these results as up to date")
            return "committed"
        reason = f"dvc commit failed: {done.stderr.strip()}"
        log.warning("%s", reason)
        return reason
    log.info("dvc commit was left out: %s", reason)
    return reason


def _why_not(spec_file: str, overrides: Sequence[str], content: bytes | None) -> str:
    if overrides:
        return f"{len(overrides)} overrides were given, so these are not the results of {PARAMS}"
    if Path(spec_file).resolve() != Path(PARAMS).resolve():
        return f"the spec is {spec_file}, and the DVC graph is that of {PARAMS}"
    missing = [name for name in (".dvc", GRAPH) if not Path(name).exists()]
    if missing:
        return f"{Path.cwd()} is no DVC project: it has no {' and no '.join(missing)}"
    if content_of(spec_file) != content:
        return f"{spec_file} was changed while the flow ran, so these are not the results of what it says now"
    return ""
