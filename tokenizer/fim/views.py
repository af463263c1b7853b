"""Which views of a document a run needs (`contract.encoded_views`), and which of them each copy takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from corpusmill.tokenizer.fim.options import Fim


class View(BaseModel):
    """Fill-in-the-middle as one view has it: the settings, and the number of the draw that decides which
    documents are framed and where they are split. Views of one draw frame the same documents at the same
    places, as far as their rates go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fim: Fim = Field(default_factory=Fim, description="Fill-in-the-middle of this view.")
    draw: int = Field(0, ge=0, description="Number of the draw.")


def views_of(
    fim: Fim, phases: Sequence[Mapping[str, Any] | None], epochs: int
) -> tuple[list[View], list[list[int]]]:
    """The views of a run, and their numbers by phase and epoch; the last of a phase stands for later epochs.

    View 0 has the settings `fim` and draw 0. `phases`: by phase the options of fill-in-the-middle that are
    its own, over those of `fim`; None where it has none; without phases there is one. `epochs`: copies that
    may be taken of a document; with `each_epoch` each takes a draw of its own. Raises ValueError where the
    options of a phase are none of `Fim`.
    """
    settings = [Fim.model_validate({**fim.model_dump(), **(own or {})}) for own in phases or [None]]
    if any(setting.asked() for setting in settings):  # so the tokenizer has the tokens
        fim, settings = fim.with_tokens(True), [setting.with_tokens(True) for setting in settings]
    views = [View(fim=_once(fim))]
    numbers: list[list[int]] = []
    for setting in settings:
        numbers.append([])
        for draw in range(max(epochs, 1) if setting.each_epoch else 1):
            view = View(fim=_once(setting), draw=draw)
            if view not in views:
                views.append(view)
            numbers[-1].append(views.index(view))
    return views, numbers


def _once(fim: Fim) -> Fim:
    """The settings without `each_epoch`, which the number of the draw stands for."""
    return fim.model_copy(update={"each_epoch": False})
