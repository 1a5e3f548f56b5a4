"""What a run does to the machine, for itself alone and while it lasts, so that turns of one work
are alike. Whatever is not allowed stays as it is; the report says how it was.

The figures below are of 2026-11-27: sittings of a second with four servers (Fairway's engines,
libuv, the bare ring), a dozen of each way in turn.

The network is a namespace of its own (run.sh), where Reno controls congestion. A machine's default
may be BBR, which paces what it sends by timers, in packets of a size that follows from that pace,
and lowers the pace now and then to probe: on loopback that made some servers, from one start to the
next, half as dear again, and the ratios of one connection with a megabyte in flight scattered by
12 % from start to start instead of 5. Nothing is lost on loopback, so Reno holds nothing back.

The network's packets carry 15 pages. Loopback's own MTU makes them 65,483 bytes, which is odd:
where a piece of a stream begins in the kernel's pages moves on by odd numbers, and again and again
within 31 bytes behind where it begins in the server's, where AMD's Zen 3 copies at half the speed
(`rep movsb`). A source of bulk took 9 us a message in some turns and 20 in others (2026-11-28,
`run.sh --only source --minutes 1` each way: medians of ten contenders 12 to 20; with 15 pages 9 to
11).

What servers of the work `source` may have on its way to a reader is a mebibyte a connection, not
the four of Linux's default: four connections with four each, and up to 32 in what the reader's
kernel has room for here, stay in the processor's cache or do not, for seconds at a time. The ratios
of a sitting scattered by 5 to 13 %, those of bare epoll and libevent between 1.0 and 1.5 of ours;
now by 1 to 3 (2026-11-28, `run.sh --only source --minutes 0.7` each way). A message costs 13 us
instead of 9 to 20, since a send now waits for room, as it does where the reader is slower.

The processors do not halt while servers are alive that are judged by their CPU (PM QoS:
/dev/cpu_dma_latency). What waking a halted one costs is a matter of the hypervisor's and of what
its neighbours do: the ratios of one connection scattered by 2 to 5 % from start to start with it,
and by 1 % without. All other works, latencies among them, are measured with the machine's way.

quiet.py --try sets a network up, in a namespace that run.sh has just made, and says whether it can.
"""

import contextlib
import fcntl
import os
import socket
import struct
import sys

CONGESTION = "/proc/sys/net/ipv4/tcp_congestion_control"
SEND_BUFFERS = "/proc/sys/net/ipv4/tcp_wmem"  # least, at first, most
LATENCY = "/dev/cpu_dma_latency"
IDLE_DRIVER = "/sys/devices/system/cpu/cpuidle/current_driver"
NAMESPACE = "/proc/self/ns/net"
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
SIOCGIFMTU, SIOCSIFMTU = 0x8921, 0x8922
SOURCE_SENDS = 2 ** 20
PACKET = 15 * 4096 + 20 + 20 + 12  # with the headers of IP and of TCP, and its timestamps


def set_up_network(outside):
    """In a network namespace that is new, since it is not `outside`: its loopback is down."""
    if os.readlink(NAMESPACE) == outside:
        raise OSError("this is the machine's own network")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))
        with contextlib.suppress(OSError):
            fcntl.ioctl(any_socket, SIOCSIFMTU, struct.pack("16si20x", b"lo", PACKET))
    with contextlib.suppress(OSError), open(CONGESTION, "w", encoding="ascii") as file:
        file.write("reno")


def keep_awake():
    """No processor halts until the file that is returned is closed. None: that cannot be had."""
    try:
        wish = os.open(LATENCY, os.O_WRONLY)
    except OSError:
        return None
    try:
        os.write(wish, struct.pack("i", 0))
    except OSError:
        os.close(wish)
        return None
    return wish


@contextlib.contextmanager
def awake():
    wish = keep_awake()
    try:
        yield
    finally:
        if wish is not None:
            os.close(wish)


@contextlib.contextmanager
def send_buffers(most):
    """No TCP socket that is made meanwhile keeps more than so many bytes to send. Of a network of
    one's own alone."""
    before = read(SEND_BUFFERS)
    with contextlib.suppress(OSError), open(SEND_BUFFERS, "w", encoding="ascii") as file:
        file.write(" ".join([*before.split()[:2], str(most)]))
    try:
        yield
    finally:
        with contextlib.suppress(OSError), open(SEND_BUFFERS, "w", encoding="ascii") as file:
            file.write(before)


def read(path):
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown"


def loopback_mtu():
    asked = struct.pack("16si20x", b"lo", 0)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            return struct.unpack("16si20x", fcntl.ioctl(any_socket, SIOCGIFMTU, asked))[1]
    except OSError:
        return "unknown"


def describe(own_network):
    wish = keep_awake()
    if wish is not None:
        os.close(wish)
    # Without a driver the kernel has no way to wait that is not a halt.
    never = wish is not None and read(IDLE_DRIVER) not in ("none", "unknown")
    sends = send_buffers(SOURCE_SENDS) if own_network else contextlib.nullcontext()
    with sends:
        most_sent = read(SEND_BUFFERS).split()[-1]
    return {"network": "a namespace of its own" if own_network else "the machine's",
            "congestion_control": read(CONGESTION), "loopback_mtu": loopback_mtu(),
            "send_buffers_of_source": most_sent,
            "idle_processors": "do not halt while servers judged by CPU are alive" if never
                               else "halt as the machine has it"}


if __name__ == "__main__":
    try:
        set_up_network(sys.argv[2])
    except OSError as error:
        sys.exit(f"quiet.py: {error}")
