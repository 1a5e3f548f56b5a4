#!/usr/bin/env python3
"""kv_server while hostile clients hold on to it:
kv_under_attack.py KV_SERVER BENCH_LOAD [--engine NAME] ...

A thousand connections of five kinds: silent, one header byte a second, the largest frame declared
and nothing sent, answers asked for and never read, and (as many every second) reset at once. They
come within --ramp seconds; who is cut comes again, so that the attack stays whole.

Meanwhile well-behaved clients ask as fast as they are answered. They are the load generator of the
benchmarks (the target `bench`), since a client in Python is late by more than a server is. A round
is quiet, decoy, attack, quiet; its ratios are to the mean of its own quiet times. The decoy is the
same attack on another kv_server that shares the clients' core: what it costs the clients is the
machine's doing and not the server's. Prints p99 of each second of the attack too (when they come,
when they are cut and come again), the time for which each kind was let in, and the server's memory.

The server has a core of its own where there are two; the attackers give way to the clients at once
(SCHED_IDLE, sched(7)). `resets` tells whether they got enough time for a whole attack.
"""
import argparse
import collections
import json
import multiprocessing
import os
import re
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

LARGE = 100_000
KINDS = ('silent', 'drip', 'huge', 'deaf')


def connect(port):
    peer = socket.create_connection(('127.0.0.1', port), timeout=10)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


class Crowd:
    """One kind for each method; a member is (kind, when it came, socket)."""

    def __init__(self, port, each, ramp, kinds):
        self.port, self.each, self.ramp, self.kinds = port, each, ramp, kinds
        self.members = {}
        self.drips = collections.deque()  # (when the next byte is due, descriptor)
        self.watch = select.epoll()
        self.stayed = collections.defaultdict(list)
        self.refused = 0

    def silent(self, peer):
        pass

    def drip(self, peer):
        peer.send(b'*')
        self.drips.append((time.perf_counter() + 1, peer.fileno()))

    def huge(self, peer):
        peer.send(b'*2\r\n$3\r\nGET\r\n$33000000\r\n')

    def deaf(self, peer):
        try:
            peer.send(b'GET large\r\n' * 2000)
        except BlockingIOError:
            pass

    def enter(self, kind):
        peer = socket.socket()
        if kind == 'deaf':
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            peer.connect(('127.0.0.1', self.port))
            peer.setblocking(False)
            getattr(self, kind)(peer)
        except OSError:
            self.refused += 1
            peer.close()
            return
        self.members[peer.fileno()] = (kind, time.perf_counter(), peer)
        # What never reads must not be woken by what it could read.
        self.watch.register(peer.fileno(), 0 if kind == 'deaf' else select.EPOLLRDHUP)

    def reset(self):
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        try:
            peer.connect(('127.0.0.1', self.port))
        except OSError:
            self.refused += 1
        peer.close()

    def leave(self, descriptor):
        kind, came, peer = self.members.pop(descriptor)
        self.stayed[kind].append(time.perf_counter() - came)
        self.watch.unregister(descriptor)
        peer.close()
        return kind

    def drip_on(self, now):
        while self.drips and self.drips[0][0] <= now:
            due, descriptor = self.drips.popleft()
            kind, _, peer = self.members.get(descriptor, (None, None, None))
            if kind != 'drip':
                continue
            try:
                peer.send(b'1')
                self.drips.append((due + 1, descriptor))
            except OSError:
                pass  # it was cut, and the watch tells

    def run(self, pipe):
        coming = collections.deque([kind for kind in KINDS if kind in self.kinds] * self.each)
        whole = len(coming)
        if not coming:
            pipe.send(0)
        begun = time.perf_counter()
        resets = 0
        while not pipe.poll():
            for descriptor, _ in self.watch.poll(0.002):
                self.enter(self.leave(descriptor))
            now = time.perf_counter()
            while coming and (whole - len(coming)) * self.ramp <= (now - begun) * whole:
                self.enter(coming.popleft())
                if not coming:
                    pipe.send(len(self.members))
            while 'reset' in self.kinds and resets < (now - begun) * self.each:
                self.reset()
                resets += 1
            self.drip_on(now)
        pipe.send((dict(self.stayed), resets, self.refused, time.perf_counter() - begun))
        for _, _, peer in self.members.values():
            peer.close()


def attackers(port, each, ramp, kinds, pipe):
    if hasattr(os, 'SCHED_IDLE'):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(10)
    Crowd(port, each, ramp, kinds).run(pipe)


def started(target, *words):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=target, args=(*words, theirs), daemon=True)
    process.start()
    return ours


def told(pipe, seconds):
    if not pipe.poll(seconds):
        sys.exit('kv_under_attack: a part does not answer')
    return pipe.recv()


def memory_kib(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as status:
        return int(re.search(r'VmRSS:\s+(\d+)', status.read()).group(1))


class Server:
    """A kv_server on a core, with the answer that the deaf ask for."""

    def __init__(self, options, core):
        self.process = subprocess.Popen(
            [options.server, '--listen', '127.0.0.1:0', '--engine', options.engine],
            stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        self.port = int(self.process.stdout.readline().rsplit(':', 1)[1])
        with connect(self.port) as peer:
            value = b'x' * LARGE
            peer.sendall(b'*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%d\r\n%s\r\n' % (LARGE, value))
            assert peer.recv(5) == b'+OK\r\n'

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def clients(options, server, seconds):
    """Well-behaved ones for so many seconds, each of them a turn: what the load generator says."""
    load = subprocess.Popen(
        [options.load, '--connect', f'127.0.0.1:{server.port}', '--pid', str(server.process.pid),
         '--work', 'redis_ping', '--connections', str(options.clients), '--warm', '0',
         '--turns', str(seconds)], stdout=subprocess.PIPE, text=True)
    largest = 0
    while load.poll() is None and select.select([load.stdout], [], [], 0.2)[0] == []:
        largest = max(largest, memory_kib(server.process.pid))
    found = json.loads(load.communicate()[0])['servers'][0]
    if found['errors'] or found['mismatches']:
        sys.exit(f"kv_under_attack: a well-behaved client: {found['first_error']}")
    return {**found, 'largest': largest}


def line(what, found):
    requests = sum(turn['requests'] for turn in found['rounds'])
    busy = sum(turn['server_busy'] for turn in found['rounds']) / len(found['rounds'])
    print(f'{what:16} {requests:8} requests, p50 {found["p50_us"]:5.0f} p99 {found["p99_us"]:6.0f}'
          f' p99.9 {found["p999_us"]:6.0f} longest {found["max_us"]:6.0f} us,'
          f' server busy {busy:4.0%}', flush=True)
    return found['p99_us']


def attacked(options, measured, victim, seconds, what):
    """The clients' p99 at `measured` while the crowd is at `victim`; that of each second."""
    bad = started(attackers, victim.port, options.each, options.ramp, options.kinds.split(','))
    found = clients(options, measured, seconds)
    entered = told(bad, 60)  # how many were in when all had come
    bad.send('stop')
    stayed, resets, refused, taken = told(bad, 30)
    line(what, found)
    seconds = [turn['p99_us'] for turn in found['rounds']]
    print(f'  {entered} in; p99 of each second:', *(f'{one:.0f}' for one in seconds))
    for kind, all_of in stayed.items():
        print(f'  {kind}: {len(all_of)} cut after {min(all_of):.2f} to {max(all_of):.2f} s')
    print(f'  {resets} resets in {taken:.0f} s, {refused} refused,'
          f' server memory at most {found["largest"]} KiB', flush=True)
    return found['p99_us'], seconds


def middle(values):
    return statistics.median(values)


def one_round(options, server, decoy):
    before = line('quiet', clients(options, server, options.seconds))
    to_decoy, _ = attacked(options, server, decoy, options.decoy, 'decoy attacked')
    time.sleep(1)
    during, seconds = attacked(options, server, server, options.attack, 'attacked')
    time.sleep(1)
    after = line('quiet', clients(options, server, options.seconds))
    quiet = (before + after) / 2
    come = round(options.ramp)
    return {'attacked': during / quiet, 'decoy attacked': to_decoy / quiet,
            'while they come': max(seconds[:come]) / quiet,
            'a middle second after that': middle(seconds[come:]) / quiet,
            'the worst second after that': max(seconds[come:]) / quiet,
            'the two quiet times': max(before, after) / min(before, after)}


def measure(options):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    server = Server(options, cores[0])
    decoy = Server(options, cores[-1])
    try:
        rounds = [one_round(options, server, decoy) for _ in range(options.rounds)]
        print(f'{options.engine}: p99 to that of the quiet times, {len(rounds)} rounds:')
        for name in rounds[0]:
            each = [one[name] for one in rounds]
            print(f'  {name:28} median {middle(each):5.2f} ',
                  *(f'{one:.2f}' for one in each), flush=True)
    finally:
        decoy.end()
        server.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('server')
    parser.add_argument('load', help='the program bench_load')
    parser.add_argument('--engine', default='automatic')
    parser.add_argument('--each', type=int, default=200, help='hostile ones of each kind (200)')
    parser.add_argument('--kinds', default=','.join((*KINDS, 'reset')), help='all by default')
    parser.add_argument('--ramp', type=float, default=2, help='seconds in which they come (2)')
    parser.add_argument('--clients', type=int, default=8, help='well-behaved ones (8)')
    parser.add_argument('--seconds', type=int, default=8, help='without the attack, twice (8)')
    parser.add_argument('--decoy', type=int, default=12, help='attack on the decoy (12)')
    parser.add_argument('--attack', type=int, default=34, help='seconds of the attack (34)')
    parser.add_argument('--rounds', type=int, default=3)
    measure(parser.parse_args())


if __name__ == '__main__':
    main()
