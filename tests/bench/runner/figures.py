"""Medians, spread, and ratios taken pair by pair: round against round."""

import math
import random
import statistics

# A ratio is given as one figure when another run would give it within so much of it. A whole run
# has 280 ratios and another one has to agree with all: nineteen times of twenty it does where each
# differs by more once in 5,600 times (Bonferroni), which is so many standard deviations of a normal
# distribution. Where the tails are heavier it is a little less often.
SETTLED = 0.05
SURE = 3.75
CUT = 0.25  # of the ratios of rounds, at each side

# What the load generator timed beside each turn (load/gauge.hpp). A cache line goes to the other
# processor and back in less than so much within an L3 (80 to 210 ns seen), in more between two of
# them (400 to 500).
FAR_NS = 250
# Of the turns of a ratio, and how many, so that either place counts for itself.
LEAST_OF_A_PLACE = 0.05
FEW = 10
# A loop that wants all units of a core takes 1.6 to 2 times its least where another thread has half
# of them. How contenders compare changes with that, by 2 % in the median and by up to 14 (two runs,
# 2026-11-28), so that turns without it alone count, where there are FEW of a ratio's, in so many
# sittings. Otherwise all do, and the ratio is doubted by as much as it may be off.
SHARED = 1.2
LEAST_SITTINGS = 3
COMPANY = 0.14
# A contender is dear now and then (middle_mean) where so many turns, and at least three, are this
# much dearer than the middle one, or cheaper. How often they are is the host's affair: of two runs
# one had Asio's callbacks on io_uring at 1.0 and the next at 3.1 of Fairway (3f40d11, `run.sh
# --minutes 68`, 2026-11-28), so that no ratio of such is known.
DEAR = 0.5
DEAR_TURNS = 0.03


def median(values):
    return statistics.median(values) if values else None


def middle_mean(values):
    """The mean of the middle half (the interquartile mean): rounds in which something else ran do
    not count, nor those of a contender that is dear now and then. Asio's io_uring servers are: the
    kernel interrupts such a one for what has arrived while it runs, up to 0.4 times a request where
    it is 0.01 otherwise, and where an interrupt takes a virtual machine 20 us the server is at 2 to
    4 times its usual CPU, in part of its turns (2026-11-28)."""
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


def place(rounds):
    """Where the host had the two processors in some rounds: "near", in one L3, "far", in two, or
    None: not known, or not the same all the while."""
    lines = [one.get("line_ns_" + when) for one in rounds for when in ("before", "after")]
    if None in lines:
        return None
    far = sum(line > FAR_NS for line in lines)
    return "near" if far == 0 else "far" if far == len(lines) else None


def alone(sittings):
    """Of the pairs of rounds of each sitting those in which the servers had their core to
    themselves; all, where nothing was timed or nobody shared it. None: those are too few."""
    def slowest(pair):
        return max((one.get("units_us_" + when) or 0 for one in pair
                    for when in ("before", "after")))

    timed = [slowest(pair) for each in sittings for pair in each if slowest(pair) > 0]
    if not timed:
        return sittings
    most = SHARED * min(timed)
    found = [[pair for pair in each if slowest(pair) <= most] for each in sittings]
    left = sum(map(len, found))
    enough = left >= FEW and sum(map(bool, found)) >= LEAST_SITTINGS
    return found if enough or left == sum(map(len, sittings)) else None


def pairs_of_sittings(over, under, figure):
    """Of each sitting of both each round of the one with the same round of the other."""
    found, theirs = [], rounds_of_sittings(under)
    for number, ours in rounds_of_sittings(over).items():
        found.append([(one, other) for one, other in zip(ours, theirs.get(number, []))
                      if one and other and one.get(figure) is not None and other.get(figure)])
    return found


def with_places(sittings, figure):
    """Of pairs of rounds that count the ratios, each with the place it is of."""
    return [[(one[figure] / other[figure], place((one, other))) for one, other in each]
            for each in sittings if each]


def grouped(over, under, figure):
    """One contender to another, each round to the same round of the other: the ratios of each
    sitting of both, each with the place it is of. What differs between sittings is what a start of
    the servers and the minute bring, and what two runs can differ by."""
    found = pairs_of_sittings(over, under, figure)
    return with_places(alone(found) or found, figure)


def ratio_of(pairs):
    """Of ratios with their places. How contenders compare depends on the place, and how much of a
    run each has is the host's affair: where both were seen, either counts for a half."""
    by_place = [[value for value, where in pairs if where == which] for which in ("near", "far")]
    if min(map(len, by_place)) < max(FEW, LEAST_OF_A_PLACE * len(pairs)):
        return middle_mean([value for value, _ in pairs])
    return statistics.fmean(map(middle_mean, by_place))


def ratios(over, under, figure):
    """All that count."""
    return [value for each in grouped(over, under, figure) for value, _ in each]


def ratio(over, under, figure):
    """One contender to another."""
    return ratio_of([one for each in grouped(over, under, figure) for one in each])


def by_sitting(over, under, figure):
    """The ratio of each sitting."""
    return [ratio_of(each) for each in grouped(over, under, figure)]


def doubt_of_sittings(over, under, figure):
    """The part of the doubt that more sittings may make less: what drawing them anew gives (a
    bootstrap), and more where they are few, which may be alike by chance (about what Student's t
    asks for), and what company on the core does, where it counts for want of turns without. None:
    of a single sitting nobody knows."""
    found = pairs_of_sittings(over, under, figure)
    without = alone(found)
    by = with_places(without or found, figure)
    if len(by) < 2:
        return None
    draw = random.Random(1).choices
    drawn = [ratio_of([one for each in draw(by, k=len(by)) for one in each])
             for _ in range(200)]
    few = 1 + 8 / (len(by) - 1) ** 1.5
    drawn_apart = few * SURE * 2 ** 0.5 * statistics.stdev(drawn) / median(drawn)
    return math.hypot(drawn_apart, COMPANY if without is None else 0)


def dearer(over, under, figure):
    """By how much those turns are dearer than the middle one, or cheaper, that are so now and then,
    of either place. Zero: there are none. Turns with company count: they have more of them."""
    by_place = {}
    for each in pairs_of_sittings(over, under, figure):
        for one, other in each:
            by_place.setdefault(place((one, other)), []).append(one[figure] / other[figure])
    most = 0
    for values in by_place.values():
        values = sorted(value for value in values if value > 0)
        rare = max(3, math.ceil(DEAR_TURNS * len(values)))
        if len(values) >= 4 * rare:
            middle = statistics.median_low(values)  # one of them: half may be dear
            most = max(most, values[-rare] / middle - 1, middle / values[rare - 1] - 1)
    return most if most > DEAR else 0


def doubt(over, under, figure):
    """By how much of it the ratio of two runs like this one differs at most: by what their sittings
    do, and by how often a contender is dear. None: of a single sitting nobody knows."""
    by = doubt_of_sittings(over, under, figure)
    return None if by is None else math.hypot(by, dearer(over, under, figure))


def span(value, doubt_of_it):
    """Between what a ratio is, nineteen times of twenty: as far below as above by factors, so that
    it is never less than nothing."""
    factor = 1 + doubt_of_it / SURE * 1.96 / 2 ** 0.5
    return value / factor, value * factor


def range_of(value, doubt_of_it):
    """Its span where another run would give another ratio. None: the one figure says it, or, of a
    single sitting, nobody knows."""
    if value is None or doubt_of_it is None or doubt_of_it <= SETTLED:
        return None
    return span(value, doubt_of_it)


def is_settled(over, under, figure):
    by = doubt(over, under, figure)
    return by is not None and by <= SETTLED


def conditions(works):
    """What the turns of servers say of the two processors, for people. Empty: nothing was timed."""
    turns = [one for work in works for entry in work["contenders"].values()
             for one in entry["rounds"]
             if one and "line_ns_before" in one and "line_ns_after" in one]
    if not turns:
        return {}
    lines, units = ([one[name + when] for one in turns for when in ("_before", "_after")]
                    for name in ("line_ns", "units_us"))
    low, high = quartiles(lines)
    least = sorted(units)[len(units) // 100]  # not the very least, which a clock's step can make
    shared = sum(unit > SHARED * least for unit in units) / len(units)
    return {"cache_line_ns": f"{low:.0f} to {high:.0f} there and back, in the middle half",
            "one_l3": f"{sum(line <= FAR_NS for line in lines) / len(lines):.1%} of the time",
            "servers_core_shared": f"{shared:.1%} of the time, by a loop that was slowed down"}


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


def text(value, between, as_text=number):
    """A figure, or the range of what is not sure."""
    return " to ".join(map(as_text, between)) if between else as_text(value)


def of_bar(bar):
    return text(bar["figure"], bar.get("range"), close)


def both(bar):
    """The two figures behind a ratio."""
    if bar["ours"] is None:
        return ""
    return f"{number(bar['ours'])}, {number(bar['theirs'])}"
