"""How far two runs are apart in what the server's CPU a request is to the first contender's:
compare.py A/results.json B/results.json [--within SHARE]

Two runs on the same tree are to be within 5 %. Ratios of which a run says itself that it does not
know them so well (a range in the report) are shown with a `?` and not judged, but for those of
which the other run is sure and this one's doubt does not allow its figure: they are refuted. The
exit status is 0 when all that are judged are within and none is refuted.
"""

import argparse
import json
import math
import sys

import figures


def ratios_of(results):
    """(work, contender) -> the ratio, that of each sitting, whether the run is sure, its doubt."""
    found = {}
    for work in results["works"]:
        if work["figure"] != "cpu_us":
            continue
        base, *others = work["contenders"]
        under = work["contenders"][base]
        for name in others:
            entry = work["contenders"][name]
            value = figures.ratio(entry, under, "cpu_us")
            if value is not None:
                doubt = figures.doubt(entry, under, "cpu_us")
                found[work["name"], name] = (value, figures.by_sitting(entry, under, "cpu_us"),
                                             doubt is not None and doubt <= figures.SETTLED, doubt)
    return found


def spread(sittings):
    if len(sittings) < 2:
        return ""
    low, high = figures.quartiles(sittings)
    return f"{low:.2f} to {high:.2f} ({len(sittings)})"


def main():
    words = argparse.ArgumentParser(prog="run.sh --compare")
    words.add_argument("first", metavar="A.json")
    words.add_argument("second", metavar="B.json")
    words.add_argument("--within", type=float, default=0.05, metavar="SHARE")
    given = words.parse_args()
    both, machines = [], []
    for path in (given.first, given.second):
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
        both.append(ratios_of(results))
        machines.append({**results["machine"], **figures.conditions(results["works"])})
    first, second = both
    for name in ("network", "congestion_control", "loopback_mtu", "send_buffers_of_source",
                 "idle_processors"):
        how = [about.get(name, "not told") for about in machines]
        if how[0] != how[1]:
            print(f"not alike: {name}: {how[0]}, {how[1]}")
    for name in ("one_l3", "servers_core_shared"):
        print(f"{name}: " + "; ".join(about.get(name, "not told") for about in machines))
    apart = {key: second[key][0] / first[key][0] - 1 for key in first if key in second}
    if not apart:
        print("compare.py: they have no ratio in common", file=sys.stderr)
        return 2
    judged = [key for key in apart if first[key][2] and second[key][2]]

    def within(difference):
        return abs(difference) <= given.within

    def is_refuted(key):
        """Further apart than two runs are that know it as these do, all but never (a doubt is of
        two alike); by how many times, so that neither run is the one to compare with."""
        (*_, one_sure, one), (*_, other_sure, other) = first[key], second[key]
        if one_sure == other_sure or None in (one, other) or within(apart[key]):
            return False
        times = max(second[key][0] / first[key][0], first[key][0] / second[key][0])
        return times - 1 > math.hypot(one, other) / 2 ** 0.5

    refuted = set(filter(is_refuted, apart))
    print(f"{'work':22} {'contender':22} {'A':>6} {'B':>6}      middle half of sittings (how many)")
    for (work, name), difference in apart.items():
        one, other = first[work, name], second[work, name]
        mark = "?"
        if (work, name) in judged:
            mark = " " if within(difference) else "!"
        elif (work, name) in refuted:
            mark = "!"
        print(f"{work:22} {name:22} {one[0]:6.3f} {other[0]:6.3f} {difference:+6.1%} {mark}"
              f"  {spread(one[1]):22} {spread(other[1])}")
    sizes = sorted(abs(apart[key]) for key in judged)
    if not sizes:
        print("compare.py: the runs are sure of no ratio", file=sys.stderr)
        return 2
    met = sum(map(within, sizes))
    print(f"{met} of {len(sizes)} ratios within {given.within:.0%}; "
          f"median {figures.median(sizes):.1%}, "
          f"95th percentile {sizes[int(0.95 * (len(sizes) - 1))]:.1%}, most {sizes[-1]:.1%}; "
          f"{len(apart) - len(sizes)} not judged, {len(refuted)} refuted")
    return 0 if met == len(sizes) and not refuted else 1


if __name__ == "__main__":
    sys.exit(main())
