"""What a run does to the machine, for itself alone and while it lasts, so that turns of one work
are alike. Whatever is not allowed stays as it is; the report says how it was.

The network is a namespace of its own (run.sh), where Reno controls congestion. A machine's default
may be BBR, which paces what it sends by timers, in packets of a size that follows from that pace,
and lowers the pace now and then to probe: on loopback that made some servers, from one start to the
next, half as dear again, and the ratios of one connection with a megabyte in flight scattered by
12 % from start to start instead of 5. Nothing is lost on loopback, so Reno holds nothing back.

The processors do not halt while the servers of a sitting are alive (PM QoS: /dev/cpu_dma_latency).
What waking a halted one costs is a matter of the hypervisor's and of what its neighbours do: the
ratios of one connection scattered by 2 to 5 % from start to start with it, and by 1 % without.
"""

import contextlib
import fcntl
import os
import socket
import struct

CONGESTION = "/proc/sys/net/ipv4/tcp_congestion_control"
LATENCY = "/dev/cpu_dma_latency"
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def set_up_network():
    """In a network namespace that is new: its loopback is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))
    with contextlib.suppress(OSError), open(CONGESTION, "w", encoding="ascii") as file:
        file.write("reno")


@contextlib.contextmanager
def awake():
    """No processor halts meanwhile; the kernel forgets the wish when the file is closed."""
    try:
        wish = os.open(LATENCY, os.O_WRONLY)
    except OSError:
        yield
        return
    try:
        os.write(wish, struct.pack("i", 0))
        yield
    finally:
        os.close(wish)


def describe(own_network):
    try:
        with open(CONGESTION, encoding="ascii") as file:
            congestion = file.read().strip()
    except OSError:
        congestion = "unknown"
    return {"network": "a namespace of its own" if own_network else "the machine's",
            "congestion_control": congestion,
            "processors_halt": not os.access(LATENCY, os.W_OK)}
