"""Medians, spread, and ratios taken pair by pair: round against round."""

import statistics


def median(values):
    return statistics.median(values) if values else None


def quartiles(values):
    """Lower and upper quartile; of few values the least and the most."""
    if len(values) < 4:
        return (min(values), max(values)) if values else (None, None)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def column(rounds, figure):
    return [one[figure] for one in rounds if one is not None and one.get(figure) is not None]


def ratios(over, under, figure):
    """One contender to another, each round to the same round of the other."""
    found = []
    for one, other in zip(over, under):
        if one and other and one.get(figure) is not None and other.get(figure):
            found.append(one[figure] / other[figure])
    return found


def summary(rounds):
    """The median of every figure of a contender's rounds."""
    names = {name for one in rounds if one for name, value in one.items()
             if isinstance(value, (int, float)) and not isinstance(value, bool)}
    return {name: median(column(rounds, name)) for name in sorted(names)}


def number(value):
    """Three figures that matter, without an exponent."""
    if value is None:
        return ""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.1 or value == 0:
        return f"{value:.2f}"
    return f"{value:.4f}"
