"""Starting contenders on their core, one measurement, and the passes that count."""

import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time


class NotBuilt(Exception):
    """The contender is not there; the text says why."""


class Failed(Exception):
    """The contender is there and did not do its work."""


class Place:
    """Where programs are and which cores they get."""

    def __init__(self, native, windows, top):
        self.native, self.windows, self.top = native, windows, top
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.client_core = cores[0], cores[-1]
        self.one_core = len(cores) == 1

    def program(self, name):
        """The path of a program, or NotBuilt."""
        if name.startswith("redis-"):
            found = shutil.which(name)
        elif name.endswith(".exe"):
            found = os.path.join(self.windows, "tests", "bench", name)
        elif name == "kv_server":
            found = os.path.join(self.native, "samples", name)
        else:
            found = os.path.join(self.native, "tests", "bench", name)
        if found is None or not os.path.exists(found):
            raise NotBuilt(f"{name} is not there")
        return found


def on_core(core):
    return lambda: os.sched_setaffinity(0, {core})


class Server:
    """A running server; leave the `with` to end it. `at`: where it listens."""

    def __init__(self, place, command, environment=None):
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=self.output,
            stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})},
            preexec_fn=on_core(place.server_core), start_new_session=True)
        self.pid = self.process.pid
        self.at = None

    def wait(self, seconds=20):
        """Until it has said where it listens."""
        try:
            self.at = self.listening(seconds)
        except Failed:
            self.end()
            raise
        return self

    def listening(self, seconds):
        """The address of its first line."""
        text = b""
        deadline = time.monotonic() + seconds
        while b"\n" not in text:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            more = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not more:
                raise Failed("the server does not listen: " + self.complaint())
            text += more
        found = re.match(rb"listening on (\S+)", text)
        if not found:
            raise Failed("the server says something else: " + text.decode(errors="replace"))
        return found.group(1).decode()

    def complaint(self):
        self.output.seek(0)
        return self.output.read(400).decode(errors="replace").strip() or "no word of why"

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.output.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def run_json(place, command, seconds=120, environment=None, core=None):
    """Runs a program that prints one JSON object."""
    where = on_core(place.client_core if core is None else core)
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                              timeout=seconds, preexec_fn=where,
                              env={**os.environ, **(environment or {})}, check=False)
    except subprocess.TimeoutExpired:
        raise Failed("it did not end") from None
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Failed(f"status {done.returncode}: {done.stderr.strip()[:300]}") from None


def check(found):
    """What a server or a pair did, unless a byte was wrong."""
    if found.get("errors") or found["mismatches"]:
        raise Failed(f"{found.get('errors', 0)} errors, {found['mismatches']} mismatches: "
                     f"{found.get('first_error', '')}")
    return found


def load(place, servers, words, more=(), seconds=120, poll=True):
    """The load generator against all of them in turn; a list in their order, unchecked. Wine's own
    server needs the other core at times, so it must not `poll`."""
    command = [place.program("bench_load"), "--poll", int(poll and not place.one_core)]
    for server in servers:
        command += ["--connect", server.at, "--pid", server.pid]
    return run_json(place, [*command, *words, *more], seconds)["servers"]


def load_one(place, server, words, more=(), poll=True):
    return check(load(place, [server], words, more, poll=poll)[0])


def tcp_server(place, words, work, environment=None):
    command = [place.program(words[0]), *words[1:], "--work", work.server]
    return Server(place, command, environment).wait()


def count_calls(place, words, work, count):
    """System calls a request: what a run has more than one of a third of its requests."""
    few, many = (traced_calls(place, words, work, part) for part in (count // 3, count))
    return max(many[0] - few[0], 0) / max(many[1] - few[1], 1)


def traced_calls(place, words, work, count):
    """strace -c on the server during `count` requests and those then in flight: the calls, and how
    many requests there were."""
    strace = shutil.which("strace")
    if strace is None:
        raise NotBuilt("strace is not there")
    with tempfile.NamedTemporaryFile("r") as table, \
            START[work.kind](place, words, work) as server:
        tracer = subprocess.Popen([strace, "-f", "-c", "-o", table.name, "-p", str(server.pid)],
                                  stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        try:
            tracer.stderr.readline()  # "Process N attached"
            found = load_one(place, server, work.words, ["--count", count, "--warm", 0])
        finally:
            tracer.terminate()
            tracer.communicate()
        return total_calls(table.read()), found["rounds"][0]["requests"]


def total_calls(table):
    """The calls in strace's last line, which has no name but "total"."""
    found = re.search(r"^\s*100\.00\s+\S+\s+\S*\s*?(\d+)(?:\s+\d+)?\s+total$", table, re.M)
    if not found:
        raise Failed("strace counted nothing: " + table[-300:])
    return int(found.group(1))


def counting(place, number):
    """The environment of a program whose allocations are counted in that file."""
    return {"LD_PRELOAD": place.program("libbench_count_allocations.so"),
            "FAIRWAY_BENCH_ALLOCATIONS": number.name}


def count_allocations(place, words, work, timing):
    with tempfile.NamedTemporaryFile() as number:
        with START[work.kind](place, words, work, counting(place, number)) as server:
            found = load_one(place, server, ["--allocations", number.name, *work.words], timing)
            return found["rounds"][0]["allocations"]


def pair_command(place, words, *more):
    return [place.program(words[0]), *words[1:], *more, "--server-core", place.server_core,
            "--client-core", place.client_core]


def measure_pair(place, words, work, timing):
    found = check(run_json(place, pair_command(place, words, *work.words, *timing)))
    if words[-1] == "memory" and words[0].endswith("fairway") and found["path"] != "shared_memory":
        raise NotBuilt(f"the stream went over {found['path']}: {found['reason']}")
    return found


def count_pair_calls(place, words, work, few, many):
    """System calls a message of both ends: the difference of a long and a short run."""
    strace = shutil.which("strace")
    if strace is None:
        raise NotBuilt("strace is not there")
    totals = []
    for count in (few, many):
        with tempfile.NamedTemporaryFile("r") as table:
            check(run_json(place, [strace, "-f", "-c", "-o", table.name, *pair_command(
                place, words, *work.words, "--count", count)]))
            totals.append(total_calls(table.read()))
    return max(totals[1] - totals[0], 0) / (many - few)


def count_pair_allocations(place, words, work, few, many):
    """The same of heap allocations."""
    totals = []
    for count in (few, many):
        with tempfile.NamedTemporaryFile("rb") as number:
            check(run_json(place, pair_command(place, words, *work.words, "--count", count),
                           environment=counting(place, number)))
            totals.append(int.from_bytes(number.read(8), sys.byteorder))
    return max(totals[1] - totals[0], 0) / (many - few)


def measure_micro(place, work, rounds, seconds):
    """All contenders of one work, interleaved by Google Benchmark itself: name -> figures."""
    command = [place.program(work.words[0]), f"--benchmark_filter=^{work.name}/",
               f"--benchmark_min_time={seconds}", f"--benchmark_repetitions={rounds}",
               "--benchmark_enable_random_interleaving=true", "--benchmark_format=json"]
    if work.name == "post_other":  # the one with two threads
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    else:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False,
                              preexec_fn=on_core(place.server_core))
    try:
        cases = json.loads(done.stdout)["benchmarks"]
    except ValueError:
        raise Failed(done.stderr.strip()[:300]) from None
    found = {}
    for case in cases:
        if case.get("error_occurred"):
            raise Failed(case["error_message"])
        if case["run_type"] != "iteration":
            continue
        name = case["run_name"].split("/")[1]
        found.setdefault(name, []).append({"ns": 1e9 / case["items_per_second"]})
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def key_value_server(place, words, work, environment=None):
    program = place.program(words[0])
    if words[0] == "kv_server":
        return prepared(place, Server(place, [program, *words[1:], "--listen", "127.0.0.1:0"],
                                      environment).wait())
    port = free_port()
    server = Server(place, [program, "--port", port, "--bind", "127.0.0.1", "--save", "",
                            "--appendonly", "no", "--io-threads", 1,
                            # It takes any loopback address but 127.0.0.1 for a stranger's.
                            "--protected-mode", "no"])
    server.at = f"127.0.0.1:{port}"
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return prepared(place, server)
        except OSError:
            time.sleep(0.02)
    server.end()
    raise Failed("redis-server does not listen")


def prepared(place, server):
    """With the key that a `get` asks for."""
    load_one(place, server, ["--work", "redis_set"], ["--count", 1, "--warm", 0])
    return server


def wine_command(place, words):
    """Of a Windows program, or NotBuilt."""
    program = place.program(words[0])
    if not any(shutil.which(name) for name in ("wine64", "/usr/lib/wine/wine64", "wine")):
        raise NotBuilt("Wine is not there")
    return ["sh", os.path.join(place.top, "cmake", "wine.sh"),
            os.path.join(place.windows, "wine"), program, *words[1:]]


def end_wine_server(prefix):
    """With all programs of that prefix; does nothing where there is none."""
    wineserver = shutil.which("wineserver")
    prefix = os.path.join(prefix, "wine")
    if wineserver is None or not os.path.isdir(prefix):
        return
    for word in ("-k", "-w"):
        subprocess.run([wineserver, word], env={**os.environ, "WINEPREFIX": prefix},
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def wine_server(place, words, work):
    return Server(place, [*wine_command(place, words), "--work", work.server]).wait(60)


# How the servers of a kind are started.
START = {"tcp": tcp_server, "key_value": key_value_server, "wine": wine_server}


# Calls of a program to these count: Winsock's and the port's.
WINE_CALLS = re.compile(
    rb"Call (ws2_32\.(?:WSASend|WSARecv|send|recv|WSAGetOverlappedResult|ioctlsocket|WSAIoctl)"
    rb"|kernel(?:32|base)\.(?:GetQueuedCompletionStatus(?:Ex)?|PostQueuedCompletionStatus"
    rb"|SetWaitableTimer(?:Ex)?|CancelIoEx?))\(", re.I)


def count_wine_calls(place, words, work, count):
    """Winsock and port calls a request, from Wine's relay log of a slow pass. Between two requests
    the server has the time to go to sleep, which it takes under that log."""
    log = tempfile.NamedTemporaryFile()
    command = ["sh", "-c", 'log=$1; shift; exec "$@" 2>"$log"', "sh", log.name,
               *wine_command(place, words), "--work", "echo"]
    with log, Server(place, command, {"FAIRWAY_WINEDEBUG": "+relay"}).wait(120) as server:
        log.seek(0, os.SEEK_END)
        before = log.tell()
        load_one(place, server, work.words, ["--count", count, "--pause", 20, "--warm", 0],
                 poll=False)
        log.seek(before)
        seen = WINE_CALLS.findall(log.read())
    # A call of kernel32 is forwarded to kernelbase and would count twice.
    counted = [name for name in seen if not name.lower().startswith(b"kernelbase")]
    return len(counted) / (count + 2)  # the one of the warm-up, and the last one in flight
