"""Medians, spread, and ratios taken pair by pair: round against round."""

import math
import random
import statistics

# A ratio is given as one figure when another run would give it within so much of it, but for three
# in a thousand: with two hundred ratios one in twenty is ten.
SETTLED = 0.05
SURE = 3  # standard deviations
CUT = 0.1  # of the ratios of rounds, at each side


def median(values):
    return statistics.median(values) if values else None


def middle_mean(values):
    """The mean without the lowest and the highest tenth (a trimmed mean): rounds in which something
    else ran do not count, and another run differs by less than its median does."""
    if not values:
        return None
    cut = min(math.ceil(CUT * len(values)), (len(values) - 1) // 2)
    return statistics.fmean(sorted(values)[cut:len(values) - cut])


def quartiles(values):
    """Lower and upper quartile; of few values the least and the most."""
    if len(values) < 4:
        return (min(values), max(values)) if values else (None, None)
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def column(rounds, figure):
    return [one[figure] for one in rounds if one is not None and one.get(figure) is not None]


def rounds_of_sittings(entry):
    """The rounds of each sitting by its number; what has no sittings had one."""
    if "sittings" not in entry:
        return {0: entry["rounds"]}
    found, at = {}, 0
    for sitting in entry["sittings"]:
        found[sitting["number"]] = entry["rounds"][at:at + sitting["turns"]]
        at += sitting["turns"]
    return found


def grouped(over, under, figure):
    """One contender to another, each round to the same round of the other: the ratios of each
    sitting of both. What differs between sittings is what a start of the servers and the minute
    bring, and what two runs can differ by."""
    found, theirs = [], rounds_of_sittings(under)
    for number, ours in rounds_of_sittings(over).items():
        pairs = zip(ours, theirs.get(number, []))
        found.append([one[figure] / other[figure] for one, other in pairs
                      if one and other and one.get(figure) is not None and other.get(figure)])
    return [each for each in found if each]


def ratios(over, under, figure):
    """All of them."""
    return [one for each in grouped(over, under, figure) for one in each]


def ratio(over, under, figure):
    """One contender to another."""
    return middle_mean(ratios(over, under, figure))


def by_sitting(over, under, figure):
    """The ratio of each sitting."""
    return [middle_mean(each) for each in grouped(over, under, figure)]


def doubt(over, under, figure):
    """By how much of it the ratio of two runs like this one differs at most: what drawing
    the sittings anew gives (a bootstrap), and more where they are few, which may be alike by
    chance (about what Student's t asks for). None: of a single sitting nobody knows."""
    by = grouped(over, under, figure)
    if len(by) < 2:
        return None
    draw = random.Random(1).choices
    drawn = [middle_mean([one for each in draw(by, k=len(by)) for one in each])
             for _ in range(200)]
    few = 1 + 8 / (len(by) - 1) ** 1.5
    return few * SURE * 2 ** 0.5 * statistics.stdev(drawn) / median(drawn)


def span(value, doubt_of_it):
    """Between what a ratio is, nineteen times of twenty."""
    half = doubt_of_it / SURE * 1.96 / 2 ** 0.5
    return value * (1 - half), value * (1 + half)


def is_settled(over, under, figure):
    by = doubt(over, under, figure)
    return by is not None and by <= SETTLED


def summary(rounds):
    """The median of every figure of a contender's rounds."""
    names = {name for one in rounds if one for name, value in one.items()
             if isinstance(value, (int, float)) and not isinstance(value, bool)}
    return {name: median(column(rounds, name)) for name in sorted(names)}


def add_sitting(entry, number, found):
    """Takes in what the load generator says of one server. `number`: the same of all servers that
    were alive with it, and of no others. Times are those of all turns of the
    sitting; of several sittings the median."""
    # In a turn that another program took there was nothing to measure.
    entry["rounds"] += [one if one["requests"] else None for one in found["rounds"]]
    sittings = entry.setdefault("sittings", [])
    sittings.append({"number": number, "turns": len(found["rounds"]),
                     **{name: value for name, value in found.items()
                        if isinstance(value, (int, float))}})
    names = set().union(*sittings) - {"errors", "mismatches", "user_share", "number", "turns"}
    entry.update({name: median(column(sittings, name)) for name in names})
    share = median(column(sittings, "user_share"))
    cpu = median(column(entry["rounds"], "cpu_us"))
    if share is not None and cpu is not None:  # sampled by the kernel; the sum of both is exact
        entry.update({"user_us": cpu * share, "system_us": cpu * (1 - share)})


def of_entry(entry, name):
    return entry[name] if name in entry else entry["median"].get(name)


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


def close(value):
    """One more of what is close to one, where a bar is."""
    return f"{value:.3f}" if value is not None and 0.1 <= abs(value) < 10 else number(value)


def both(bar):
    """The two figures behind a ratio."""
    if bar["ours"] is None:
        return ""
    return f"{number(bar['ours'])}, {number(bar['theirs'])}"
