"""Medians, spread, and ratios taken pair by pair: round against round."""

import math
import random
import statistics
from dataclasses import dataclass

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
# of them. How contenders compare differs with that, mostly by 1 to 3 % and by up to 9 (8 runs,
# 2026-11-28), and how much of a run it is is the host's affair: company counts for a fixed part.
# Where there is not enough of it, or too much, a ratio is doubted by as much as it may be off.
SHARED = 1.2
COMPANY_COUNTS = 0.3
MORE = 1.5
COMPANY = 0.09
# A contender is dear now and then (usual_turns) where so many turns, and at least three, are so
# many times dearer than those that are not. They are told beside the ratio and do not count in it:
# how often they are is the host's affair too. Of two runs one had Asio's callbacks on io_uring at
# 1.0 and the next at 3.1 of Fairway (3f40d11, `run.sh --minutes 68`, 2026-11-28). Where it is most
# of them, or where as many are cheaper by CHEAP than the middle one, no ratio is known.
USUAL = 0.3   # this part of the way up is a turn that is not dear
DEAR = 1.4
DEAR_TURNS = 0.03
MOSTLY = 0.5
CHEAP = 1.5
TOLD = 1.5  # below it is a tail like any


def median(values):
    return statistics.median(values) if values else None


def middle_mean(values):
    """The mean of the middle half (the interquartile mean): rounds in which something else ran do
    not count."""
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


def pairs_of_sittings(over, under, figure):
    """Of each sitting of both each round of the one with the same round of the other."""
    found, theirs = [], rounds_of_sittings(under)
    for number, ours in rounds_of_sittings(over).items():
        found.append([(one, other) for one, other in zip(ours, theirs.get(number, []))
                      if one and other and one.get(figure) is not None and other.get(figure)])
    return found


@dataclass(frozen=True)
class Turn:
    """A round of the one beside the same round of the other."""
    ratio: float
    place: str | None
    timed: bool
    company: bool  # another thread had part of the core of one of the servers


def turns_of_sittings(over, under, figure):
    """All of them, of each sitting that has some."""
    def slowest(pair):
        return max(one.get("units_us_" + when) or 0 for one in pair for when in ("before", "after"))

    found = pairs_of_sittings(over, under, figure)
    timed = [slowest(pair) for each in found for pair in each if slowest(pair) > 0]
    most = SHARED * min(timed, default=0)

    def turn(pair):
        one, other = pair
        return Turn(one[figure] / other[figure], place(pair), slowest(pair) > 0,
                    slowest(pair) > most)

    return [list(map(turn, each)) for each in found if each]


def usual_turns(sittings):
    """Those in which the contender was not dear, of either place, by sitting. Asio's io_uring
    servers are dear now and then, for whole sittings: the kernel interrupts such a one for what has
    arrived while it runs, up to 0.4 times a request where it is 0.01 otherwise, and where an
    interrupt takes a virtual machine 20 us the server is at 2 to 4 times its usual CPU
    (2026-11-28)."""
    most = {}
    for where in ("near", "far", None):
        values = sorted(one.ratio for each in sittings for one in each if one.place == where)
        enough = len(values) >= FEW
        most[where] = DEAR * values[int(USUAL * (len(values) - 1))] if enough else math.inf
    return [[one for one in each if one.ratio <= most[one.place]] for each in sittings]


def grouped(over, under, figure):
    """One contender to another, each round to the same round of the other: what counts of each
    sitting of both. What differs between sittings is what a start of the servers and the minute
    bring, and what two runs can differ by."""
    sittings = turns_of_sittings(over, under, figure)
    if figure == "cpu_us":
        sittings = usual_turns(sittings)
    return [each for each in sittings if each]


def flat(sittings):
    return [one for each in sittings for one in each]


def part_of_company(turns):
    """What turns with company count for: a fixed part, but none for more than half as much again as
    it would among all, since a few turns are a guess."""
    shared = MORE * sum(one.company for one in turns) / len(turns)
    without = MORE * sum(not one.company for one in turns) / len(turns)
    return min(max(COMPANY_COUNTS, 1 - without), shared)


def mixed(turns):
    """With company and without, each for its part."""
    part = part_of_company(turns) if turns else 0
    if part in (0, 1):
        return middle_mean([one.ratio for one in turns])
    shared, without = ([one.ratio for one in turns if one.company == which]
                       for which in (True, False))
    return part * middle_mean(shared) + (1 - part) * middle_mean(without)


def ratio_of(turns):
    """How contenders compare depends on the place, and how much of a run each has is the host's
    affair: where both were seen, either counts for a half."""
    by_place = [[one for one in turns if one.place == which] for which in ("near", "far")]
    if min(map(len, by_place)) < max(FEW, LEAST_OF_A_PLACE * len(turns)):
        return mixed(turns)
    return statistics.fmean(map(mixed, by_place))


def ratios(over, under, figure):
    """All that count."""
    return [one.ratio for one in flat(grouped(over, under, figure))]


def ratio(over, under, figure):
    """One contender to another."""
    return ratio_of(flat(grouped(over, under, figure)))


def by_sitting(over, under, figure):
    """The ratio of each sitting."""
    return [ratio_of(each) for each in grouped(over, under, figure)]


def doubt_of_company(turns):
    """What the ratio may be off by where there was too much company, or too little."""
    timed = any(one.timed for one in turns)
    return COMPANY * abs(part_of_company(turns) - COMPANY_COUNTS) if timed else 0


def doubt_of_sittings(over, under, figure):
    """The part of the doubt that more sittings may make less: what drawing them anew gives (a
    bootstrap), and more where they are few, which may be alike by chance (about what Student's t
    asks for), and what company on the core does, where it is always there or never. None: of a
    single sitting nobody knows."""
    by = grouped(over, under, figure)
    if len(by) < 2:
        return None
    draw = random.Random(1).choices
    drawn = [ratio_of(flat(draw(by, k=len(by)))) for _ in range(200)]
    few = 1 + 8 / (len(by) - 1) ** 1.5
    drawn_apart = few * SURE * 2 ** 0.5 * statistics.stdev(drawn) / median(drawn)
    return math.hypot(drawn_apart, doubt_of_company(flat(by)))


def dear(over, under):
    """Of turns that are dear now and then, in CPU: their share and their ratio. None: there are
    none."""
    sittings = turns_of_sittings(over, under, "cpu_us")
    every, usual = flat(sittings), flat(usual_turns(sittings))
    count = len(every) - len(usual)
    if count < max(3, DEAR_TURNS * len(every)):
        return None
    values = sorted(one.ratio for one in every)[-count:]
    return count / len(every), middle_mean(values)


def unknown(over, under):
    """By how much the turns of one state differ from those of the other, where nobody can tell
    which is the usual one. Zero: there is one, or it is plain."""
    found = dear(over, under)
    if found and found[0] > MOSTLY:
        return found[1] / ratio(over, under, "cpu_us") - 1
    most = 0
    turns = flat(turns_of_sittings(over, under, "cpu_us"))
    for where in ("near", "far", None):
        values = sorted(one.ratio for one in turns if one.place == where and one.ratio > 0)
        rare = max(3, math.ceil(DEAR_TURNS * len(values)))
        if len(values) >= 4 * rare:
            most = max(most, median(values) / values[rare - 1] - 1)
    return most if most > CHEAP - 1 else 0


def doubt(over, under, figure):
    """By how much of it the ratio of two runs like this one differs at most: by what their sittings
    do, and by which of two states a contender is mostly in. None: of a single sitting nobody
    knows."""
    by = doubt_of_sittings(over, under, figure)
    return None if by is None else math.hypot(by, unknown(over, under))


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


def dear_text(over, under, between):
    """For people, beside a ratio or its range: how often it is another one."""
    found = dear(over, under)
    usual = between[1] if between else ratio(over, under, "cpu_us")
    if found is None or found[1] < TOLD * usual:
        return ""
    return f"; in {found[0]:.0%} of turns {number(found[1])}"


def of_bar(bar):
    return text(bar["figure"], bar.get("range"), close)


def both(bar):
    """The two figures behind a ratio."""
    if bar["ours"] is None:
        return ""
    return f"{number(bar['ours'])}, {number(bar['theirs'])}"
