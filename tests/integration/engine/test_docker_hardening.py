"""What a run's container is: each item of launching and hardening in its own inspect, and felt from inside."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from acted import acts, endings, left_of
from acted_runs import UNTIL_TOLD, launched, printed, run_folder, tell
from docker_engine import Engine, SimulatedGpus
from llem_process import LLEM, Hosts, environment, journal, the_study, wait_until
from simulated_nvml import h100

Llem = Callable[..., subprocess.CompletedProcess[str]]

SECRETS = {
    "HF_TOKEN": "hf_secretsecret",
    "HUGGING_FACE_HUB_TOKEN": "hf_secretsecret",
    "AWS_SECRET_ACCESS_KEY": "aws/secretsecret",
    "WANDB_API_KEY": "wandbsecretsecret",
    "OPENAI_API_KEY": "sk-secretsecret",
    "http_proxy": "http://me:secretsecret@127.0.0.1:1",
}
OWNED = ("uid=65532", "gid=65532")
TMPFS = ("/tmp", "/home/llem")
# As much as this machine's engine may give: within another container it has no right to raise a limit.
LOCKABLE = (resource.getrlimit(resource.RLIMIT_MEMLOCK)[1],) * 2
IN_CONTAINERS_OF_ROOT = "65532:65532"
LABELS = ("study", "run", "attempt", "folder", "uid")
GIB = 2**30


def test_claim_6_7_each_item_of_launching_and_hardening_is_in_the_containers_inspect(
    engine: Engine, engine_gpus: SimulatedGpus, client: Any, actor: str, start_llem: Hosts, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(acts(f"{UNTIL_TOLD}complete()", device="cuda"))
    environment = {"DOCKER_HOST": engine.host, **SECRETS}
    host = start_llem("run", "study.yaml", cwd=tmp_path, env=environment)
    study = the_study(tmp_path / "results")
    uid = journal(study)[0]["study_uid"]
    labels = {"label": f"org.llem.study={uid}"}
    [container] = wait_until("the run's container", lambda: client.containers.list(filters=labels))
    seen = container.attrs
    [runner], [cache] = (study / ".runner").iterdir(), (study / ".cache").iterdir()
    tell(study)
    assert host.wait() == 0

    config, limits = seen["Config"], seen["HostConfig"]
    run, order = run_folder(study), json.loads((run_folder(study) / "in" / "experiment.json").read_text())
    image, memory = client.images.get(actor), client.info()["MemTotal"]
    mounts = {mount["Destination"]: (mount["Source"], mount["RW"]) for mount in seen["Mounts"]}
    variables = dict(line.split("=", 1) for line in config["Env"])
    # item → (what inspect shows, what has to be there)
    table: dict[str, tuple[Any, Any]] = {
        "one GPU, by UUID": (
            [(each["Driver"], each["DeviceIDs"], each["Count"]) for each in limits["DeviceRequests"]],
            [("nvidia", [h100(0).uuid], 0)],
        ),
        "its capabilities": (limits["DeviceRequests"][0]["Capabilities"], [["gpu", "utility", "compute"]]),
        "entrypoint": (config["Entrypoint"], ["python3", "-m", "llem_runner"]),
        "command": (config["Cmd"], ["/exchange"]),
        "PYTHONPATH": (variables["PYTHONPATH"], "/opt/llem"),
        "no removal by the engine": (limits["AutoRemove"], False),
        "no restart": (limits["RestartPolicy"]["Name"], "no"),
        "init": (limits["Init"], True),
        "shared memory of its own": ((limits["ShmSize"], limits["IpcMode"]), (8 * GIB, "private")),
        "memory": (limits["Memory"], max(memory - 4 * GIB, memory // 2)),
        "no swap": (limits["MemorySwap"], limits["Memory"]),
        "ulimits": (
            {each["Name"]: (each["Soft"], each["Hard"]) for each in limits["Ulimits"]},
            {"memlock": LOCKABLE, "stack": (64 << 20, 64 << 20)},
        ),
        "processes and threads": (limits["PidsLimit"], 16384),
        "log driver": (limits["LogConfig"], {"Type": "local", "Config": {"max-size": "8m", "max-file": "2"}}),
        "name": (seen["Name"], f"/llem-{uid}-{order['run_id']}-{order['nonce']}"),
        "labels": (
            {f"org.llem.{name}": config["Labels"].get(f"org.llem.{name}") for name in LABELS},
            {
                "org.llem.study": uid,
                "org.llem.run": order["run_id"],
                "org.llem.attempt": "1",
                "org.llem.folder": str(study),
                "org.llem.uid": str(os.getuid()),
            },
        ),
        "the image by its id": (seen["Image"], image.id),
        "user": (config["User"], IN_CONTAINERS_OF_ROOT),
        "home, user, cache": (
            {name: variables[name] for name in ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE")},
            {
                "HOME": "/home/llem", "USER": "llem", "LOGNAME": "llem", "XDG_CACHE_HOME": "/cache",
                "HF_HUB_OFFLINE": "1",
            },
        ),
        "HF_HOME on tmpfs": (variables["HF_HOME"].startswith("/home/llem/"), True),
        "caches in one folder": (
            {path.split("/")[1] for name, path in variables.items() if "CACHE" in name},
            {"cache"},
        ),
        "no capability": ((limits["CapDrop"], limits["CapAdd"]), (["ALL"], None)),
        "no new privileges": (limits["SecurityOpt"], ["no-new-privileges"]),
        "not privileged": ((limits["Privileged"], limits["Devices"] or []), (False, [])),
        "read-only root": (limits["ReadonlyRootfs"], True),
        "tmpfs": (
            {path: set(options.split(",")) for path, options in limits["Tmpfs"].items()},
            {path: {"rw", "exec", "nosuid", "nodev", "mode=1777", "size=4g", *OWNED} for path in TMPFS},
        ),
        "no network": ((limits["NetworkMode"], list(seen["NetworkSettings"]["Networks"])), ("none", ["none"])),
        "its own namespaces": ((limits["PidMode"], limits["UTSMode"], limits["CgroupnsMode"]), ("", "", "host")),
        "mounts": (
            mounts,
            {
                "/opt/llem": (str(runner), False),
                "/exchange/in": (str(run / "in"), False),
                "/exchange/out": (str(run / "out"), True),
                "/cache": (str(cache), True),
            },
        ),
        "kinds of mounts": ({mount["Type"] for mount in seen["Mounts"]}, {"bind"}),
    }  # fmt: skip
    assert {item: found for item, (found, _) in table.items()} == {item: wanted for item, (_, wanted) in table.items()}
    assert "secretsecret" not in json.dumps(seen)
    assert launched(study)["cache"] == "cold"


# Tries what harm does, and prints what came of it as the last line.
PRY = r"""
import ctypes, errno, socket, stat, subprocess

def tried(call):
    try:
        return repr(call())
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)

def write(path):
    with open(path + "/harm", "w") as file:
        file.write("x")
    return "written"

def listen_to(address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.settimeout(3)
        s.connect(address)
        return "connected"

def send_to(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return s.sendto(b"x", address)

libc = ctypes.CDLL(None, use_errno=True)

def system(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)
    return "done"

def walk(top):
    found = []
    for folder, folders, files in os.walk(top):
        if folder.startswith(("/proc", "/sys")):
            folders.clear()
            continue
        found += [os.path.join(folder, name) for name in (*folders, *files)]
    return found

def is_writable(path):
    try:
        return os.access(path, os.W_OK) and not os.path.islink(path)
    except OSError:
        return False

status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
everything = walk("/")
places = {place: tried(lambda: write(place)) for place in PLACES}
out = {
    "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()],
    "status": {name: status[name] for name in STATUS},
    "places": places,
    "replace out": tried(lambda: os.rename("/exchange/out", "/exchange/elsewhere")),
    "remove out": tried(lambda: os.rmdir("/exchange/out")),
    "replace in": tried(lambda: os.rename("/exchange/in", "/exchange/out/in")),
    "change order": tried(lambda: write("/exchange/in")),
    "rewrite order": tried(lambda: open("/exchange/in/experiment.json", "a")),
    "rewrite runner": tried(lambda: open("/opt/llem/llem_runner/__init__.py", "a")),
    "own order": tried(lambda: os.chown("/exchange/in", os.getuid(), os.getgid())),
    "run from tmpfs": subprocess.getoutput("cp /bin/true /tmp/t && /tmp/t && cp /bin/true ~/t && ~/t && echo ran"),
    "loopback of the host": tried(lambda: listen_to(("127.0.0.1", PORT))),
    "abstract socket of the host": tried(lambda: listen_to("\0" + ABSTRACT, socket.AF_UNIX)),
    "outside": tried(lambda: listen_to(("192.0.2.1", 80))),
    "datagram": tried(lambda: send_to(("192.0.2.1", 53))),
    "name": tried(lambda: socket.getaddrinfo("example.org", 80)),
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "sockets": [path for path in everything if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode)],
    "environment": [dict(os.environ), Path("/proc/1/environ").read_text()],
    "setuid": tried(lambda: os.setuid(0)),
    "mount": tried(lambda: system("mount", b"none", b"/tmp", b"tmpfs", 0, None)),
    "new namespace": tried(lambda: system("unshare", 0x10000000)),
    "remount": tried(lambda: system("mount", None, b"/", None, 0x1020, None)),
    "chroot": tried(lambda: os.chroot("/tmp")),
    "mknod": tried(lambda: os.mknod("/exchange/out/disk", stat.S_IFBLK | 0o600, os.makedev(254, 0))),
    "raw socket": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()),
    "nice": tried(lambda: os.nice(-5)),
    "disks": [path for path in everything if os.path.lexists(path) and stat.S_ISBLK(os.lstat(path).st_mode)],
    "writable": sorted(path for path in everything if is_writable(path)),
    "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
    "pids limit": Path("/sys/fs/cgroup/pids/pids.max").read_text().strip() if os.path.exists("/sys/fs/cgroup/pids")
        else Path("/sys/fs/cgroup/pids.max").read_text().strip(),
    "core": __import__("resource").getrlimit(4)[0],
}
print(json.dumps(out))
complete()
"""
STATUS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
FORBIDDEN = (
    "/", "/exchange", "/exchange/in", "/opt/llem", "/opt/llem/llem_runner", "/opt/engine/bin", "/usr/local/bin",
    "/usr/bin", "/etc", "/root", "/var", "/run", "/dev",
)  # fmt: skip
ALLOWED = ("/exchange/out", "/cache", "/tmp", "/home/llem", "/dev/shm")


def test_claim_6_7_code_that_means_harm_writes_nowhere_reaches_nothing_and_sees_no_secret(
    docker_llem: Llem, client: Any, actor: str, tmp_path: Path
) -> None:
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as abstract:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        name = f"llem-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        words = {
            "PLACES": (*FORBIDDEN, *ALLOWED),
            "STATUS": STATUS,
            "PORT": listener.getsockname()[1],
            "ABSTRACT": name,
        }
        act = "\n".join(f"{word} = {value!r}" for word, value in words.items()) + PRY
        (tmp_path / "study.yaml").write_text(acts(act))
        done = docker_llem("run", "study.yaml", env=SECRETS)
    [study] = (tmp_path / "results").iterdir()
    assert done.returncode == 0, printed(study)
    seen = json.loads(printed(study).splitlines()[-1])

    assert seen["ids"] == [65532, 65532, 65532, [65532]]
    capabilities = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16)
    assert seen["status"] == {**capabilities, "NoNewPrivs": "1", "Seccomp": "2"}
    assert {place for place, became in seen["places"].items() if became == "'written'"} == set(ALLOWED)
    assert {seen["places"][place] for place in FORBIDDEN} <= {"EROFS", "EACCES"}
    own = ("/exchange/out", "/cache", "/tmp", "/home/llem", "/dev/", "/proc", "/sys")
    assert [path for path in seen["writable"] if not path.startswith(own)] == []
    assert seen["disks"] == []
    for harm in (
        "replace out", "remove out", "replace in", "change order", "rewrite order", "rewrite runner", "own order",
        "loopback of the host", "abstract socket of the host", "outside", "datagram", "name", "setuid", "mount",
        "remount", "chroot", "mknod", "raw socket", "nice", "new namespace",
    ):  # fmt: skip
        assert seen[harm].isupper() or seen[harm] == "gaierror", (harm, seen[harm])
    assert seen["run from tmpfs"] == "ran"
    assert (seen["interfaces"], seen["sockets"]) == (["lo"], [])
    assert seen["pids limit"] == "16384"
    assert "secretsecret" not in json.dumps(seen["environment"])
    assert not set(SECRETS) & set(seen["environment"][0])
    found = [path for path in study.rglob("*") if path.is_file() and b"secretsecret" in path.read_bytes()]
    assert found == []
    assert left_of(client, tmp_path)["containers"] == []
    assert endings(study) == [("completed", "")]


IDS = """
places = {place: oct(os.stat(place).st_mode & 0o7777) for place in ("/exchange/out", "/cache", "/home/llem", "/tmp")}
(OUT / "mine").touch()
Path(os.environ["HOME"], "mine").touch()
os.chmod(OUT, 0)
os.chmod(OUT, 0o700)
print(json.dumps([os.getuid(), os.getgid(), os.getgroups(), places]))
complete()
"""


def test_claim_6_7_the_runs_of_a_caller_who_is_not_root_are_that_callers(
    engine: Engine, client: Any, actor: str
) -> None:
    # A folder that everybody reaches; and rights to read this Python, which may lie in a home that is closed to others.
    with TemporaryDirectory(prefix="llem-test-caller-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "study.yaml").write_text(acts(IDS))
        os.chown(folder, 12345, 0)
        caller = ["setpriv", "--reuid=12345", "--regid=0", "--clear-groups"]
        caller += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        variables = environment({"DOCKER_HOST": engine.host, "XDG_CONFIG_HOME": name, "HOME": name})
        command = [*caller, LLEM, "run", "study.yaml"]
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
        [study] = (folder / "results").iterdir()
        assert done.returncode == 0, done.stderr
        uid, gid, groups, places = json.loads(printed(study))
        assert (uid, gid, groups) == (12345, 0, [0])
        assert (places["/exchange/out"], places["/cache"]) == ("0o700", "0o700")
        assert launched(study)["container"]["user"] == "12345:0"
        assert {path.stat().st_uid for path in (run_folder(study) / "out").iterdir()} == {12345}
        assert not list(study.glob(".cache"))
        assert left_of(client, folder)["containers"] == []
