"""The tables for README, from a report: markdown.py RESULTS.json [README.md]

Prints them, or puts them between the lines `<!-- bench-begin -->` and `<!-- bench-end -->` of the
file and copies the chart beside the tree's other pictures. A smoke, a run of part of
the works and a run on a busy machine are refused: their figures are no claim.
"""

import json
import os
import re
import shutil
import sys

import figures
import machine
import report


def main_table(results):
    work = next((work for work in results["works"] if work["name"] == "echo_64x64x1"), None)
    if work is None:
        return ""
    base = next(iter(work["contenders"].values()))
    lines = ["| 64 B echo, 64 connections | server CPU, µs a request | to Fairway | requests/s | "
             "p50 µs | p99 µs | system calls | allocations |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for entry in work["contenders"].values():
        if not entry["rounds"]:
            lines.append(f"| {entry['title']} | {entry.get('why', '')} | | | | | | |")
            continue
        ratio = figures.ratio(entry, base, "cpu_us")
        between = figures.range_of(ratio, figures.doubt(entry, base, "cpu_us"))
        of_entry = [figures.of_entry(entry, name) for name in (
            "cpu_us", "requests_per_second", "p50_us", "p99_us", "calls", "allocations")]
        first, *others = map(figures.number, of_entry)
        shown = figures.text(ratio, between) + figures.dear_text(entry, base, between)
        cells = [entry["title"], first, shown, *others]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + f"\n\n{report.load_sentence(work)}"


def bars(results):
    lines = ["| bar | has to be | is | ours, theirs | |", "|---|---|---:|---:|---|"]
    for bar in results["bars"]:
        lines.append(f"| {bar['section']}: {bar['name']} | {bar['limit']} | "
                     f"{figures.of_bar(bar)} | {figures.both(bar)} | {bar['verdict']} |")
    return "\n".join(lines)


def section(results):
    about = results["machine"]
    return (f"Measured {results['date'][:10]} on {about['system']}, kernel {about['kernel']}, "
            f"{about['cores']} cores ({about['processor']}), {about['compiler']}, by "
            f"`{results['command'].strip()}` (commit {about['commit']}; network: "
            f"{about.get('network', 'the machine')}, {about.get('congestion_control', '')}):\n\n"
            f"{main_table(results)}\n\n"
            "![server CPU a request](tests/bench/chart.svg)\n\n"
            f"<details><summary>Every bar</summary>\n\n{bars(results)}\n\n</details>")


def refusal(results):
    if results["mode"] == "smoke" or "--only" in results["command"]:
        return "this was not a whole run"
    return machine.complaint(results["machine"])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    if len(sys.argv) < 3:
        print(section(results))
        return 0
    why = refusal(results)
    if why:
        print(f"markdown.py: no table for README: {why}", file=sys.stderr)
        return 1
    readme = sys.argv[2]
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    found = re.sub(r"(<!-- bench-begin -->\n).*?(<!-- bench-end -->)",
                   lambda place: place.group(1) + section(results) + "\n" + place.group(2), text,
                   flags=re.S)
    with open(readme, "w", encoding="utf-8") as file:
        file.write(found)
    shutil.copy(os.path.join(os.path.dirname(sys.argv[1]), "chart.svg"),
                os.path.join(os.path.dirname(os.path.abspath(readme)), "tests", "bench"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
