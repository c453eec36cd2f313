"""Draws when which fault happens to whom. Pure: the same plan gives the same schedule."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.chaos.faults import EVERYONE, KINDS, Kind, Site
from tests.chaos.plan import Plan

CALM_SECONDS = 2.0
"""At the begin of a run nothing goes wrong."""

_OVERLAPS = 0.25
"""How many faults begin before the one before them is over."""

_ALL_LINKS = 0.3
"""How many of the faults of links hit all links at once."""


class Fault(NamedTuple):
    """A fault that is going to be injected."""

    at: float
    """Seconds since the begin of the run."""

    seconds: float
    kind: str
    target: str
    """The name of a process, or `EVERYONE`."""


def draw_schedule(plan: Plan) -> list[Fault]:
    """The faults in the order of their begins, all of them over by the plan's end.

    At most two are active at once, and never two on the same target.
    """
    dice = random.Random(f"schedule {plan.seed}")  # noqa: S311 - to be drawn again
    faults: list[Fault] = []
    for kind in _endless_deck(plan.kinds, dice):
        seconds = round(dice.uniform(kind.shortest, kind.longest), 3)
        target = _target(kind.site, plan, dice)
        at = round(_begin(faults, target, plan.pause_seconds, dice), 3)
        if at + seconds > plan.seconds:
            return faults
        faults.append(Fault(at, seconds, kind.name, target))
    return faults


def _endless_deck(names: Sequence[str], dice: random.Random) -> Iterator[Kind]:
    """Each kind once, in any order, before the next round; nothing where there is no kind."""
    while names:
        for name in dice.sample(names, len(names)):
            yield KINDS[name]


def _target(site: Site, plan: Plan, dice: random.Random) -> str:
    match site:
        case Site.REDIS | Site.READERS | Site.HISTORIES:
            return EVERYONE
        case Site.HISTORY:
            return dice.choice(plan.history_names)
        case Site.LINK | Site.GATEWAY_LINK if dice.random() < _ALL_LINKS:
            return EVERYONE
        case Site.LINK:
            return dice.choice(plan.gateway_names + plan.history_names)
        case _:
            return dice.choice(plan.gateway_names)


def _begin(faults: Sequence[Fault], target: str, pause: float, dice: random.Random) -> float:
    """When a fault of the target may begin: a while after the others, or within the last one."""
    if not faults:
        return CALM_SECONDS
    *others, last = faults
    within = last.at + 0.01 + last.seconds * dice.uniform(0.2, 0.8)
    after = max(map(_end, faults)) + pause * dice.uniform(0.6, 1.4) + 0.01
    apart = target != last.target and EVERYONE not in {target, last.target}
    alone = all(_end(other) < within for other in others)
    return within if dice.random() < _OVERLAPS and apart and alone else after


def _end(fault: Fault) -> float:
    return fault.at + fault.seconds
