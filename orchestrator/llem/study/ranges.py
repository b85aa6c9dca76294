"""Ranges in `sweep`: {min, max, num}, {log: {min, max, num}}, {pow2: {min, max}}; both ends included."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from llem.study.nodes import BROKEN, Node
from llem.study.problems import Problems, nearest, shown
from llem.study.words import found

MAX_VALUES: Final = 250_000
"""Most values of a range, and of all that a sweep writes out: far above what anybody can measure."""
SIGNIFICANT_DIGITS: Final = 10
_KINDS: Final = ("log", "pow2")
RANGE_KEYS: Final = frozenset({"min", "max", "num", *_KINDS})
"""Keys that tell a range from other mappings."""
_LIMIT: Final = 1e300
_KEYS: Final = {"linear": ("min", "max", "num"), "log": ("min", "max", "num"), "pow2": ("min", "max")}

Number = int | float


def looks_like_range(node: Node) -> bool:
    """Whether a mapping is written as a range (its numbers may still be wrong)."""
    if not node.is_mapping or not node.value:
        return False
    names = set(node.value)
    return names <= set(_KEYS["linear"]) or (names <= set(_KINDS) and all(n.is_mapping for n in node.value.values()))


def range_values(node: Node, name: str, problems: Problems) -> list[Number] | None:
    """The values of a range; None, and problems, where it is none. `name` is the key's, for the messages."""
    if any(kind in node.value for kind in _KINDS):
        kind, inner = next((kind, node.value[kind]) for kind in _KINDS if kind in node.value)
        if len(node.value) > 1 or not inner.is_mapping:
            problems.add(node.place, f"{name}: a range is {{min, max, num}}, {{log: {{…}}}} or {{pow2: {{…}}}}")
            return None
    else:
        kind, inner = "linear", node
    numbers = _numbers(inner, kind, name, problems)
    if numbers is None or not _possible(inner, kind, numbers, name, problems):
        return None
    if kind == "pow2":
        return _powers_of_two(inner, numbers, name, problems)
    return (_linear if kind == "linear" else _log)(numbers["min"], numbers["max"], int(numbers["num"]))


def _numbers(node: Node, kind: str, name: str, problems: Problems) -> dict[str, Number] | None:
    wanted = _KEYS[kind]
    numbers: dict[str, Number] = {}
    for key, member in node.value.items():
        value = member.value
        if key not in wanted:
            problems.add(node.key_places[key], f"{name}: unknown key {shown(key)} in a range", nearest(key, wanted))
        elif value is BROKEN:
            continue
        elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LIMIT:
            problems.add(member.place, f"{name}: {key}: expected a number, found {found(member)}")
        else:
            numbers[key] = int(value) if isinstance(value, float) and value.is_integer() else value
    missing = [key for key in wanted if key not in node.value]
    if missing:
        problems.add(node.place, f"{name}: {', '.join(missing)} is missing in a range")
    return numbers if len(numbers) == len(wanted) == len(node.value) else None


def _possible(node: Node, kind: str, numbers: dict[str, Number], name: str, problems: Problems) -> bool:
    low, high, num = numbers["min"], numbers["max"], numbers.get("num", 2)
    place = node.value["min"].place
    if low > high:
        problems.add(place, f"{name}: min ({low}) is greater than max ({high})")
    elif kind != "linear" and low <= 0:
        problems.add(place, f"{name}: min must be greater than 0 in a {kind} range")
    elif not isinstance(num, int) or not 2 <= num <= MAX_VALUES:
        problems.add(node.value["num"].place, f"{name}: num: expected a whole number from 2 to {MAX_VALUES}")
    else:
        return True
    return False


def _linear(low: Number, high: Number, num: int) -> list[Number]:
    # Fractions of the decimal text: 0.1 means a tenth, and the same values come out on every machine.
    first, last = Fraction(str(low)), Fraction(str(high))
    step = (last - first) / (num - 1)
    return [_tidy(first + step * i) for i in range(num)]


def _log(low: Number, high: Number, num: int) -> list[Number]:
    start, span = math.log(low), math.log(high) - math.log(low)
    inner = [_tidy(math.exp(start + span * i / (num - 1))) for i in range(1, num - 1)]
    return [_tidy(Fraction(str(low))), *inner, _tidy(Fraction(str(high)))]


def _powers_of_two(node: Node, numbers: dict[str, Number], name: str, problems: Problems) -> list[Number] | None:
    low, high = numbers["min"], numbers["max"]
    exponent = math.frexp(low)[1] - 1  # the greatest power of two that is not above min
    values = []
    while (power := Fraction(2) ** exponent) <= high:
        if power >= low:
            values.append(int(power) if power.denominator == 1 else float(power))
        exponent += 1
    if not values:
        problems.add(node.place, f"{name}: no power of two lies from {low} to {high}")
        return None
    return values


def _tidy(value: Fraction | float) -> Number:
    """Whole numbers stay whole; others are rounded to 10 significant digits."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return int(value)
    rounded = float(f"{float(value):.{SIGNIFICANT_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded
