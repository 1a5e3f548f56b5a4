"""The bars: what the figures have to reach, each with its peer and met or missed.

A bar whose contender was not built, or whose work was not part of the run, says so: it is neither.
"""

import figures


class Bars:
    def __init__(self, results):
        self.works = {work["name"]: work for work in results["works"]}
        self.found = []

    def rounds(self, work, contender):
        """The rounds of a contender, or a sentence on why there are none."""
        if work not in self.works:
            return "not part of this run"
        entry = self.works[work]["contenders"].get(contender, {})
        if not entry.get("rounds"):
            return entry.get("why", "not measured")
        return entry["rounds"]

    def add(self, section, name, limit, figure, met, peer="", spread=None):
        self.found.append({"section": section, "name": name, "limit": limit, "figure": figure,
                           "peer": peer, "spread": spread,
                           "verdict": "met" if met else "missed"})

    def unknown(self, section, name, limit, why):
        self.found.append({"section": section, "name": name, "limit": limit, "figure": None,
                           "peer": "", "spread": None, "verdict": f"no figure: {why}"})

    def ratio(self, section, name, work, contender, peer, figure, limit, least=False):
        """`contender` to `peer`: at most `limit`, or at least."""
        sign = "at least" if least else "at most"
        text = f"{sign} {limit:g} of {peer}"
        ours, theirs = self.rounds(work, contender), self.rounds(work, peer)
        for side in (ours, theirs):
            if isinstance(side, str):
                return self.unknown(section, name, text, side)
        found = figures.ratios(ours, theirs, figure)
        if not found:
            return self.unknown(section, name, text, "no pair of rounds")
        value = figures.median(found)
        met = value >= limit if least else value <= limit
        return self.add(section, name, text, value, met, peer, figures.quartiles(found))

    def value(self, section, name, work, contender, figure, limit, unit, least=False):
        """A figure of its own."""
        text = f"{'at least' if least else 'at most'} {limit:g} {unit}"
        rounds = self.rounds(work, contender)
        if isinstance(rounds, str):
            return self.unknown(section, name, text, rounds)
        values = figures.column(rounds, figure)
        if not values:
            entry = self.works[work]["contenders"][contender]
            values = [entry[figure]] if figure in entry else []
        if not values:
            return self.unknown(section, name, text, "not counted")
        value = figures.median(values)
        met = value >= limit if least else value <= limit
        return self.add(section, name, text, value, met, "", figures.quartiles(values))


def engine_bars(bars):
    main, section = "echo_64x64x1", "engine"
    for us, engine in (("fairway_io_uring", "io_uring"), ("fairway_epoll", "epoll")):
        what = f"TCP echo, 64 B, 64 connections ({engine})"
        cpu = f"{what}: server CPU a request"
        bars.ratio(section, cpu, main, us, "asio_coroutines", "cpu_us", 0.95)
        bars.ratio(section, cpu, main, us, "epoll", "cpu_us", 1.03)
        for peer in ("libuv", "asio_io_uring"):
            bars.ratio(section, cpu, main, us, peer, "cpu_us", 1.0)
            bars.ratio(section, f"{what}: requests a second", main, us, peer,
                       "requests_per_second", 1.0, least=True)
        bars.value(section, f"{what}: system calls a request", main, us, "calls", 1.1, "calls")
        bars.value(section, f"{what}: heap allocations a request", main, us, "allocations",
                   0.001, "(one in a thousand)")
    bars.value(section, f"TCP echo, 64 B, 64 connections (io_uring): system calls a request, "
               "target with sends in the ring", main, "fairway_io_uring", "calls", 0.2, "calls")
    bars.value(section, "8,000 idle connections in async_receive: memory each", "idle",
               "fairway_receive", "bytes_a_connection", 1024, "bytes")
    for us in ("fairway_io_uring", "fairway_epoll"):
        for work, name in (("post_same", "post"), ("post_other", "post from another thread"),
                           ("dispatch", "dispatch"), ("timer_cancel", "timer schedule + cancel")):
            bars.ratio(section, f"{name} ({us}): time", work, us, "asio", "ns", 0.5)
        bars.ratio(section, f"accept + close churn ({us}): connections a second", "churn", us,
                   "asio_coroutines", "requests_per_second", 1.0, least=True)
    bars.ratio(section, "echo round trip under Wine", "wine_1", "fairway_iocp", "asio_iocp",
               "p50_us", 1.0)
    calls = [bars.works.get("wine_1", {}).get("contenders", {}).get(name, {}).get("calls")
             for name in ("fairway_iocp", "asio_iocp")]
    name, limit = "Winsock and port calls a request under Wine", "fewer than asio_iocp"
    if None in calls:
        bars.unknown(section, name, limit, "not counted")
    else:
        bars.add(section, f"{name} ({calls[0]:.2f} to {calls[1]:.2f})", limit,
                 calls[0] / calls[1], calls[0] < calls[1], "asio_iocp")


def loopback_bars(bars):
    section, us, tcp = "loopback", "fairway_memory", "fairway_tcp"
    bars.value(section, "64 B round trip, hot: p50", "hot", us, "p50_us", 1.5, "µs")
    bars.value(section, "64 B round trip, hot: p50, stretch", "hot", us, "p50_us", 0.5, "µs")
    bars.ratio(section, "64 B round trip, hot", "hot", us, tcp, "p50_us", 1 / 30)
    bars.value(section, "64 B messages one way", "one_way", us, "requests_per_second", 5e6,
               "a second", least=True)
    bars.ratio(section, "64 B messages one way", "one_way", us, tcp, "requests_per_second", 10,
               least=True)
    bars.ratio(section, "64 KiB bulk", "bulk", us, tcp, "bytes_per_second", 3, least=True)
    bars.ratio(section, "parked round trip", "parked", us, tcp, "p50_us", 0.9)
    bars.ratio(section, "parked round trip", "parked", us, "fairway_unix", "p50_us", 1.0)
    bars.ratio(section, "parked round trip", "parked", us, "raw_unix", "p50_us", 1.0)
    for size in (1, 1024, 16384, 262144, 1048576):
        for state in ("round_trip", "parked"):
            bars.ratio(section, f"never slower than TCP: {size} B, {state.replace('_', ' ')}",
                       f"{state}_{size}", us, tcp, "p50_us", 1.0)
    bars.value(section, "system calls a message when hot, both ends", "hot", us, "calls", 0.001,
               "(one in a thousand)")
    bars.ratio(section, "connect + accept", "connect", us, tcp, "p50_us", 1.25)
    bars.value(section, "connect + accept: last tenth of 40,000 to the first", "connect_many", us,
               "flat", 1.1, "(flat)")
    bars.value(section, "idle connection: wake-ups in a second", "rest", us, "idle_wakes", 0, "")
    bars.value(section, "idle connection: CPU in a second", "rest", us, "idle_cpu_us", 0, "µs")


def judge(results):
    bars = Bars(results)
    engine_bars(bars)
    loopback_bars(bars)
    return bars.found
