"""What is measured, and who is in it."""

from dataclasses import dataclass, field

import figures
import quiet

# Name in the figures, name for people, program with its words. The first is what the others are
# compared with.
SERVERS = {
    "fairway_io_uring": ("Fairway, io_uring", ["bench_server_fairway", "--engine", "io_uring"]),
    "fairway_receive": ("Fairway, io_uring, async_receive",
                        ["bench_server_fairway", "--engine", "io_uring", "--receive", "yes"]),
    "fairway_receive_epoll": ("Fairway, epoll, async_receive",
                              ["bench_server_fairway", "--engine", "epoll", "--receive", "yes"]),
    "fairway_epoll": ("Fairway, epoll", ["bench_server_fairway", "--engine", "epoll"]),
    "asio_coroutines": ("Boost.Asio coroutines, epoll", ["bench_server_asio_coroutines"]),
    "asio_callbacks": ("Boost.Asio callbacks, epoll", ["bench_server_asio_callbacks"]),
    "asio_io_uring": ("Boost.Asio coroutines, io_uring", ["bench_server_asio_io_uring"]),
    "asio_callbacks_io_uring": ("Boost.Asio callbacks, io_uring",
                                ["bench_server_asio_callbacks_io_uring"]),
    "libuv": ("libuv", ["bench_server_libuv"]),
    "libevent": ("libevent", ["bench_server_libevent"]),
    "epoll": ("bare epoll, C", ["bench_server_epoll"]),
    "io_uring": ("bare liburing, C", ["bench_server_io_uring"]),
}
RECEIVERS = ["fairway_receive", "fairway_receive_epoll"]
READERS = [name for name in SERVERS if name not in RECEIVERS]
ECHOERS = [name for name in SERVERS if name != "fairway_receive_epoll"]

WINE_SERVERS = {
    "fairway_iocp": ("Fairway, IOCP under Wine", ["bench_server_fairway.exe", "--engine", "iocp"]),
    "asio_iocp": ("Boost.Asio coroutines, IOCP under Wine", ["bench_server_asio_coroutines.exe"]),
}

# Fair because: both on one thread and in memory alone, without a log or a snapshot (processes.py
# has redis-server's words), TCP_NODELAY and 16 KiB to read into by default, one and the same key,
# asleep when there is nothing to do.
SLEEPS = ["--busy-poll", 0]
KEY_VALUE_SERVERS = {
    "fairway_kv": ("kv_server (Fairway, io_uring)", ["kv_server", "--engine", "io_uring", *SLEEPS]),
    "fairway_kv_epoll": ("kv_server (Fairway, epoll)", ["kv_server", "--engine", "epoll", *SLEEPS]),
    "redis": ("redis-server", ["redis-server"]),
}

PAIRS = {
    "fairway_memory": ("Fairway, fast path", ["bench_pair_fairway", "--transport", "memory"]),
    "fairway_tcp": ("Fairway, TCP", ["bench_pair_fairway", "--transport", "tcp"]),
    "fairway_unix": ("Fairway, AF_UNIX", ["bench_pair_fairway", "--transport", "unix"]),
    "zeromq_tcp": ("ZeroMQ, tcp", ["bench_pair_zeromq", "--transport", "tcp"]),
    "zeromq_ipc": ("ZeroMQ, ipc", ["bench_pair_zeromq", "--transport", "ipc"]),
    "raw_tcp": ("bare TCP, blocking", ["bench_pair_raw", "--transport", "tcp"]),
    "raw_tcp_spin": ("bare TCP, spinning", ["bench_pair_raw", "--transport", "tcp_spin"]),
    "raw_unix": ("bare AF_UNIX, blocking", ["bench_pair_raw", "--transport", "unix"]),
    "raw_memory": ("bare ring, spinning", ["bench_pair_raw", "--transport", "memory"]),
}
OF_FAIRWAY = ["fairway_memory", "fairway_tcp"]

LOOPS = {
    "fairway_io_uring": ("Fairway, io_uring", []),
    "fairway_epoll": ("Fairway, epoll", []),
    "asio": ("Boost.Asio io_context(1)", []),
}
FRAMES = {
    "fairway_framed": ("Fairway framed, in memory", []),
    "fairway_codec": ("Fairway length_prefix_codec", []),
    "by_hand": ("a loop written by hand", []),
}

NAMES = {}
for family in (SERVERS, WINE_SERVERS, KEY_VALUE_SERVERS, PAIRS, LOOPS, FRAMES):
    NAMES.update({name: title for name, (title, _) in family.items()})

# A turn of a work that is judged by the server's CPU. Short, since the machine is another one half
# a second later; but nothing should have to be brought back into the server's caches meanwhile.
SHORT_SECONDS = 0.01
# At most so many are alive with the first one, that nobody's turn is far from its own: ratios of
# turns that follow each other scatter less than those of turns nine places apart, by a third and
# more.
GROUP = 4


@dataclass
class Group:
    """The contenders of a work that are alive at once."""
    names: list                     # the first is the one compared with
    sat: int = 0                    # sittings so far, and what they took
    seconds: float = 0
    judged: tuple = (0, 0)          # after so many, and what it lacked then


@dataclass
class Work:
    """One table of the report."""
    name: str
    title: str
    kind: str                       # tcp, pair, micro, wine, key_value
    words: list                     # of the load generator or the pair
    contenders: list                # the first is the one compared with
    figure: str                     # what is compared
    # Of servers: how often fresh ones are started, and how many turns each gets then. Others run
    # afresh each time: all rounds are the product. Quick, full.
    sittings: tuple = (1, 1)
    turns: tuple = (5, 12)
    seconds: tuple = (0.02, 0.03)   # measured in each
    warm: float = 0.005             # before that
    server: str = "echo"
    quick: bool = True              # is in a quick run
    counted: tuple = (False, False) # with passes that count system calls and allocations
    alone: bool = False             # one server at a time
    together: bool = True           # all at once, in a single group
    whole: bool = False             # a turn lasts until what is in flight has been answered
    send_buffers: int = 0           # bytes, the most of a TCP socket; 0: as the machine has it
    smoke: list = field(default_factory=list)  # replaces some words in a smoke
    entries: dict = field(default_factory=dict)  # what a run has found: contender -> figures
    groups: list = field(default_factory=list)
    sat: int = 0                    # sittings of all of them so far
    spent: float = 0                # seconds that it took

    def lower_is_better(self):
        return not self.figure.endswith("per_second")

    def word(self, name, otherwise):
        return self.words[self.words.index(name) + 1] if name in self.words else otherwise

    def split(self):
        """Into groups, each with the first one."""
        if self.alone:
            return [Group([name]) for name in self.contenders]
        if self.together:
            return [Group(list(self.contenders))]
        first, *others = self.contenders
        if not others:
            return [Group([first])]
        count = -(-len(others) // GROUP)
        return [Group([first, *others[at::count]]) for at in range(count)]

    def seconds_to_settle(self, group):
        """What more sittings would take until each of its ratios is settled, roughly: the doubt
        goes with the square root of their number. Zero: it is done, or they would not help."""
        if group.judged[0] == group.sat:
            return group.judged[1]
        base = self.entries[group.names[0]]
        doubts = [figures.doubt_of_sittings(self.entries[name], base, self.figure)
                  for name in group.names[1:]]
        most = max((by for by in doubts if by is not None), default=0)
        # A little more than is asked: who stops at the first look that is good enough was lucky.
        lacks = group.seconds * ((most / (0.9 * figures.SETTLED)) ** 2 - 1)
        group.judged = group.sat, max(lacks, 0)
        return group.judged[1]

    def requests_to_count(self):
        """In a pass that counts: many times what is in flight, or in the buffers of a sink."""
        in_flight = self.word("--connections", 1) * self.word("--depth", 1)
        return max(6000, 4 * in_flight, 200000 if self.name == "messages" else 0)

    def estimate(self, full):
        """Seconds, roughly."""
        each = self.sittings[full] * self.turns[full]
        names = sum(len(group.names) for group in self.split())
        if self.kind == "micro":
            return each * names * self.seconds[full] * 1.6 + 1
        if self.kind == "pair":
            count = self.word("--count", 0)
            spent = count * 100e-6 if count else self.seconds[full] + 0.06
            spent += 1.4 if "idle" in self.words else 0
            counts = 3 * full * names if self.name in ("hot", "one_way", "bulk") else 0
            return each * names * spent + counts
        if "idle" in self.words:
            return each * names * self.word("--connections", 1) * 700e-6
        start = 1.5 if self.kind == "wine" else 0.01
        connections = self.word("--connections", 1)
        settle = connections * self.word("--size", 64) * self.word("--depth", 1) / 1e9
        turns = each * names * (self.seconds[full] + self.warm + 2 * settle + 0.001)
        counts = names * (1.2 + 60e-6 * connections) if self.counted[full] else 0
        return turns + self.sittings[full] * names * (start + connections * 150e-6) + counts


def echo(connections, size, depth, **more):
    """An echo work; all are judged by the server's CPU."""
    name = f"echo_{size}x{connections}x{depth}"
    many = "connections" if connections > 1 else "connection"
    title = f"echo, {size} B, {connections} {many}, depth {depth}"
    words = ["--connections", connections, "--size", size, "--depth", depth]
    # Every connection has had its turn before it counts, and again while it does. How contenders
    # compare differs from start to start too, but two turns of many starts settle no more ratios
    # in a given time than these. Works that need more sittings get them when all have had theirs.
    turn = connections * (10e-6 + size * depth / 1e9)
    # With hundreds of megabytes in flight they drift over minutes (two runs of 6 minutes of 16 KiB,
    # 2026-11-28: 6 % apart), so that those sittings are spread over the run from the start. So are
    # those of 1,000 connections, whose turns scatter twice as much as others: left to what time
    # there was, one run had 3 sittings of them to another's 60.
    sittings, turns = (((8, 6), (12, 16)) if turn < SHORT_SECONDS / 2 else
                       ((6, 20 if connections > 64 else 6), (6, 6)) if turn < 0.1 else
                       ((2, 36 if turn < 0.5 else 24), (1, 1)))
    # Where one time for all is long, what is in flight when the time is up takes another.
    is_long = turn >= 0.05
    timing = {"warm": 0.02 if is_long else max(0.003, turn),
              "seconds": (0.04 if is_long else max(SHORT_SECONDS, 2 * turn),) * 2,
              "sittings": sittings, "turns": turns, "together": turn > 0.1, "whole": is_long}
    return Work(name, title, "tcp", words, ECHOERS, "cpu_us", **{**timing, **more})


def works():
    """All of them, the main one first."""
    quick_cells = {(1, 64, 1), (64, 64, 16), (64, 16384, 1), (1000, 64, 1)}
    yield echo(64, 64, 1, sittings=(8, 16), turns=(12, 30), counted=(True, True), together=True)
    for connections in (1, 64, 1000):
        for size in (64, 1024, 16384, 65536):
            for depth in (1, 16):
                cell = (connections, size, depth)
                if cell != (64, 64, 1):
                    is_quick = cell in quick_cells
                    # Of more in flight a traced server would take minutes.
                    light = connections * size * depth < 100e6
                    yield echo(*cell, quick=is_quick, counted=(False, light))
    yield from bulk_works()
    yield Work("churn", "connect, accept, one message, close; 64 at a time", "tcp",
               ["--work", "churn", "--connections", 64], ECHOERS, "requests_per_second",
               sittings=(2, 4), turns=(6, 15), seconds=(0.05, 0.05), counted=(False, True))
    yield Work("idle", "8,000 idle connections that have carried 16 KiB", "tcp",
               ["--work", "idle", "--connections", 8000, "--size", 16384],
               RECEIVERS + READERS, "bytes_a_connection", turns=(1, 1),
               seconds=(0.1, 0.2), alone=True, smoke=["--connections", 200])
    yield from loop_works()
    yield from pair_works()
    yield from other_works()


def bulk_works():
    yield Work("messages", "64 B messages one way to the server, 64 connections", "tcp",
               ["--work", "sink", "--size", 64, "--connections", 64], READERS, "cpu_us",
               server="sink", sittings=(8, 8), turns=(6, 10), seconds=(0.02,) * 2,
               together=False, counted=(False, True))
    for name, title in (("sink", "bulk to the server"), ("source", "bulk from the server")):
        yield Work(name, f"{title}, 64 KiB pieces, 4 connections", "tcp",
                   ["--work", name, "--size", 65536, "--connections", 4], READERS,
                   "cpu_us", server=name, sittings=(2, 6), turns=(6, 8), seconds=(0.02,) * 2,
                   warm=0.01, together=False, counted=(False, True),
                   send_buffers=quiet.SOURCE_SENDS if name == "source" else 0)


def loop_works():
    timing = {"turns": (9, 25), "seconds": (0.03, 0.08)}
    for name, title in (("post_same", "post, same thread"), ("post_other", "post, other thread"),
                        ("dispatch", "dispatch from a handler"),
                        ("timer_cancel", "timer: schedule and cancel"),
                        ("timer_expiry", "timer: schedule and expire")):
        yield Work(name, title, "micro", ["bench_micro_loop"], list(LOOPS), "ns", **timing)
    yield Work("frames", "frames of 64 B, encoded and decoded in memory", "micro",
               ["bench_micro_frames"], ["fairway_framed", "by_hand"], "ns", **timing)
    yield Work("frames_decode", "frames of 64 B, decoded in memory", "micro",
               ["bench_micro_frames"], ["fairway_codec", "by_hand"], "ns", **timing)


def pair_works():
    everyone = list(PAIRS)
    timing = {"turns": (5, 11), "seconds": (0.1, 0.2)}
    yield Work("hot", "64 B round trip, hot", "pair", ["--work", "round_trip"], everyone, "p50_us",
               **timing)
    yield Work("parked", "64 B round trip, peer asleep", "pair", ["--work", "parked"],
               [name for name in everyone if name not in ("raw_memory", "raw_tcp_spin")], "p50_us",
               turns=(5, 11), seconds=(0.2, 0.4))
    yield Work("one_way", "64 B messages, one way", "pair", ["--work", "one_way"], everyone,
               "requests_per_second", **timing)
    yield Work("bulk", "64 KiB messages, one way", "pair",
               ["--work", "one_way", "--size", 65536], everyone, "bytes_per_second", **timing)
    for size in (1, 1024, 4096, 16384, 65536, 262144, 1048576):
        for state in ("round_trip", "parked"):
            yield Work(f"{state}_{size}", f"{size} B {state.replace('_', ' ')}", "pair",
                       ["--work", state, "--size", size], OF_FAIRWAY, "p50_us",
                       quick=size in (1, 16384, 1048576), turns=(5, 11), seconds=(0.1, 0.25))
    yield Work("connect", "connect and accept, two processes", "pair", ["--work", "connect"],
               OF_FAIRWAY + ["raw_tcp"], "p50_us", turns=(5, 11), seconds=(0.3, 0.4))
    yield Work("stranger", "connect to a listener without the fast path", "pair",
               ["--work", "stranger"], ["fairway_memory"], "p50_us", turns=(5, 11),
               seconds=(0.3, 0.4))
    yield Work("connect_many", "40,000 connections, one after the other", "pair",
               ["--work", "connect", "--count", 40000], OF_FAIRWAY, "p50_us", quick=False,
               turns=(1, 5))
    yield Work("rest", "an idle connection for a second", "pair", ["--work", "idle"], OF_FAIRWAY,
               "idle_cpu_us", turns=(1, 3), seconds=(0.1, 0.1))


def other_works():
    for work in ("ping", "set", "get"):
        for depth in (1, 16):
            yield Work(f"redis_{work}_{depth}",
                       f"Redis protocol, {work}, 50 clients, depth {depth}", "key_value",
                       ["--work", f"redis_{work}", "--connections", 50, "--depth", depth],
                       list(KEY_VALUE_SERVERS), "cpu_us", quick=work != "ping",
                       sittings=(8, 8), turns=(12, 20), counted=(False, True),
                       seconds=(SHORT_SECONDS,) * 2)
    for connections in (1, 64):
        yield Work(f"wine_{connections}",
                   f"echo, 64 B, connections: {connections}, server under Wine", "wine",
                   ["--connections", connections], list(WINE_SERVERS), "p50_us",
                   sittings=(2, 8), turns=(8, 8), seconds=(0.1, 0.1), warm=0.03)
