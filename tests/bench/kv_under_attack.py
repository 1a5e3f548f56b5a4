#!/usr/bin/env python3
"""kv_server while hostile clients hold on to it: kv_under_attack.py KV_SERVER [--engine NAME] ...

A thousand connections of five kinds: silent, one header byte a second, the largest frame declared
and nothing sent, answers asked for and never read, and (as many every second) reset at once. They
come within --ramp seconds; who is cut comes again, so that the attack stays whole. Meanwhile
well-behaved clients ask once every few milliseconds. Prints their latency without and with the
attack in turn, the time for which each kind was let in, and the server's memory. The server has a
core of its own where there are two; the attackers give way to the clients at once (SCHED_IDLE,
sched(7)), for what is measured is the server.
"""
import argparse
import collections
import multiprocessing
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time

PING = b'*1\r\n$4\r\nPING\r\n'
PONG = b'+PONG\r\n'
LARGE = 100_000


def connect(port):
    peer = socket.create_connection(('127.0.0.1', port), timeout=10)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def ask(peer):
    peer.sendall(PING)
    got = b''
    while len(got) < len(PONG):
        part = peer.recv(64)
        if not part:
            raise ConnectionError('a well-behaved client was cut')
        got += part
    assert got == PONG, got


def clients(port, count, pause, pipe):
    """Well-behaved ones: (when, seconds) of each request until told to stop."""
    peers = [connect(port) for _ in range(count)]
    for peer in peers:
        ask(peer)
    pipe.send('ready')
    taken = []
    while not pipe.poll():
        for peer in peers:
            begun = time.perf_counter()
            ask(peer)
            taken.append((begun, time.perf_counter() - begun))
            time.sleep(pause)
    pipe.recv()
    pipe.send(taken)


class Crowd:
    """One kind for each method; a member is (kind, when it came, socket)."""

    def __init__(self, port, each, ramp):
        self.port, self.each, self.ramp = port, each, ramp
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
        coming = collections.deque(('silent', 'drip', 'huge', 'deaf') * self.each)
        whole = len(coming)
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
            while resets < (now - begun) * self.each:
                self.reset()
                resets += 1
            self.drip_on(now)
        pipe.send((dict(self.stayed), resets, self.refused, time.perf_counter() - begun))
        for _, _, peer in self.members.values():
            peer.close()


def attackers(port, each, ramp, pipe):
    if hasattr(os, 'SCHED_IDLE'):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(10)
    Crowd(port, each, ramp).run(pipe)


def started(target, *words):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=target, args=(*words, theirs), daemon=True)
    process.start()
    return ours


def told(pipe, seconds):
    if not pipe.poll(seconds):
        sys.exit('kv_under_attack: a part does not answer')
    return pipe.recv()


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e6


def memory_kib(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as status:
        return int(re.search(r'VmRSS:\s+(\d+)', status.read()).group(1))


def line(what, taken):
    values = [seconds for _, seconds in taken]
    print(f'{what:24} {len(values):7} requests, p50 {quantile(values, 0.5):6.0f}'
          f' p99 {quantile(values, 0.99):6.0f} p99.9 {quantile(values, 0.999):6.0f}'
          f' longest {max(values) * 1e6:6.0f} us', flush=True)
    return quantile(values, 0.99)


def measure(options):
    cores = sorted(os.sched_getaffinity(0))
    server = subprocess.Popen(
        [options.server, '--listen', '127.0.0.1:0', '--engine', options.engine],
        stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {cores[0]}))
    try:
        os.sched_setaffinity(0, {cores[-1]})
        port = int(server.stdout.readline().rsplit(':', 1)[1])
        with connect(port) as peer:
            value = b'x' * LARGE
            peer.sendall(b'*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%d\r\n%s\r\n' % (LARGE, value))
            assert peer.recv(5) == b'+OK\r\n'
        ratios, arrivals = [], []
        for _ in range(options.rounds):
            good = started(clients, port, options.clients, options.pause)
            told(good, 10)
            began = time.perf_counter()
            time.sleep(options.seconds)
            attack_at = time.perf_counter()
            bad = started(attackers, port, options.each, options.ramp)
            entered = told(bad, 60)
            arrived_at = time.perf_counter()
            largest = 0
            while time.perf_counter() < attack_at + options.attack:
                time.sleep(0.2)
                largest = max(largest, memory_kib(server.pid))
            bad.send('stop')
            stayed, resets, refused, seconds = told(bad, 10)
            ended_at = time.perf_counter()
            good.send('stop')
            taken = told(good, 10)
            alone = line('without', [one for one in taken if began <= one[0] < attack_at])
            during = line('with the attack', [one for one in taken if attack_at <= one[0] < ended_at])
            arrival = line(f'{entered} in {arrived_at - attack_at:.2f} s',
                           [one for one in taken if attack_at <= one[0] < arrived_at])
            ratios.append(during / alone)
            arrivals.append(arrival / alone)
            for kind, all_of in stayed.items():
                print(f'  {kind}: {len(all_of)} cut after {min(all_of):.2f} to {max(all_of):.2f} s')
            print(f'  {resets} resets in {seconds:.0f} s, {refused} refused,'
                  f' server memory at most {largest} KiB', flush=True)
        middle = sorted(ratios)[len(ratios) // 2]
        print(f'{options.engine}: p99 with the attack / without, median of {len(ratios)} rounds:'
              f' {middle:.2f}; while they come {sorted(arrivals)[len(arrivals) // 2]:.2f}')
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('server')
    parser.add_argument('--engine', default='automatic')
    parser.add_argument('--each', type=int, default=200, help='hostile ones of each kind (200)')
    parser.add_argument('--ramp', type=float, default=2, help='seconds in which they come (2)')
    parser.add_argument('--clients', type=int, default=8, help='well-behaved ones (8)')
    parser.add_argument('--pause', type=float, default=0.001, help='seconds between requests')
    parser.add_argument('--seconds', type=float, default=10, help='without the attack')
    parser.add_argument('--attack', type=float, default=40, help='with the attack, in seconds')
    parser.add_argument('--rounds', type=int, default=3)
    measure(parser.parse_args())


if __name__ == '__main__':
    main()
