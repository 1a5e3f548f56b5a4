"""What the figures were measured on."""

import os
import platform
import re
import shutil
import subprocess

PACKAGES = ["libboost1.81-dev", "libevent-dev", "liburing-dev", "libuv1-dev", "libzmq3-dev",
            "libbenchmark-dev", "redis-server", "strace", "wine64"]


def first_line(*command):
    if shutil.which(command[0]) is None:
        return "not there"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0] if done.stdout or done.stderr else ""


def from_file(path, pattern):
    try:
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read(), re.M)
            return found.group(1).strip() if found else "unknown"
    except OSError:
        return "unknown"


def package_versions():
    versions = {}
    if shutil.which("dpkg-query") is None:
        return versions
    for name in PACKAGES:
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name],
                              capture_output=True, text=True, check=False)
        versions[name] = done.stdout if done.returncode == 0 and done.stdout else "not installed"
    return versions


def flags(build):
    cache = os.path.join(build, "CMakeCache.txt")
    return (from_file(cache, r"^CMAKE_CXX_FLAGS:\w+=(.*)$") + " " +
            from_file(cache, r"^CMAKE_CXX_FLAGS_RELEASE:\w+=(.*)$")).strip()


def describe(top, build, windows):
    commit = subprocess.run(["git", "-C", top, "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    compiler = from_file(os.path.join(build, "CMakeCache.txt"), r"^CMAKE_CXX_COMPILER:\w+=(.*)$")
    return {
        "system": from_file("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)'),
        "kernel": platform.release(),
        "processor": from_file("/proc/cpuinfo", r"^model name\s*:\s*(.*)$"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "compiler": first_line(compiler, "--version"),
        "c_compiler": first_line(from_file(os.path.join(build, "CMakeCache.txt"),
                                           r"^CMAKE_C_COMPILER:\w+=(.*)$"), "--version"),
        "windows_compiler": first_line("x86_64-w64-mingw32-g++-posix", "--version"),
        "flags": flags(build),
        "windows_flags": flags(windows),
        "packages": package_versions(),
        "commit": commit or "unknown",
    }


class Company:
    """What else the machine did during a run: `others` and `stolen`, shares of all its cores' time.
    The servers of Wine that outlive a program count as others."""

    def __init__(self):
        self.before = self.look()

    @staticmethod
    def look():
        with open("/proc/stat", encoding="utf-8") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        hertz = os.sysconf("SC_CLK_TCK")
        idle, stolen = (ticks[3] + ticks[4]) / hertz, ticks[7] / hertz
        whole = sum(ticks) / hertz
        return whole, whole - idle - stolen, stolen, sum(os.times()[:4])

    def shares(self):
        whole, busy, stolen, ours = (now - before
                                     for now, before in zip(self.look(), self.before))
        whole = max(whole, 0.01)
        return {"others": round(max(busy - ours, 0) / whole, 3), "stolen": round(stolen / whole, 3)}


OTHERS_MAX = 0.1  # more, and the figures are no claim


def complaint(about):
    """Why the figures of a run cannot be trusted, or None."""
    if about["others"] > OTHERS_MAX:
        return f"other programs had {about['others']:.0%} of the machine's time"
    return None
