"""The bars: what the figures have to reach, each with its peer and met or missed.

A bar whose contender was not built, or whose work was not part of the run, says so: it is neither.
"""

import figures


class Bars:
    def __init__(self, results):
        self.works = {work["name"]: work for work in results["works"]}
        self.names = results["names"]  # of contenders, for people
        self.found = []

    def rounds(self, work, contender):
        """The rounds of a contender, or a sentence on why there are none."""
        if work not in self.works:
            return "not part of this run"
        entry = self.works[work]["contenders"].get(contender, {})
        if not entry.get("rounds"):
            return entry.get("why", "not measured")
        return entry["rounds"]

    def add(self, section, name, limit, figure, met, **more):
        """`more`: peer, the values of both, the middle half of the rounds, and the range of a ratio
        that another run would give otherwise: it is judged by the figure all the same."""
        self.found.append({"section": section, "name": name, "limit": limit, "figure": figure,
                           "peer": "", "ours": None, "theirs": None, "spread": None,
                           "range": None, "verdict": "met" if met else "missed", **more})

    def unknown(self, section, name, limit, why, peer=""):
        self.add(section, name, limit, None, False, peer=peer, verdict=f"no figure: {why}")

    def ratio(self, section, name, work, contender, peer, figure, limit, least=False, text=None):
        """`contender` to `peer`: at most `limit`, or at least."""
        text = f"{'≥' if least else '≤'} {text or format(limit, 'g')} of {self.names[peer]}"
        ours, theirs = self.rounds(work, contender), self.rounds(work, peer)
        for side in (ours, theirs):
            if isinstance(side, str):
                return self.unknown(section, name, text, side, peer)
        entries = self.works[work]["contenders"]
        found = figures.ratios(entries[contender], entries[peer], figure)
        if not found:
            return self.unknown(section, name, text, "no pair of rounds", peer)
        value = figures.ratio(entries[contender], entries[peer], figure)
        met = value >= limit if least else value <= limit
        between = None
        if figure == "cpu_us":
            doubt = figures.doubt(entries[contender], entries[peer], figure)
            between = figures.range_of(value, doubt)
        if figure == "requests_per_second" and self.waits_for_client(entries[contender]):
            name += " (the client is the slower side)"
        return self.add(section, name, text, value, met, peer=peer,
                        ours=figures.median(figures.column(ours, figure)),
                        theirs=figures.median(figures.column(theirs, figure)),
                        spread=figures.quartiles(found), range=between)

    @staticmethod
    def waits_for_client(entry):
        client, server = (figures.of_entry(entry, name) for name in ("client_busy", "server_busy"))
        return client is not None and server is not None and client > server + 0.02

    def value(self, section, name, work, contender, figure, limit, unit, least=False):
        """A figure of its own."""
        text = f"{'≥' if least else '≤'} {limit:,g} {unit}".strip()
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
        return self.add(section, name, text, value, met, spread=figures.quartiles(values))


def engine_bars(bars):
    main, section = "echo_64x64x1", "engine"
    for us, engine in (("fairway_io_uring", "io_uring"), ("fairway_epoll", "epoll")):
        what = f"TCP echo, 64 B, 64 connections, {engine}"
        cpu = f"{what}: server CPU per request"
        bars.ratio(section, cpu, main, us, "asio_coroutines", "cpu_us", 0.95)
        bars.ratio(section, cpu, main, us, "epoll", "cpu_us", 1.03)
        for peer in ("libuv", "asio_io_uring"):
            bars.ratio(section, cpu, main, us, peer, "cpu_us", 1.0)
        bars.value(section, f"{what}: system calls per request", main, us, "calls", 1.1, "")
        if us == "fairway_io_uring":
            bars.value(section, f"{what}: system calls per request, target with sends in the ring",
                       main, us, "calls", 0.2, "")
        # What is made now and then, not for a request: a table that grows, a first use.
        bars.value(section, f"{what}: heap allocations per request", main, us, "allocations",
                   0.001, "")
    for us, engine in (("fairway_receive", "io_uring"), ("fairway_receive_epoll", "epoll")):
        bars.value(section, f"8,000 idle connections in async_receive, {engine}: user memory each",
                   "idle", us, "bytes_a_connection", 1024, "bytes")
    for us, engine in (("fairway_io_uring", "io_uring"), ("fairway_epoll", "epoll")):
        for work, name in (("post_same", "post, same thread"), ("post_other", "post, other thread"),
                           ("dispatch", "dispatch"), ("timer_cancel", "timer schedule + cancel")):
            bars.ratio(section, f"{name}, {engine}: time", work, us, "asio", "ns", 0.5)
        bars.ratio(section, f"accept + close churn, {engine}: connections a second", "churn", us,
                   "asio_coroutines", "requests_per_second", 1.0, least=True)
        # The rate is the client's where the client is always busy and the server is not.
        bars.ratio(section, f"accept + close churn, {engine}: server CPU per connection", "churn",
                   us, "asio_coroutines", "cpu_us", 1.0)
    bars.ratio(section, "echo round trip under Wine: p50", "wine_1", "fairway_iocp", "asio_iocp",
               "p50_us", 1.0)
    name, limit = "echo under Wine: Winsock and port calls a request", "fewer than Asio's"
    calls = [bars.works.get("wine_1", {}).get("contenders", {}).get(contender, {}).get("calls")
             for contender in ("fairway_iocp", "asio_iocp")]
    if None in calls:
        why = bars.rounds("wine_1", "fairway_iocp")
        bars.unknown(section, name, limit, why if isinstance(why, str) else "not counted",
                     "asio_iocp")
    else:
        bars.add(section, name, limit, calls[0] / calls[1], calls[0] < calls[1],
                 peer="asio_iocp", ours=calls[0], theirs=calls[1])


def tenths_bar(bars, section, name, us):
    """Connecting must not get slower over many connections: the worst of ten parts, each to the
    plain connects that were made in turn with them."""
    rounds, limit = bars.rounds("connect_many", us), "≤ 1.25 of plain TCP, in turn with it"
    if isinstance(rounds, str):
        return bars.unknown(section, name, limit, rounds)
    found = []
    for part in range(10):
        ours = [one["tenths_us"][part] for one in rounds]
        theirs = [one["plain_tenths_us"][part] for one in rounds]
        ratios = [one / other for one, other in zip(ours, theirs)]
        found.append([figures.median(list(each)) for each in (ratios, ours, theirs)])
    worst = max(found)
    return bars.add(section, name, limit, worst[0], worst[0] <= 1.25, ours=worst[1],
                    theirs=worst[2], spread=figures.quartiles([one[0] for one in found]))


def loopback_bars(bars):
    section, us, tcp = "loopback", "fairway_memory", "fairway_tcp"
    bars.value(section, "64 B round trip, hot: p50", "hot", us, "p50_us", 1.5, "µs")
    bars.value(section, "64 B round trip, hot: p50, stretch", "hot", us, "p50_us", 0.5, "µs")
    bars.ratio(section, "64 B round trip, hot: p50", "hot", us, tcp, "p50_us", 1 / 30, text="1/30")
    bars.value(section, "64 B messages one way, async_write of each", "one_way", us,
               "requests_per_second", 5e6, "a second", least=True)
    bars.ratio(section, "64 B messages one way, async_write of each", "one_way", us, tcp,
               "requests_per_second", 10, least=True)
    bars.ratio(section, "64 KiB bulk", "bulk", us, tcp, "bytes_per_second", 3, least=True)
    # The same of the fastest TCP there is, which serves one connection and nothing else.
    bars.ratio(section, "64 B messages one way, async_write of each", "one_way", us, "raw_tcp",
               "requests_per_second", 10, least=True)
    bars.ratio(section, "64 KiB bulk", "bulk", us, "raw_tcp", "bytes_per_second", 3, least=True)
    bars.ratio(section, "parked (peer asleep) round trip", "parked", us, tcp, "p50_us", 0.9)
    bars.ratio(section, "parked (peer asleep) round trip", "parked", us, "fairway_unix", "p50_us",
               1.0)
    for work in bars.works.values():
        if work["name"].startswith(("round_trip_", "parked_")):
            bars.ratio(section, f"any size, never slower than TCP: {work['title']}", work["name"],
                       us, tcp, "p50_us", 1.0)
    # Those that the machine's interruptions cause are not a message's.
    bars.value(section, "system calls per message when hot, both ends", "hot", us, "calls", 0.001,
               "")
    bars.value(section, "connect + accept, second and later of a process pair", "connect", us,
               "to_plain", 1.25, "of plain TCP, in turn with it")
    bars.value(section, "connect with the option to a peer without the fast path", "stranger", us,
               "to_plain", 1.2, "of plain TCP, in turn with it")
    tenths_bar(bars, section, "connect + accept, flat over 40,000: the worst tenth", us)
    bars.value(section, "idle connection: wake-ups in a second", "rest", us, "idle_wakes", 0, "")
    bars.value(section, "idle connection: CPU in a second", "rest", us, "idle_cpu_us", 0, "µs")


def protocol_bars(bars):
    for work in bars.works.values():
        if work["name"].startswith("redis_"):
            for us in ("fairway_kv", "fairway_kv_epoll"):
                bars.ratio("protocols", f"{work['title']}, {bars.names[us]}: requests a second",
                           work["name"], us, "redis", "requests_per_second", 1.0, least=True)


def judge(results):
    bars = Bars(results)
    engine_bars(bars)
    loopback_bars(bars)
    protocol_bars(bars)
    return bars.found
