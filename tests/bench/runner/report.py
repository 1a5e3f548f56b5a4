"""The report: one HTML page that needs nothing else, and the chart that README shows."""

import os
from html import escape

import charts
import figures
import machine

UNITS = {"cpu_us": "server CPU a request, µs", "p50_us": "median time, µs",
         "requests_per_second": "a second", "bytes_per_second": "bytes a second", "ns": "ns each",
         "bytes_a_connection": "bytes a connection", "idle_cpu_us": "CPU in a second, µs"}

# Title, figure of the rounds' medians or of the entry, divided by.
COLUMNS = {
    "tcp": [("requests/s", "requests_per_second", 1), ("MB/s", "bytes_per_second", 1e6),
            ("p50 µs", "p50_us", 1), ("p99 µs", "p99_us", 1), ("p99.9 µs", "p999_us", 1),
            ("server CPU µs", "cpu_us", 1), ("user", "user_us", 1), ("system", "system_us", 1),
            ("client CPU µs", "client_cpu_us", 1),
            ("calls", "calls", 1), ("allocations", "allocations", 1),
            ("server busy", "server_busy", 1), ("client busy", "client_busy", 1),
            ("bytes/connection", "bytes_a_connection", 1), ("idle wakes/s", "idle_wakes", 1),
            ("RSS MiB", "resident_kib", 1024), ("threads", "threads", 1)],
    "pair": [("messages/s", "requests_per_second", 1), ("MB/s", "bytes_per_second", 1e6),
             ("p50 µs", "p50_us", 1), ("p99 µs", "p99_us", 1), ("p99.9 µs", "p999_us", 1),
             ("server CPU µs", "cpu_us", 1), ("user", "user_us", 1), ("system", "system_us", 1),
             ("client CPU µs", "client_cpu_us", 1),
             ("calls", "calls", 1), ("allocations", "allocations", 1),
             ("client's entries", "kernel_entries", 1),
             ("last to first tenth", "flat", 1),
             ("to TCP in turn", "to_plain", 1), ("idle wakes/s", "idle_wakes", 1),
             ("RSS MiB", "resident_kib", 1024), ("threads", "threads", 1)],
    "micro": [("ns", "ns", 1)],
}
COLUMNS["key_value"] = COLUMNS["wine"] = COLUMNS["tcp"]

PAGE_STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--dim:#59636e;--back:#fff;--line:#d8dee4;--us:#eef5fd}
@media (prefers-color-scheme:dark){:root{--text:#e6e8eb;--dim:#9aa4af;--back:#14171a;
--line:#33393f;--us:#16283b}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);
max-width:1200px;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums}
th,td{padding:.2em .6em;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child,.left{text-align:left}tr.us{background:var(--us)}
.wide{overflow-x:auto}.dim{color:var(--dim)}.met{color:#1a7f37}.missed{color:#cf222e}
@media (prefers-color-scheme:dark){.met{color:#4ac26b}.missed{color:#ff7b72}}
svg{max-width:100%;height:auto}
"""


def baseline_of(work):
    """The first contender that has figures: what the others are compared with."""
    for name, entry in work["contenders"].items():
        if entry["rounds"]:
            return name
    return None


def chart_of(work):
    rows = []
    figure = work["figure"]
    for name, entry in work["contenders"].items():
        if not entry["rounds"]:
            continue
        value = figures.of_entry(entry, figure)
        low, high = figures.quartiles(figures.column(entry["rounds"], figure))
        first, second = value, 0
        if figure == "cpu_us" and "user_us" in entry:
            first, second = entry["user_us"], entry["system_us"]
        rows.append({"name": entry["title"], "first": first, "second": second, "low": low,
                     "high": high, "ours": name.startswith("fairway"),
                     "text": figures.number(value)})
    legend = ("user", "system") if figure == "cpu_us" else ("", "")
    better = "less is better" if work["lower_is_better"] else "more is better"
    return charts.bars(work["title"], f"{UNITS.get(figure, figure)}, {better}", rows, legend)


def ratio_of(entry, base, figure):
    """To the first contender, and the middle halves where there are rounds to compare."""
    found = figures.ratios(entry, base, figure)
    if found:
        halves = [figures.quartiles(found)]
        sittings = figures.by_sitting(entry, base, figure)
        halves += [figures.quartiles(sittings)] if len(sittings) > 1 else []
        shown = [f"{low:.2f} to {high:.2f}" for low, high in halves]
        return figures.ratio(entry, base, figure), shown
    if figures.column(entry["rounds"], figure):
        return None, []  # they were never alive together
    over, under = figures.of_entry(entry, figure), figures.of_entry(base, figure)
    return (over / under if over is not None and under else None), []


def with_doubt(entry, base, ratio):
    """A ratio, or between what it is where another run would give another one, and how often it is
    far from that."""
    between = figures.range_of(ratio, figures.doubt(entry, base, "cpu_us"))
    shown = escape(figures.text(ratio, between) + figures.dear_text(entry, base, between))
    return f'<span class="dim">{shown}</span>' if between else shown


def sittings_of(entry):
    """How often it was started and how many turns it had then: `8 x 5`."""
    turns = [sitting["turns"] for sitting in entry.get("sittings", [])]
    if turns and min(turns) == max(turns):
        return f"{len(turns)} × {turns[0]}"
    return " + ".join(map(str, turns)) if turns else str(len(entry["rounds"]))


def table_of(work):
    entries = work["contenders"]
    columns = [column for column in COLUMNS[work["kind"]]
               if any(figures.of_entry(entry, column[1]) for entry in entries.values())]
    base = baseline_of(work)
    head = "".join(f"<th>{escape(title)}</th>" for title, _, _ in columns)
    unit = UNITS.get(work["figure"], work["figure"])
    note = f"{unit}, to {entries[base]['title']}" if base else ""
    out = [f'<div class="wide"><table><tr><th></th>{head}<th>ratio: {escape(note)}</th>'
           '<th>middle half of turns</th><th>of sittings</th><th>sittings × turns</th></tr>']
    for name, entry in entries.items():
        mark = ' class="us"' if name.startswith("fairway") else ""
        if not entry["rounds"]:
            out.append(f'<tr{mark}><td>{escape(entry["title"])}</td><td class="dim" '
                       f'colspan="{len(columns) + 4}">{escape(entry.get("why", ""))}</td></tr>')
            continue
        cells = ""
        for _, figure, divisor in columns:
            value = figures.of_entry(entry, figure)
            cells += f"<td>{figures.number(value / divisor if value is not None else None)}</td>"
        ratio, halves = ratio_of(entry, entries[base], work["figure"])
        halves += [""] * (2 - len(halves))
        shown = figures.number(ratio)
        if work["figure"] == "cpu_us" and name != base:
            shown = with_doubt(entry, entries[base], ratio)
        out.append(f'<tr{mark}><td>{escape(entry["title"])}</td>{cells}'
                   f"<td>{shown}</td><td>{halves[0]}</td><td>{halves[1]}</td>"
                   f"<td>{sittings_of(entry)}</td></tr>")
    out.append("</table></div>")
    return "".join(out)


def bars_table(results):
    met = sum(bar["verdict"] == "met" for bar in results["bars"])
    missed = sum(bar["verdict"] == "missed" for bar in results["bars"])
    out = [f"<p>{met} met, {missed} missed, {len(results['bars']) - met - missed} without a figure "
           'in this run.</p><div class="wide"><table><tr><th>bar</th>'
           '<th class="left">has to be</th>'
           "<th>is</th><th>ours, theirs</th><th>middle half</th><th></th></tr>"]
    for bar in results["bars"]:
        low, high = bar["spread"] or (None, None)
        spread = f"{figures.number(low)} to {figures.number(high)}" if low is not None else ""
        kind = bar["verdict"] if bar["verdict"] in ("met", "missed") else "dim"
        out.append(f'<tr><td>{escape(bar["section"])}: {escape(bar["name"])}</td>'
                   f'<td class="left">{escape(bar["limit"])}</td>'
                   f'<td>{figures.of_bar(bar)}</td><td>{figures.both(bar)}</td>'
                   f'<td>{spread}</td><td class="{kind}">{escape(bar["verdict"])}</td></tr>')
    return "".join(out) + "</table></div>"


def load_sentence(work):
    """Whether the load generator was what ended the measurement."""
    entries = [entry for entry in work["contenders"].values() if entry["rounds"]]
    if work["kind"] == "pair" or work["kind"] == "micro" or "idle" in work["words"]:
        return ""
    client = [figures.of_entry(entry, "client_busy") for entry in entries]
    server = [figures.of_entry(entry, "server_busy") for entry in entries]
    if not client or None in client or None in server:
        return ""
    slow = [entry["title"] for entry, ours, theirs in zip(entries, client, server)
            if ours > theirs + 0.02]
    text = (f"The load generator was busy {min(client):.0%} to {max(client):.0%} of the time, the "
            f"servers {min(server):.0%} to {max(server):.0%}.")
    if slow:
        text += (" It was the slower one, so that requests a second are its own, against: "
                 f"{', '.join(slow)}.")
    return text


def load_note(work):
    text = load_sentence(work)
    return f'<p class="dim">{escape(text)}</p>' if text else ""


def contents(results):
    links = "".join(f'<li><a href="#{work["name"]}">{escape(work["title"])}</a></li>'
                    for work in results["works"])
    return f'<details><summary>{len(results["works"])} works</summary><ol>{links}</ol></details>'


def machine_table(results):
    rows = []
    for name, value in results["machine"].items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {text}" for key, text in value.items())
        rows.append(f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>")
    return f'<table>{"".join(rows)}</table>'


METHOD = """One load generator, on one core, drives the servers, which are on the other one; it
compares every byte and reads the server's CPU clock and its own at both ends of the measured
time (the server's while it sleeps, since the kernel brings the clock of one that runs up to date
at its ticks alone, some milliseconds apart). Servers that are alive at once take turns (A B C, C
B A, ...): all of a table, or the first contender and some more, so that no turn is far from its
own; whose turn it is not sleeps, and the first turn of a server does not count where it has
more. That is a sitting; for the next one servers are started afresh, and the sittings of a table
are spread over the whole run. Pairs of processes take turns in rounds, afresh each time. Figures
are medians; times are those of all turns; a ratio is the mean of the middle half of the ratios
of each turn to the same turn of the first contender, so that a machine which is slower for a
while is slower for both. Turns of server CPU that are 1.4 times dearer than those a third of the
way up do not count in it: a contender that is in another state now and then is told by its usual
one, and the share of the others and their ratio stand beside it. Turns beside which a loop on
the servers' core was slowed down, as by another thread of it, count for three tenths however
many they are, but for no more than half as much again as they would by their number, and neither
do those without; where the host of a virtual machine had the two processors now in one L3 and
now in two (a cache line is timed beside each turn), each for a twentieth of the turns and ten of
them at least, it is the mean of both places' ratios, however long each lasted, without turns
between which the place changed. Where another run would give a ratio of server CPU that is more
than 5 % away (what drawing the sittings anew tells, and so many standard deviations of it that
of 280 ratios none is, nineteen times of twenty), or where nobody can tell which of two states is
the usual one, only its range is given, by whose middle a bar is judged; time that is left when
all works are done goes to those. The share of user and system time is sampled by the kernel.
System calls are counted by strace, allocations by a preloaded counter, each in a pass of its
own. Where the system allows it the network is a namespace of its own with Reno instead of the
machine's congestion control, 15 pages in a packet and at most a mebibyte to send on a connection
of a source of bulk, and no processor halts while servers are alive that are judged by their CPU
(see the machine below for this run). All contenders receive into and send from memory at a
multiple of 64 bytes, but for ZeroMQ and redis-server, which make their own."""


def write(results, folder):
    warning = ""
    why = machine.complaint(results["machine"])
    if why:
        warning = f'<p class="missed">These figures cannot be trusted: {escape(why)}.</p>'
    sections = "".join(f'<h2 id="{work["name"]}">{escape(work["title"])}</h2>{chart_of(work)}'
                       f'{table_of(work)}{load_note(work)}' for work in results["works"])
    page = (f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width">'
            f"<title>Fairway beside its peers</title><style>{PAGE_STYLE}</style></head><body>"
            f"<h1>Fairway beside its peers</h1><p>{escape(results['date'])}, "
            f"<code>{escape(results['command'])}</code>, {results['seconds']} s, server on core "
            f"{results['server_core']}, client on core {results['client_core']}.</p>{warning}"
            f"<p>{METHOD}</p>{contents(results)}<h2>Bars</h2>{bars_table(results)}{sections}"
            f"<h2>Machine</h2>{machine_table(results)}</body></html>\n")
    with open(os.path.join(folder, "report.html"), "w", encoding="utf-8") as file:
        file.write(page)
    chart = chart_of(results["works"][0])
    if chart:
        with open(os.path.join(folder, "chart.svg"), "w", encoding="utf-8") as file:
            file.write(chart + "\n")
