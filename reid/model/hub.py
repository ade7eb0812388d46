"""The model hub that timm takes its weights from: asked once whether it answers, and the local cache alone when not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_session

log = logging.getLogger(__name__)

ANSWER_S = 4.0
"""How long the hub may take to answer; its own client tries for a minute and a half, with a warning for each try."""


@contextmanager
def hub_or_cache() -> Iterator[bool]:
    """Sets the hub's client offline where the hub does not answer: weights in the cache load, others fail at once.

    Gives whether it answers.
    """
    before = constants.HF_HUB_OFFLINE
    answers = not before and _answers()
    constants.HF_HUB_OFFLINE = not answers
    try:
        yield answers
    finally:
        constants.HF_HUB_OFFLINE = before


def _answers() -> bool:
    try:
        get_session().head(constants.ENDPOINT, timeout=ANSWER_S)
    except Exception as error:  # the client's library, and with it the classes of its errors, changes between versions
        log.debug("%s does not answer: %s", constants.ENDPOINT, error)
        return False
    return True
