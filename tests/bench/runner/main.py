"""The runner: every contender of every work in turn (A B C A B C ...), then the report.

main.py [--quick] [--only NAME] [--smoke] [--list] [--build FOLDER] [--windows FOLDER]
        [--out FOLDER]
"""

import argparse
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
import report

MEASURE = {"tcp": processes.measure_tcp, "pair": processes.measure_pair,
           "key_value": processes.measure_key_value, "wine": processes.measure_wine}
TABLES = {"tcp": plan.SERVERS, "pair": plan.PAIRS, "key_value": plan.KEY_VALUE_SERVERS,
          "wine": plan.WINE_SERVERS}

# After so long every further work of a quick run gets one round, which takes less than a minute.
QUICK_SECONDS = 230


def parse():
    top = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
    words = argparse.ArgumentParser(prog="run.sh")
    words.add_argument("--quick", action="store_true",
                       help="within 5 minutes: fewer and shorter rounds")
    words.add_argument("--smoke", action="store_true",
                       help="every contender once, very short; no figure is judged")
    words.add_argument("--only", metavar="NAME",
                       help="works and contenders with this in their name")
    words.add_argument("--list", action="store_true", help="names of works and contenders")
    words.add_argument("--build", default=os.path.join(top, "build", "native"))
    words.add_argument("--windows", default=os.path.join(top, "build", "windows"))
    words.add_argument("--out",
                       help="folder of the report (BUILD/bench, a smoke BUILD/bench_smoke)")
    given = words.parse_args()
    given.top = top
    given.out = given.out or os.path.join(given.build, "bench_smoke" if given.smoke else "bench")
    return given


def chosen(given):
    """The works of this run."""
    works = list(plan.works())
    if given.smoke:
        cells = [work for work in works if work.name.startswith("echo_")]
        skipped = {work.name for work in cells[1:]} - {"echo_16384x64x1"}
        skipped |= {work.name for work in works
                    if "connect_many" == work.name or work.name.startswith("parked_")}
        works = [work for work in works if work.name not in skipped]
        for work in works:
            for name, value in zip(work.smoke[::2], work.smoke[1::2]):
                work.words[work.words.index(name) + 1] = value
    elif given.quick:
        works = [work for work in works if work.quick]
    if given.only:
        by_name = [work for work in works if given.only == work.name]
        if by_name:
            return by_name
        by_name = [work for work in works if given.only in work.name]
        for work in works:
            if work not in by_name:
                work.contenders = [name for name in work.contenders if given.only in name]
        works = [work for work in works if work.contenders]
    return works


class Run:
    def __init__(self, given):
        self.given = given
        self.place = processes.Place(given.build, given.windows, given.top)
        self.index = 0 if given.quick or given.smoke else 1
        self.failed = []
        self.begun = time.monotonic()

    def timing(self, work):
        if self.given.smoke:
            return ["--seconds", 0.05] + (["--warm", 0.02] if work.kind != "pair" else [])
        return ["--seconds", work.seconds[self.index]]

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

    def work(self, work):
        self.say(f"{work.name}: {work.title}")
        entries = {name: {"title": plan.NAMES[name], "rounds": []} for name in work.contenders}
        if work.kind == "micro":
            self.micro(work, entries)
        else:
            self.rounds(work, entries)
            self.counts(work, entries)
        for name, entry in entries.items():
            entry["median"] = figures.summary(entry["rounds"])
            if entry["rounds"]:
                value = entry["median"].get(work.figure)
                self.say(f"  {plan.NAMES[name]:38} {figures.number(value):>12} {work.figure}")
        return {"name": work.name, "title": work.title, "kind": work.kind, "figure": work.figure,
                "lower_is_better": work.lower_is_better(),
                "words": " ".join(str(word) for word in work.words), "contenders": entries}

    def rounds(self, work, entries):
        count = 1 if self.given.smoke else work.rounds[self.index]
        for turn in range(count):
            if turn > 0 and self.given.quick and time.monotonic() - self.begun > QUICK_SECONDS:
                self.say("  fewer rounds: the time of a quick run is up")
                break
            for name in work.contenders:
                entry = entries[name]
                if "why" in entry:
                    continue
                words = TABLES[work.kind][name][1]
                try:
                    entry["rounds"].append(
                        MEASURE[work.kind](self.place, words, work, self.timing(work)))
                except (processes.NotBuilt, processes.Failed) as error:
                    self.give_up(work, name, entry, error)
            if turn == 0 and all("why" in entry for entry in entries.values()):
                return

    def counts(self, work, entries):
        """The passes whose times mean nothing: system calls, allocations."""
        for name, entry in entries.items():
            if "why" in entry:
                continue
            words = TABLES[work.kind][name][1]
            requests = 1000 if self.given.smoke else (10000, 30000)[self.index]
            try:
                if work.counted:
                    entry["allocations"] = processes.count_allocations(
                        self.place, words, work, self.timing(work))
                    entry["calls"] = processes.count_calls(self.place, words, work, requests)
                elif work.name == "hot" and not self.given.smoke and name == "fairway_memory":
                    entry["calls"] = processes.count_pair_calls(self.place, words)
                elif work.name == "wine_1" and not self.given.smoke:
                    entry["calls"] = processes.count_wine_calls(self.place, words, work, 300)
            except (processes.NotBuilt, processes.Failed) as error:
                self.say(f"  {name}: not counted: {error}")

    def micro(self, work, entries):
        count = 1 if self.given.smoke else work.rounds[self.index]
        seconds = 0.005 if self.given.smoke else work.seconds[self.index]
        try:
            found = processes.measure_micro(self.place, work, count, seconds)
        except (processes.NotBuilt, processes.Failed) as error:
            for name, entry in entries.items():
                self.give_up(work, name, entry, error)
            return
        for name, entry in entries.items():
            if name in found:
                entry["rounds"] = found[name]
            else:
                self.give_up(work, name, entry, processes.NotBuilt("its layer is not there"))


def main():
    given = parse()
    works = chosen(given)
    if given.list:
        for work in works:
            print(f"{work.name:24} {work.title}\n{'':24}   {' '.join(work.contenders)}")
        return 0
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(given)
    results = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": "sh tests/bench/run.sh " + " ".join(sys.argv[1:]),
        "mode": "smoke" if given.smoke else "quick" if given.quick else "full",
        "server_core": run.place.server_core, "client_core": run.place.client_core,
        "machine": machine.describe(given.top, given.build), "names": plan.NAMES,
        "works": [run.work(work) for work in works],
    }
    results["seconds"] = round(time.monotonic() - run.begun)
    results["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    results["bars"] = [] if given.smoke else bars.judge(results)
    os.makedirs(given.out, exist_ok=True)
    with open(os.path.join(given.out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    if not given.smoke:
        report.write(results, given.out)
        print(markdown.bars(results))
    print(f"{len(works)} works in {results['seconds']} s, {len(run.failed)} failed; "
          f"the report is in {given.out}")
    for line in run.failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
