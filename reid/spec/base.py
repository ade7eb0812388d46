"""What every section of a spec is made of: frozen pydantic models whose keys carry TAO's metadata."""

from __future__ import annotations

from typing import Any, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

BYTES_PER_GB = 10**9

Bounds = tuple[float | None, float | None]


class Section(BaseModel):
    """One block of a spec: immutable, finite numbers only, and no key but the declared ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_switches_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes `True` for the number 1; in a spec that is always a mistake."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and {int, float} & {annotation, *get_args(annotation)}:
            raise ValueError("a number is needed here, not true or false")
        return value


def key(
    default: Any,
    description: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    multiple_of: int | None = None,
    tao_bounds: Bounds | None = None,
    tao_type: str = "",
    tao_choices: tuple[str, ...] = (),
    math_cond: str = "",
    depends_on: str = "",
    parent_param: bool = False,
    popular: bool = False,
    automl: bool | None = None,
    no_effect: str = "",
    ours: bool | str = False,
    mandatory: bool = False,
) -> Any:
    """A key of the spec: its default, how it is validated, and what the written schemas say about it.

    Args:
        default: the value when a user leaves the key out.
        description: one or two plain sentences for users; units included.
        ge, gt, le, multiple_of: what validation accepts: the tolerant range of the documents.
        tao_bounds: minimum and maximum in TAO's schema where those are narrower than what is accepted here.
        tao_type: TAO's own name of the type where the Python type does not tell, e.g. "list_2" or "categorical".
        tao_choices: the values that TAO's schema lists where further ones are accepted here.
        math_cond, depends_on, parent_param: what TAO's schema tells a search: a condition such as "> 0.0", the keys
            that the value depends on, and that other keys depend on this one.
        popular: user interfaces show it first.
        automl: True or False where TAO flags the key; None where it does not.
        no_effect: why the key is accepted and then ignored; empty for a key that does something.
        ours: the key does not exist in TAO; the name of a family where only its TAO spec lacks it.
        mandatory: TAO's templates show `???` (a value must be given); here that equals unset.
    """
    limits = {"ge": ge, "gt": gt, "le": le, "multiple_of": multiple_of}
    extra = {
        **limits,
        "tao_bounds": tao_bounds,
        "tao_type": tao_type,
        "tao_choices": tao_choices,
        "math_cond": math_cond,
        "depends_on": depends_on,
        "parent_param": parent_param,
        "popular": popular,
        "automl": automl,
        "no_effect": no_effect,
        "ours": ours,
        "mandatory": mandatory,
    }
    return Field(default, description=description, json_schema_extra=cast(dict[str, Any], extra), **cast(Any, limits))


def like(section: type[Section], name: str, **changes: Any) -> Any:
    """The key of that name in another section, with some arguments of `key` changed."""
    field = section.model_fields[name]
    extra = cast(dict[str, Any], field.json_schema_extra)
    arguments = {"default": field.default, "description": field.description, **extra, **changes}
    return key(**arguments)
