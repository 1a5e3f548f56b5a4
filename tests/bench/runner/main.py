"""The runner: every contender of every work in turn (A B C A B C ...), then the report.

main.py [--quick] [--only NAME] [--minutes N] [--smoke] [--list] [--build FOLDER]
        [--windows FOLDER] [--out FOLDER]
compare.py tells how far two of them are apart.
"""

import argparse
import contextlib
import datetime
import json
import os
import signal
import sys
import time

import bars
import figures
import machine
import markdown
import plan
import processes
import quiet
import report

TABLES = {"tcp": plan.SERVERS, "pair": plan.PAIRS, "key_value": plan.KEY_VALUE_SERVERS,
          "wine": plan.WINE_SERVERS}

# After so long every further work gets one sitting, which takes less than a minute. What is left of
# it when all works are done goes to the ratios that are not settled.
SECONDS_MAX = {"smoke": 230, "quick": 255, "full": 75 * 60}


def parse():
    top = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
    words = argparse.ArgumentParser(
        prog="run.sh", epilog="run.sh --compare A.json B.json: how far server-CPU ratios of two "
                              "reports are apart; the exit status is 0 when all that both are "
                              "sure of are within 5 %")
    words.add_argument("--quick", action="store_true",
                       help="within 5 minutes: fewer and shorter rounds")
    words.add_argument("--minutes", type=float, metavar="N",
                       help="of a run that is not quick (75): longer settles more ratios")
    words.add_argument("--smoke", action="store_true",
                       help="every contender once, very short; no figure is judged")
    words.add_argument("--only", metavar="NAME",
                       help="works and contenders with this in their name, or works of a kind: "
                            "tcp, pair, micro, key_value, wine")
    words.add_argument("--list", action="store_true", help="names of works and contenders")
    words.add_argument("--build", default=os.path.join(top, "build", "native"))
    words.add_argument("--windows", default=os.path.join(top, "build", "windows"))
    words.add_argument("--out",
                       help="folder of the report (BUILD/bench, a smoke BUILD/bench_smoke)")
    # Of run.sh, in a network namespace of its own: the one it came from.
    words.add_argument("--outside", help=argparse.SUPPRESS)
    given = words.parse_args()
    given.top = top
    given.out = given.out or os.path.join(given.build, "bench_smoke" if given.smoke else "bench")
    return given


def chosen(given):
    """The works of this run."""
    works = list(plan.works())
    if given.smoke:
        works = [work for work in works if smoked(work)]
        for work in works:
            for name, value in zip(work.smoke[::2], work.smoke[1::2]):
                work.words[work.words.index(name) + 1] = value
    elif given.quick:
        works = [work for work in works if work.quick]
    if given.only:
        by_name = [work for work in works if given.only == work.name]
        if by_name:
            return by_name
        by_name = [work for work in works if given.only in work.name or given.only == work.kind]
        for work in works:
            if work not in by_name:
                work.contenders = [name for name in work.contenders if given.only in name]
        works = [work for work in works if work.contenders]
    return works


def smoked(work):
    """Of works that differ in sizes alone, those that take a way of their own."""
    if work.name.startswith("echo_"):
        return work.name in ("echo_64x64x1", "echo_65536x64x16")
    if work.name.startswith("parked_") or work.name.startswith("round_trip_"):
        return work.name.endswith("_1048576")
    return work.name != "connect_many"


class Run:
    def __init__(self, given):
        self.given = given
        self.place = processes.Place(given.build, given.windows, given.top)
        self.mode = "smoke" if given.smoke else "quick" if given.quick else "full"
        self.index = int(self.mode == "full")
        self.failed = []
        self.shortened = False
        self.begun = time.monotonic()
        self.seconds_max = SECONDS_MAX[self.mode]
        if given.minutes and self.mode == "full":
            self.seconds_max = given.minutes * 60

    def seconds_left(self):
        return self.seconds_max - (time.monotonic() - self.begun)

    def late(self):
        return self.seconds_left() < 0

    def timing(self, work):
        """Words for the programs: how long one turn or round is."""
        if self.given.smoke:
            words = ["--seconds", 0.02] + (["--warm", 0.01] if work.kind != "pair" else [])
            # However busy the machine is, so many are answered.
            counted = work.figure == "cpu_us" and work.server == "echo" or work.kind == "wine"
            return words + (["--count", 200] if counted else [])
        words = ["--seconds", work.seconds[self.index]] + (["--whole", 1] if work.whole else [])
        return words + (["--warm", work.warm] if work.kind != "pair" else [])

    def times(self, work):
        """How often servers are started, and how many turns each gets."""
        if self.given.smoke or self.late():
            return 1, 1 if self.given.smoke else min(2, work.turns[self.index])
        return work.sittings[self.index], work.turns[self.index]

    def say(self, text):
        print(text, flush=True)

    def give_up(self, work, name, entry, error):
        entry["why"] = str(error)
        if isinstance(error, processes.NotBuilt):
            self.say(f"  {name}: not built: {error}")
            entry["why"] = f"not built: {error}"
        else:
            self.say(f"  {name}: FAILED: {error}")
            entry["failed"] = True
            self.failed.append(f"{work.name}, {name}: {error}")

    def works(self, works):
        """All works. The sittings of each are spread over the whole run: how contenders compare
        moves by some percent with what the machine is like for a minute or two."""
        for work in works:
            work.entries = {name: {"title": plan.NAMES[name], "rounds": []}
                            for name in work.contenders}
            work.groups = work.split()
            work.spent = 0
        steps = []
        for order, work in enumerate(works):
            whole = work.kind in ("micro", "pair")
            times = 1 if whole else self.times(work)[0]
            steps += [((step + 0.5) / times, order, step, times) for step in range(times)]
        for _, order, step, times in sorted(steps):
            self.step(works[order], step, step == times - 1)
        if self.mode != "smoke":
            self.more_sittings(works)
        return [self.found(work) for work in works]

    def more_sittings(self, works):
        """One more for each group with ratios that another run would give otherwise, and again:
        for as many groups as the time may do to settle, those first that need the least; else for
        those that are not far from it, or for all."""
        judged = [(work, group) for work in works for group in work.groups
                  if work.kind in ("tcp", "key_value") and work.figure == "cpu_us"
                  and "why" not in work.entries[group.names[0]]]
        added = 0
        while not self.late():
            lacking = sorted((work.seconds_to_settle(group), order)
                             for order, (work, group) in enumerate(judged)
                             if any("why" not in work.entries[name] for name in group.names[1:]))
            hopeful, needed = [], 0
            for seconds, order in lacking:
                needed += seconds
                if seconds > 0 and needed < self.seconds_left():
                    hopeful.append(judged[order])
            for most in (3 * self.seconds_left(), float("inf")):
                hopeful = hopeful or [judged[order] for seconds, order in lacking
                                      if 0 < seconds < most]
            if not hopeful:
                break
            for work, group in hopeful:
                if self.late():
                    break
                self.one_sitting(work, work.entries, group)
                added += 1
        found = [figures.is_settled(work.entries[name], work.entries[group.names[0]], "cpu_us")
                 for work, group in judged for name in group.names[1:]
                 if work.entries[name]["rounds"]]
        if found:
            self.say(f"{added} more sittings; {sum(found)} of {len(found)} ratios settled")

    def step(self, work, step, last):
        begun = time.monotonic()
        if work.kind == "micro":
            self.micro(work, work.entries)
        elif work.kind == "pair":
            self.rounds(work, work.entries)
        else:
            self.all_groups(work, work.entries, step)
        if last and work.kind != "micro":
            with self.network_of(work):
                self.counts(work, work.entries)
        work.spent += time.monotonic() - begun
        if last:
            self.say(f"{work.name}: {work.title}")
            for name, entry in work.entries.items():
                entry["median"] = figures.summary(entry["rounds"])
                if entry["rounds"]:
                    value = figures.of_entry(entry, work.figure)
                    self.say(f"  {plan.NAMES[name]:38} {figures.number(value):>12} {work.figure}")

    def found(self, work):
        for entry in work.entries.values():
            entry["median"] = figures.summary(entry["rounds"])
        return {"name": work.name, "title": work.title, "kind": work.kind, "figure": work.figure,
                "lower_is_better": work.lower_is_better(), "seconds": round(work.spent, 1),
                "words": " ".join(str(word) for word in work.words), "contenders": work.entries}

    def all_groups(self, work, entries, step):
        """A sitting of each group."""
        if step > 0 and self.late():
            if not self.shortened:
                self.say("fewer sittings from here on: the time of this run is up")
            self.shortened = True
            return
        for group in work.groups:
            self.one_sitting(work, entries, group)

    def one_sitting(self, work, entries, group):
        """Servers: all of a sitting are alive at once and take turns."""
        here = [name for name in group.names if "why" not in entries[name]]
        if not here:
            return
        # The first, with which the others are compared, has one at each side.
        here[:2] = reversed(here[:2])
        if group.sat % 2 == 1:
            here.reverse()
        begun = time.monotonic()
        # Who is alone is compared with who is alone in its turn.
        number = group.sat if work.alone else work.sat
        self.sitting(work, entries, group, here, number)
        group.sat += 1
        work.sat += 1
        group.seconds += time.monotonic() - begun

    def network_of(self, work):
        """Where the network is the machine's it stays as it is."""
        if work.send_buffers and self.given.outside:
            return quiet.send_buffers(work.send_buffers)
        return contextlib.nullcontext()

    def sitting(self, work, entries, group, here, number):
        _, turns = self.times(work)
        with contextlib.ExitStack() as stack:
            if work.figure == "cpu_us":
                stack.enter_context(quiet.awake())
            stack.enter_context(self.network_of(work))
            servers = {}
            for name in here:
                try:
                    start = processes.START[work.kind]
                    servers[name] = stack.enter_context(
                        start(self.place, TABLES[work.kind][name][1], work))
                except (processes.NotBuilt, processes.Failed) as error:
                    self.give_up(work, name, entries[name], error)
            if not servers:
                return
            try:
                found = processes.load(
                    self.place, servers.values(), [*work.words, "--turns", turns],
                    self.timing(work), 120 + 2 * work.estimate(self.index),
                    poll=work.kind != "wine")
            except (processes.NotBuilt, processes.Failed) as error:
                # Should it be the first one's fault, the other groups fail as well.
                others = [name for name in servers if name != group.names[0]]
                for name in others if len(work.groups) > 1 and others else servers:
                    self.give_up(work, name, entries[name], error)
                return
        for name, one in zip(servers, found):
            try:
                figures.add_sitting(entries[name], number, processes.check(one))
            except processes.Failed as error:
                self.give_up(work, name, entries[name], error)

    def rounds(self, work, entries):
        """Pairs of processes: a fresh pair each time."""
        sittings, turns = self.times(work)
        for turn in range(sittings * turns):
            if turn > 0 and self.late():
                self.say("  fewer rounds: the time of this run is up")
                break
            names = [name for name in work.contenders if "why" not in entries[name]]
            for name in names if turn % 2 == 0 else reversed(names):
                try:
                    entries[name]["rounds"].append(processes.measure_pair(
                        self.place, plan.PAIRS[name][1], work, self.timing(work)))
                except (processes.NotBuilt, processes.Failed) as error:
                    self.give_up(work, name, entries[name], error)

    def counts(self, work, entries):
        """The passes whose times mean nothing: system calls, allocations."""
        for name, entry in entries.items():
            if "why" in entry:
                continue
            words = TABLES[work.kind][name][1]
            requests = 1000 if self.given.smoke else work.requests_to_count()
            try:
                if work.counted[self.index]:
                    if name != "redis":  # it has an allocator of its own
                        entry["allocations"] = processes.count_allocations(
                            self.place, words, work, ["--count", requests, "--warm", 0.05])
                    entry["calls"] = processes.count_calls(self.place, words, work, requests)
                elif work.kind == "pair" and not self.given.smoke:
                    self.pair_counts(work, name, entry)
                elif work.name == "wine_1" and not self.given.smoke:
                    entry["calls"] = processes.count_wine_calls(self.place, words, work, 150)
            except (processes.NotBuilt, processes.Failed) as error:
                self.say(f"  {name}: not counted: {error}")

    def pair_counts(self, work, name, entry):
        """Of both ends, a message: what a long run has more than a short one."""
        hot = work.name == "hot" and name == "fairway_memory"
        if hot or self.index == 1 and work.name in ("hot", "one_way", "bulk"):
            few, many = (500, 200500) if hot else (100, 600)
            words = plan.PAIRS[name][1]
            entry["allocations"] = processes.count_pair_allocations(
                self.place, words, work, 200, 10200)
            entry["calls"] = processes.count_pair_calls(self.place, words, work, few, many)

    def micro(self, work, entries):
        sittings, turns = self.times(work)
        seconds = 0.005 if self.given.smoke else work.seconds[self.index]
        try:
            found = processes.measure_micro(self.place, work, sittings * turns, seconds)
        except (processes.NotBuilt, processes.Failed) as error:
            for name, entry in entries.items():
                self.give_up(work, name, entry, error)
            return
        for name, entry in entries.items():
            if name in found:
                entry["rounds"] = found[name]
            else:
                self.give_up(work, name, entry, processes.Failed("it has no such work"))


def asked_words(words):
    """What the user said to run.sh, which turns --no-wine into a folder that is not there."""
    if "--windows" in words:
        at = words.index("--windows")
        words = words[:at] + ["--no-wine"] + words[at + 2:]
    if "--outside" in words:
        at = words.index("--outside")
        words = words[:at] + words[at + 2:]
    return " ".join(words)


def main():
    given = parse()
    works = chosen(given)
    if given.list:
        for work in works:
            print(f"{work.name:24} {work.title}\n{'':24}   {' '.join(work.contenders)}")
        return 0
    expected = sum(work.estimate(not (given.quick or given.smoke)) for work in works)
    if not given.smoke:
        print(f"{len(works)} works, about {expected / 60:.0f} minutes", flush=True)
    if given.outside:
        quiet.set_up_network(given.outside)
        # One that is alive makes its sockets where it was started, the next one here.
        processes.end_wine_server(given.windows)
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(given)
    company = machine.Company()
    results = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": "sh tests/bench/run.sh " + asked_words(sys.argv[1:]),
        "mode": run.mode,
        "server_core": run.place.server_core, "client_core": run.place.client_core,
        "machine": {**machine.describe(given.top, given.build, given.windows),
                    **quiet.describe(given.outside is not None)},
        "names": plan.NAMES,
        "works": run.works(works),
    }
    if given.outside:
        processes.end_wine_server(given.windows)
    results["seconds"] = round(time.monotonic() - run.begun)
    results["machine"].update(company.shares())
    results["machine"].update(figures.conditions(results["works"]))
    results["bars"] = [] if given.smoke else bars.judge(results)
    os.makedirs(given.out, exist_ok=True)
    with open(os.path.join(given.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    if not given.smoke:
        report.write(results, given.out)
        print(markdown.bars(results))
        if machine.complaint(results["machine"]):
            print(f"not to be trusted: {machine.complaint(results['machine'])}")
    print(f"{len(works)} works in {results['seconds']} s, {len(run.failed)} failed; "
          f"the report is in {given.out}")
    for line in run.failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
