"""The largest batch that fits: the search, and which errors mean memory."""

from __future__ import annotations

import pytest
import torch

from reid.model.key_names import KeyNames
from reid.model.memory import is_out_of_memory, largest


@pytest.mark.parametrize("unit", [1, 4, 12])
def test_the_search_finds_the_largest_multiple_that_fits_whatever_the_limit(unit: int) -> None:
    for given in range(2 * unit, 20 * unit, unit):
        for limit in range(given + 2):
            expected = max((size for size in range(2 * unit, given + 1, unit) if size <= limit), default=0)
            assert largest(lambda size, limit=limit: size <= limit, given=given, unit=unit, least=2 * unit) == expected


def test_the_search_takes_few_steps() -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= 400

    assert largest(fits, given=2048, unit=4, least=8) == 400
    assert len(tried) <= 12
    assert all(size % 4 == 0 for size in tried)


def test_an_error_of_the_cpu_allocator_means_memory_and_another_one_does_not() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)

    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_the_advice_names_the_key_that_the_user_sets_and_what_it_counts() -> None:
    assert KeyNames().batch_of(48) == "dataset.batch_size=48"
    assert KeyNames(batch_size="train.batch_size", batch_share=2).batch_of(48) == "train.batch_size=24"
